//! What comes, ends and goes: processes, containers, agents, gaps, bounds, options.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{Limits, Options, View, ViewKind};

use Direction::{Inbound, Outbound};

fn connection(end: v1::Connection) -> Change {
    Change::Connection(end)
}

#[test]
fn a_short_process_is_in_the_difference_although_it_ended_within_the_batch() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let options = v1::ViewOptions {
        unconnected: Some(true),
        ..Default::default()
    };
    let mut view = View::new(
        ViewKind::Processes,
        Options::new(ViewKind::Processes, &options),
    );
    let mut client = Client::default();
    client.apply(view.diff(&world.topology, world.now_ms).expect("first"));
    world.apply(agent, Change::Process(process(10, "true")));
    world.apply(agent, Change::Process(ended(process(10, "true"), 3)));
    client.apply(view.diff(&world.topology, world.now_ms).expect("news"));
    let node = client.nodes.values().next().expect("the process");
    assert_eq!(
        (node.label.as_str(), node.state.as_str()),
        ("true", "exited")
    );
    assert!(
        view.diff(&world.topology, world.now_ms).is_none(),
        "nothing new"
    );
    world.pass(15_500);
    client.apply(view.diff(&world.topology, world.now_ms).expect("it went"));
    assert!(client.nodes.is_empty());
}

#[test]
fn ended_processes_are_bounded_and_the_rest_is_counted_as_hidden() {
    let mut world = World::with(Limits {
        ended_processes: 3,
        ..Limits::default()
    });
    let agent = world.agent("a", "10.0.0.1");
    for pid in 10..20 {
        world.apply(agent, Change::Process(process(pid, "true")));
        world.apply(agent, Change::Process(ended(process(pid, "true"), 0)));
    }
    let seen = world.see(ViewKind::Processes);
    assert_eq!((seen.nodes.len(), seen.hidden), (3, 7));
    world.pass(17_000);
    let seen = world.see(ViewKind::Processes);
    assert_eq!((seen.nodes.len(), seen.hidden), (0, 0));
}

#[test]
fn options_leave_out_and_count() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    world.apply(a, Change::Process(process(10, "curl")));
    world.apply(b, Change::Process(process(20, "nginx")));
    world.apply(b, Change::Process(process(21, "idle")));
    let mut kernel = process(2, "kworker");
    kernel.kernel_thread = true;
    world.apply(a, Change::Process(kernel));
    world.apply(
        a,
        connection(end(1, 10, Outbound, "10.0.0.1:5000", "10.0.0.2:80")),
    );
    world.apply(
        b,
        connection(end(1, 20, Inbound, "10.0.0.2:80", "10.0.0.1:5000")),
    );
    let seen = world.see_with(ViewKind::Processes, v1::ViewOptions::default());
    assert_eq!(
        (seen.labels(), seen.hidden),
        (vec!["curl".into(), "nginx".into()], 2)
    );
    let only_b = v1::ViewOptions {
        unconnected: Some(true),
        hosts: vec!["b.example".into()],
        ..Default::default()
    };
    let seen = world.see_with(ViewKind::Processes, only_b);
    assert_eq!(seen.labels(), ["idle", "nginx"]);
    assert!(seen.edges.is_empty());
    let all = v1::ViewOptions {
        unconnected: Some(true),
        kernel_threads: Some(true),
        ..Default::default()
    };
    assert_eq!(world.see_with(ViewKind::Processes, all).nodes.len(), 4);
}

#[test]
fn containers_and_hosts_have_parents_children_health_and_groups() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let mut inside = process(10, "redis");
    inside.container_id = "c".repeat(64);
    world.apply(agent, Change::Process(inside));
    let mut record = container(&"c".repeat(64), "/cache", &[]);
    world.apply(agent, Change::Container(record.clone()));
    let seen = world.see(ViewKind::Containers);
    let node = &seen.nodes[&format!("container;{}", "c".repeat(64))];
    assert_eq!(
        (node.label.as_str(), node.children, node.group.as_str()),
        ("cache", 1, "a")
    );
    let process = world
        .see(ViewKind::Processes)
        .nodes
        .into_values()
        .next()
        .expect("redis");
    assert_eq!(process.parents[0].id, node.id);
    assert_eq!(process.parents[1].id, "host;a");
    assert_eq!(world.see(ViewKind::Hosts).nodes["host;a"].children, 1);
    assert_eq!(node.health, "ok");
    // (state, main process killed, kills, exit code) and what a person reads.
    let cases = [
        (
            v1::ContainerState::Running,
            false,
            1,
            0,
            "running: warning: 1 process in it was killed for want of memory",
        ),
        (
            v1::ContainerState::Exited,
            false,
            2,
            1,
            "exited: warning: exited with code 1 after 2 processes in it were killed for want of memory",
        ),
        (
            v1::ContainerState::Exited,
            true,
            1,
            137,
            "exited: critical: killed by the kernel for want of memory",
        ),
        (v1::ContainerState::Exited, true, 0, 0, "exited: ok: "),
    ];
    for (state, oom_killed, oom_kills, exit_code, words) in cases {
        record.state = state.into();
        record.oom_killed = oom_killed;
        record.oom_kills = oom_kills;
        record.last_oom_kill_unix_ns = oom_kills * 1_700_000_000_000_000_000;
        record.exit_code = exit_code;
        let events = world.events.len();
        world.apply(agent, Change::Container(record.clone()));
        assert!(world.events.len() > events, "a change worth an event");
        let nodes = world.see(ViewKind::Containers).nodes;
        let node = nodes.into_values().next().expect("cache");
        assert_eq!(
            format!("{}: {}: {}", node.state, node.health, node.health_reason),
            words
        );
        let kills = node.metadata.iter().find(|field| field.key == "oom_kills");
        assert_eq!(
            kills.map(|field| field.value.clone()),
            (oom_kills > 0).then(|| oom_kills.to_string())
        );
    }
}

#[test]
fn environment_is_shown_only_when_asked_for_and_never_in_events() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let mut record = container("c", "web", &[]);
    record.environment.push(v1::KeyValue {
        key: "PASSWORD".into(),
        value: "secret".into(),
    });
    world.apply(agent, Change::Container(record));
    let hidden = world
        .topology
        .node(ViewKind::Containers, "container;c", false)
        .expect("there");
    assert!(!format!("{hidden:?}").contains("secret"));
    let asked = world
        .topology
        .node(ViewKind::Containers, "container;c", true)
        .expect("there");
    assert!(format!("{asked:?}").contains("secret"));
    assert!(!format!("{:?}", world.events).contains("secret"));
}

#[test]
fn a_snapshot_replaces_and_what_is_not_in_it_is_gone() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    for pid in [10, 11] {
        world.apply(agent, Change::Process(process(pid, "sleep")));
    }
    world.apply(
        agent,
        connection(end(1, 10, Outbound, "10.0.0.1:5000", "9.9.9.9:53")),
    );
    world.apply(agent, Change::Container(container("c", "web", &[])));
    world.snapshot(
        agent,
        vec![
            host("a", &["10.0.0.1"]),
            Change::Process(process(11, "sleep")),
        ],
    );
    let live = v1::ViewOptions {
        unconnected: Some(true),
        ended: Some(false),
        ..Default::default()
    };
    let seen = world.see_with(ViewKind::Processes, live);
    assert_eq!(seen.nodes.len(), 1);
    let seen = world.see(ViewKind::Processes);
    let gone = seen
        .nodes
        .values()
        .find(|node| node.state == "exited")
        .expect("kept for a while");
    assert_eq!(gone.health, "unknown");
    assert!(seen.edges.values().all(|edge| edge.connections_open == 0));
    world.pass(16_000);
    assert_eq!(world.see(ViewKind::Processes).nodes.len(), 1);
    assert!(world.see(ViewKind::Containers).nodes.is_empty());
}

#[test]
fn a_restarted_agent_counts_nothing_twice_and_keeps_its_ids() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let mut flow = end(1, 10, Outbound, "10.0.0.1:5000", "93.184.216.34:443");
    flow.bytes_sent = 500;
    let facts = vec![
        host("a", &["10.0.0.1"]),
        Change::Process(process(10, "app")),
        connection(flow),
    ];
    world.snapshot(agent, facts.clone());
    let before = world.see(ViewKind::Processes);
    world
        .topology
        .disconnect_agent(agent, world.now_ms, &mut world.events);
    assert!(!world.see(ViewKind::Processes).incomplete.is_empty());
    let again = world.connect("a", 2);
    assert_eq!(again, agent);
    world.snapshot(agent, facts);
    let after = world.see(ViewKind::Processes);
    assert_eq!(before.nodes, after.nodes);
    assert_eq!(before.edges, after.edges);
    assert!(after.incomplete.is_empty(), "{:?}", after.incomplete);
}

#[test]
fn a_silent_agent_is_named_then_offline_then_forgotten() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "app")));
    world.apply(agent, Change::Listener(listener(9, 10, "0.0.0.0:80")));
    world
        .topology
        .disconnect_agent(agent, world.now_ms, &mut world.events);
    assert!(
        world.topology.incomplete()[0]
            .message
            .contains("a.example has been silent since")
    );
    assert_eq!(world.see(ViewKind::Hosts).nodes["host;a"].state, "running");
    world.pass(301_000);
    assert_eq!(world.see(ViewKind::Hosts).nodes["host;a"].state, "offline");
    assert_eq!(world.see(ViewKind::Hosts).nodes["host;a"].health, "unknown");
    let app = world
        .see(ViewKind::Processes)
        .nodes
        .into_values()
        .next()
        .expect("still there");
    assert_eq!(app.health, "unknown");
    world.pass(3_300_000);
    assert!(world.see(ViewKind::Hosts).nodes.is_empty());
    assert!(world.see(ViewKind::Processes).nodes.is_empty());
    assert!(world.topology.agents(world.now_ms).is_empty());
    assert!(world.topology.incomplete().is_empty());
    let fills = world.topology.stats().fills;
    let left: Vec<_> = fills
        .iter()
        .filter(|fill| fill.used > 0)
        .map(|fill| fill.name)
        .collect();
    assert!(
        left.iter()
            .all(|name| name.ends_with("journal") || *name == "applications"),
        "{left:?}"
    );
}

#[test]
fn gaps_are_sentences_with_names_and_go_when_closed() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Container(container("c", "bomb", &[])));
    let mut gap = v1::Gap {
        kind: v1::GapKind::Throttled.into(),
        what: "process".into(),
        since_unix_ns: START_MS * 1_000_000,
        count: 12_345,
        container_id: "c".into(),
        ..Default::default()
    };
    world.apply(agent, Change::Gap(gap.clone()));
    let list = world.topology.incomplete();
    assert!(
        list[0]
            .message
            .contains("12345 process events of container bomb"),
        "{}",
        list[0].message
    );
    assert_eq!(
        world.see(ViewKind::Containers).nodes["container;c"].health,
        "warning"
    );
    assert!(!world.topology.agents(world.now_ms)[0].complete);
    gap.until_unix_ns = gap.since_unix_ns + 1;
    world.apply(agent, Change::Gap(gap));
    assert!(world.topology.incomplete().is_empty());
    assert_eq!(
        world.see(ViewKind::Containers).nodes["container;c"].health,
        "ok"
    );
    let missing = v1::Capability {
        name: "udp-bytes".into(),
        reason: "off; turn it on with --tier2 node".into(),
        ..Default::default()
    };
    world.apply(
        agent,
        Change::AgentStatus(v1::AgentStatus {
            capabilities: vec![missing],
            ..Default::default()
        }),
    );
    assert_eq!(
        world.topology.incomplete()[0].message,
        "a.example does not have udp-bytes: off; turn it on with --tier2 node."
    );
    assert!(world.topology.agents(world.now_ms)[0].complete);
}

#[test]
fn a_full_table_refuses_says_so_and_changes_nothing() {
    let mut world = World::with(Limits {
        processes: 2,
        connections: 1,
        ..Limits::default()
    });
    let agent = world.agent("a", "10.0.0.1");
    for pid in [10, 11] {
        world.apply(agent, Change::Process(process(pid, "app")));
    }
    assert!(
        world
            .try_apply(agent, Change::Process(process(12, "app")))
            .is_err()
    );
    assert_eq!(world.see(ViewKind::Processes).nodes.len(), 2);
    assert!(
        world.topology.incomplete()[0]
            .message
            .contains("1 processes of a.example are left out")
    );
    // An ended one makes room.
    world.apply(agent, Change::Process(ended(process(10, "app"), 0)));
    world.apply(agent, Change::Process(process(12, "app")));
    world.apply(
        agent,
        connection(end(1, 11, Outbound, "10.0.0.1:5000", "9.9.9.9:53")),
    );
    assert!(
        world
            .try_apply(
                agent,
                connection(end(2, 11, Outbound, "10.0.0.1:5001", "9.9.9.9:53"))
            )
            .is_err()
    );
    assert_eq!(world.see(ViewKind::Processes).edges.len(), 1);
}

#[test]
fn malformed_changes_are_refused() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let mut nowhere = end(1, 10, Outbound, "10.0.0.1:5000", "9.9.9.9:53");
    nowhere.remote = None;
    let broken = [
        connection(nowhere),
        connection(end(0, 10, Outbound, "10.0.0.1:5000", "9.9.9.9:53")),
        Change::Process(v1::Process::default()),
        Change::Container(v1::Container::default()),
        Change::Listener(v1::Listener::default()),
        Change::AddressName(v1::AddressName {
            address: vec![1],
            name: "x".into(),
            ..Default::default()
        }),
        Change::Gap(v1::Gap::default()),
    ];
    for change in broken {
        assert!(world.try_apply(agent, change).is_err());
    }
    assert!(world.see(ViewKind::Processes).nodes.is_empty());
}

#[test]
fn edges_and_addresses_without_room_are_said_to_be_missing() {
    let limits = Limits {
        edges: 3,
        pseudo_nodes: 2,
        ..Limits::default()
    };
    let mut world = World::with(limits);
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "scanner")));
    for n in 1..=6 {
        let (local, remote) = (format!("10.0.0.1:{}", 5_000 + n), format!("10.9.0.{n}:80"));
        world.apply(agent, connection(end(n, 10, Outbound, &local, &remote)));
    }
    world.pass(1_000);
    let seen = world.see(ViewKind::Processes);
    assert!(seen.edges.len() <= 3 && seen.labels().contains(&"Other addresses".to_owned()));
    assert!(
        seen.incomplete[0].message.contains("had no room"),
        "{:?}",
        seen.incomplete
    );
    world.pass(62_000);
    assert!(world.see(ViewKind::Processes).incomplete.is_empty());
}
