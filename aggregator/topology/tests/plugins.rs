//! What plugins of agents say of nodes: shown, searched, bounded, and gone with what it is about.

#![allow(missing_docs)]

mod common;

use common::{World, container, ended, key, process};
use mesoscope_proto::v1::{self, PluginFacts, change::Change};
use mesoscope_topology::search::{Search, Stride};
use mesoscope_topology::{AgentKey, ChangeRefused, Limits, ViewKind};

const ID: &str = "c0ffee0000000000000000000000000000000000000000000000000000000000";

fn said(plugin: &str, value: &str) -> PluginFacts {
    PluginFacts {
        plugin: plugin.into(),
        label: format!("The {plugin}"),
        metadata: vec![v1::PluginField {
            key: "tier".into(),
            label: "Tier".into(),
            value: value.into(),
            r#type: "text".into(),
        }],
        metrics: vec![v1::PluginMetric {
            key: "queue".into(),
            label: "Queue".into(),
            value: 7.0,
            unit: "count".into(),
            max: 0.0,
        }],
        controls: vec![v1::PluginControl {
            key: "drain".into(),
            label: "Drain".into(),
            confirm: String::new(),
        }],
        ..PluginFacts::default()
    }
}

fn of_container(facts: PluginFacts) -> Change {
    Change::PluginFacts(PluginFacts {
        container_id: ID.into(),
        ..facts
    })
}

fn of_process(facts: PluginFacts, pid: u32) -> Change {
    Change::PluginFacts(PluginFacts {
        process: Some(key(pid)),
        ..facts
    })
}

fn world() -> (World, AgentKey) {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Container(container(ID, "web", &[])));
    world.apply(agent, Change::Process(process(7, "nginx")));
    (world, agent)
}

fn plugins(world: &World, view: ViewKind, id: &str) -> Vec<(String, String)> {
    let details = world.topology.node(view, id, false).expect("a node");
    let plugins = details.plugins.into_iter();
    let value = |facts: &PluginFacts| facts.metadata[0].value.clone();
    plugins
        .map(|facts| (facts.plugin.clone(), value(&facts)))
        .collect()
}

fn process_id(world: &World) -> String {
    let options = v1::ViewOptions {
        unconnected: Some(true),
        ..v1::ViewOptions::default()
    };
    let seen = world.see_with(ViewKind::Processes, options);
    let mut nodes = seen.nodes.into_values();
    nodes.find(|node| node.label == "nginx").expect("shown").id
}

fn pair(plugin: &str, value: &str) -> (String, String) {
    (plugin.into(), value.into())
}

fn full(world: &World) -> (usize, usize) {
    let fills = world.topology.stats().fills;
    let used = |name| {
        fills
            .iter()
            .find(|fill| fill.name == name)
            .expect("a bound")
            .used
    };
    (used("plugin_facts"), used("plugin_bytes"))
}

#[test]
fn what_plugins_say_stands_in_the_details_of_what_it_is_about() {
    let (mut world, agent) = world();
    world.apply(agent, Change::PluginFacts(said("b", "host")));
    world.apply(agent, of_container(said("b", "gold")));
    world.apply(
        agent,
        of_container(said("a", "<img src=x onerror=alert(1)>")),
    );
    world.apply(agent, of_process(said("b", "process"), 7));
    assert_eq!(
        plugins(&world, ViewKind::Hosts, "host;a"),
        [pair("b", "host")]
    );
    let container = format!("container;{ID}");
    assert_eq!(
        plugins(&world, ViewKind::Containers, &container),
        [pair("a", "<img src=x onerror=alert(1)>"), pair("b", "gold")]
    );
    let process = process_id(&world);
    assert_eq!(
        plugins(&world, ViewKind::Processes, &process),
        [pair("b", "process")]
    );

    world.apply(agent, of_container(said("b", "silver")));
    let nothing = PluginFacts {
        plugin: "a".into(),
        ..PluginFacts::default()
    };
    world.apply(agent, of_container(nothing));
    assert_eq!(
        plugins(&world, ViewKind::Containers, &container),
        [pair("b", "silver")]
    );
    assert_eq!(full(&world).0, 3);
}

#[test]
fn it_goes_with_what_it_is_about_and_with_a_snapshot_that_leaves_it_out() {
    let (mut world, agent) = world();
    world.apply(agent, of_container(said("a", "x")));
    world.apply(agent, of_process(said("a", "x"), 7));
    world.apply(agent, Change::PluginFacts(said("a", "x")));
    assert_eq!(full(&world).0, 3);
    world.apply(agent, Change::Process(ended(process(7, "nginx"), 0)));
    world.pass(60_000);
    assert_eq!(full(&world).0, 2, "the process has gone");
    let container = Change::Container(container(ID, "web", &[]));
    world.snapshot(agent, vec![container.clone(), of_container(said("a", "y"))]);
    assert_eq!(full(&world).0, 1, "the host's was not told");
    world.snapshot(agent, vec![container]);
    assert_eq!(full(&world), (0, 0));
    // Of something that is not known it means nothing.
    world.apply(agent, of_process(said("a", "x"), 99));
    assert_eq!(full(&world), (0, 0));
}

#[test]
fn search_finds_by_key_and_value_by_plugin_and_by_figure() {
    let (mut world, agent) = world();
    world.apply(agent, of_container(said("stock", "gold")));
    let found = |text: &str| {
        let search: Search = text.parse().expect("a search");
        let stride = Stride {
            nodes: 1_000,
            found: 100,
            kernel_threads: false,
        };
        let mut found = Vec::new();
        world.topology.search(
            ViewKind::Containers,
            &search,
            0,
            stride,
            common::START_MS,
            &mut found,
        );
        found
            .into_iter()
            .map(|found| found.label)
            .collect::<Vec<_>>()
    };
    for text in [
        "tier:gold",
        "tier = gold",
        "plugin:stock",
        "queue > 5",
        "gold",
    ] {
        assert_eq!(found(text), ["web"], "{text}");
    }
    for text in ["tier:silver", "queue > 9", "plugin:other"] {
        assert!(found(text).is_empty(), "{text}");
    }
}

#[test]
fn a_control_is_found_only_where_it_is_offered() {
    let (mut world, agent) = world();
    world.apply(agent, of_container(said("stock", "gold")));
    let node = format!("container;{ID}");
    let find = |view, id: &str, plugin: &str, control: &str| {
        world
            .topology
            .plugin_control(view, id, plugin, control, common::START_MS)
    };
    let place = find(ViewKind::Containers, &node, "stock", "drain").expect("offered");
    assert_eq!(place.agent.agent_id, "a");
    assert_eq!(
        (
            place.press.container_id.as_str(),
            place.press.control.as_str()
        ),
        (ID, "drain")
    );
    assert!(find(ViewKind::Containers, &node, "stock", "stop").is_none());
    assert!(find(ViewKind::Containers, &node, "other", "drain").is_none());
    assert!(find(ViewKind::Hosts, "host;a", "stock", "drain").is_none());
}

#[test]
fn what_is_malformed_or_too_much_is_refused() {
    let limits = Limits {
        plugin_facts: 2,
        plugin_bytes: 4_000,
        ..Limits::default()
    };
    let mut world = World::with(limits);
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Container(container(ID, "web", &[])));
    let mut refused = |facts| world.try_apply(agent, Change::PluginFacts(facts)).err();
    for name in ["", "a/b", &"x".repeat(33)] {
        let malformed = Some(ChangeRefused::Malformed("the name of a plugin"));
        assert_eq!(refused(said(name, "x")), malformed);
    }
    let mut nan = said("a", "x");
    nan.metrics[0].value = f64::NAN;
    assert_eq!(
        refused(nan),
        Some(ChangeRefused::Malformed("a figure of a plugin"))
    );
    let huge = said("a", &"x".repeat(200_000));
    assert_eq!(
        refused(huge),
        Some(ChangeRefused::Malformed("the size of a plugin's facts"))
    );
    let large = said("a", &"x".repeat(4_000));
    assert_eq!(refused(large), Some(ChangeRefused::Full("plugin_bytes")));
    assert_eq!(refused(said("a", "x")), None);
    assert_eq!(refused(said("b", "x")), None);
    assert_eq!(
        refused(said("c", "x")),
        Some(ChangeRefused::Full("plugin_facts"))
    );
    assert_eq!(refused(said("b", "y")), None, "in place of what it said");
    assert_eq!(full(&world).0, 2);
}
