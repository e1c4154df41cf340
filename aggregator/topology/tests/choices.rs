//! What views show of which containers, what stands outside under a name of its own, how much there
//! is, and details in parts.

#![allow(missing_docs)]

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{AgentKey, Options, Part, View, ViewKind};

fn id(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn within(mut process: v1::Process, container: char) -> Change {
    process.container_id = id(container);
    Change::Process(process)
}

fn pod(digit: char, name: &str, namespace: &str, labels: &[(&str, &str)]) -> v1::Container {
    let label = |(key, value): &(&str, &str)| v1::KeyValue {
        key: (*key).into(),
        value: (*value).into(),
    };
    v1::Container {
        pod_name: name.into(),
        pod_namespace: namespace.into(),
        labels: labels.iter().map(label).collect(),
        ..container(&id(digit), name, &[])
    }
}

/// One host with two pods in two namespaces, a container in a network of its own, and a process
/// outside of any.
fn world() -> (World, AgentKey) {
    let mut world = World::new();
    let a = world.agent("a", "10.0.0.1");
    let shop = pod('1', "shop", "prod", &[("team", "shop"), ("tier", "web")]);
    let data = pod('2', "data", "test", &[("team", "data")]);
    let lone = v1::Container {
        network_mode: "back".into(),
        ..container(&id('3'), "lone", &[])
    };
    for container in [shop, data, lone] {
        world.apply(a, Change::Container(container));
    }
    for (pid, container) in [(11, '1'), (12, '2'), (13, '3')] {
        world.apply(a, within(process(pid, &format!("p{container}")), container));
    }
    world.apply(a, Change::Process(process(14, "outside")));
    (world, a)
}

fn only(namespaces: &[&str], networks: &[&str], labels: &[&str]) -> v1::ViewOptions {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    v1::ViewOptions {
        unconnected: Some(true),
        namespaces: texts(namespaces),
        networks: texts(networks),
        labels: texts(labels),
        ..Default::default()
    }
}

#[test]
fn containers_are_chosen_by_namespace_network_and_label() {
    let (world, _) = world();
    let labels = |view, options| world.see_with(view, options).labels();
    let containers = |options| labels(ViewKind::Containers, options);
    assert_eq!(containers(only(&["prod"], &[], &[])), ["shop"]);
    assert_eq!(
        containers(only(&["prod", "test"], &[], &[])),
        ["data", "shop"]
    );
    assert_eq!(containers(only(&[], &["back"], &[])), ["lone"]);
    assert_eq!(containers(only(&[], &[], &["team"])), ["data", "shop"]);
    assert_eq!(
        containers(only(&[], &[], &["team=shop", "tier=web"])),
        ["shop"]
    );
    assert!(containers(only(&["test"], &[], &["team=shop"])).is_empty());
    let processes = labels(ViewKind::Processes, only(&["prod"], &[], &[]));
    assert_eq!(processes, ["p1"], "what is in them, and nothing outside");
    let images = labels(ViewKind::ContainersByImage, only(&[], &[], &["team"]));
    assert_eq!(images, ["data", "shop"]);
    assert_eq!(labels(ViewKind::Hosts, only(&["prod"], &[], &[])).len(), 1);
}

#[test]
fn a_label_that_comes_later_moves_a_container_and_its_processes() {
    let (mut world, a) = world();
    let options = only(&[], &[], &["team=shop"]);
    let views = [ViewKind::Containers, ViewKind::Processes];
    let mut views = views.map(|kind| View::new(kind, Options::new(kind, &options)));
    for view in &mut views {
        view.diff(&world.topology, world.now_ms).expect("the whole");
    }
    let changed = pod('2', "data", "test", &[("team", "shop")]);
    world.apply(a, Change::Container(changed));
    let news = views.map(|mut view| {
        let diff = view.diff(&world.topology, world.now_ms).expect("news");
        diff.nodes
            .into_iter()
            .map(|node| node.label)
            .collect::<Vec<_>>()
    });
    assert_eq!(news, [["data"], ["p2"]]);
}

#[test]
fn own_services_are_named_by_address_and_by_what_dns_says() {
    let mut world = World::new();
    world.topology.name_services(
        [
            "Office=10.8.0.0/16",
            "Payments=*.pay.example",
            "Never=203.0.113.0/24",
        ]
        .map(|text| text.parse().expect("valid"))
        .to_vec(),
    );
    let a = world.agent("a", "10.0.0.1");
    world.apply(a, Change::Process(process(10, "app")));
    let name = |ip: &str, name: &str, from_answer| {
        Change::AddressName(v1::AddressName {
            address: mesoscope_proto::address::to_bytes(ip.parse().expect("literal")),
            name: name.into(),
            from_answer,
        })
    };
    // A reverse look-up names no service by itself.
    world.apply(a, name("93.184.216.7", "eu1.pay.example", false));
    world.apply(a, name("93.184.216.8", "host.other.example", false));
    let remotes = [
        "10.8.1.2:22",
        "10.8.200.3:22",
        "93.184.216.7:443",
        "93.184.216.8:443",
    ];
    for (cookie, remote) in (1..).zip(remotes) {
        let local = format!("10.0.0.1:{}", 40_000 + cookie);
        let end = end(cookie, 10, Direction::Outbound, &local, remote);
        world.apply(a, Change::Connection(end));
    }
    for view in [ViewKind::Processes, ViewKind::Hosts] {
        let seen = world.see(view);
        let ids: Vec<&String> = seen
            .nodes
            .keys()
            .filter(|id| id.starts_with("pseudo;"))
            .collect();
        assert_eq!(
            ids,
            [
                "pseudo;internet;out",
                "pseudo;service;Office",
                "pseudo;service;Payments"
            ],
            "{view}"
        );
    }
    // A name that is learned later counts for what is open already.
    world.apply(a, name("93.184.216.8", "api.pay.example", true));
    assert_eq!(
        world.see(ViewKind::Processes).arrows(),
        ["app>Office", "app>Payments"]
    );
}

#[test]
fn every_view_is_counted_as_it_would_be_seen() {
    let (mut world, a) = world();
    world.apply(a, Change::Listener(listener(5, 14, "10.0.0.1:80")));
    for (cookie, pid) in [(1, 11), (2, 12), (3, 13)] {
        let local = format!("10.0.0.1:{}", 40_000 + cookie);
        let end = end(cookie, pid, Direction::Outbound, &local, "10.0.0.1:80");
        world.apply(a, Change::Connection(end));
    }
    for view in ViewKind::ALL {
        let seen = world.see(view);
        let mut counting = world.topology.begin_counting(view);
        let mut rounds = 0;
        while world.topology.count(&mut counting, 2) {
            rounds += 1;
        }
        let size = counting.size();
        let real = seen.nodes.values().filter(|node| !node.pseudo).count();
        assert_eq!((size.nodes, size.edges), (real, seen.edges.len()), "{view}");
        assert!(rounds < 50, "it ends");
    }
    let choices = world.topology.choices();
    assert!(choices.namespaces.iter().eq(["prod", "test"]));
    assert!(choices.networks.iter().eq(["back", "bridge"]));
}

#[test]
fn children_and_connections_come_in_parts() {
    let (mut world, a) = world();
    for cookie in 1..=5_u64 {
        let local = format!("10.0.0.1:{}", 40_000 + cookie);
        let end = end(cookie, 11, Direction::Outbound, &local, "198.51.100.7:443");
        world.apply(a, Change::Connection(end));
    }
    let part = |skip, take| Part { skip, take };
    let host = |children, connections| {
        let details =
            world
                .topology
                .node_in_part(ViewKind::Hosts, "host;a", false, children, connections);
        details.expect("it is there")
    };
    let names = |children| -> (Vec<String>, u32) {
        let details = host(children, Part::NONE);
        let names = details.children.into_iter().map(|child| child.label);
        (names.collect(), details.children_left_out)
    };
    let text = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(part(0, 2)), (text(&["data", "lone"]), 1));
    assert_eq!(names(part(2, 2)), (text(&["shop"]), 0));
    assert_eq!(names(part(7, 2)), (text(&[]), 0));
    let ports = |connections| -> (Vec<u32>, u32) {
        let details = host(Part::NONE, connections);
        let local = |one: v1::ConnectionDetails| one.local.expect("known").port;
        let ports = details.connections.into_iter().map(local).collect();
        (ports, details.connections_left_out)
    };
    assert_eq!(ports(part(0, 3)), (vec![40_001, 40_002, 40_003], 2));
    assert_eq!(ports(part(3, 3)), (vec![40_004, 40_005], 0));
    let whole = world.topology.node(ViewKind::Hosts, "host;a", false);
    assert_eq!(whole.expect("it is there").connections.len(), 5);
}

#[test]
fn containers_are_grouped_by_what_dns_calls_them() {
    let mut world = World::new();
    let a = world.agent("a", "10.0.0.1");
    let b = world.agent("b", "10.0.0.2");
    let web = v1::Container {
        hostname: "4f1c".into(),
        ..container(&id('1'), "web-1", &["10.1.0.7"])
    };
    let other = v1::Container {
        hostname: "8a2b".into(),
        ..container(&id('2'), "web-2", &["10.1.0.8"])
    };
    world.apply(a, Change::Container(web));
    world.apply(b, Change::Container(other));
    let kind = ViewKind::ContainersByHostname;
    let mut view = View::new(kind, Options::new(kind, &v1::ViewOptions::default()));
    let mut client = Client::default();
    let look = |world: &World, view: &mut View, client: &mut Client| -> Vec<String> {
        if let Some(diff) = view.diff(&world.topology, world.now_ms) {
            client.apply(diff);
        }
        client.nodes.keys().cloned().collect()
    };
    assert_eq!(
        look(&world, &mut view, &mut client),
        ["hostname;4f1c", "hostname;8a2b"]
    );
    let name = |ip: &str, name: &str, from_answer| {
        Change::AddressName(v1::AddressName {
            address: mesoscope_proto::address::to_bytes(ip.parse().expect("literal")),
            name: name.into(),
            from_answer,
        })
    };
    // What a reverse look-up gave gives way to what a process asked for, on whichever host.
    world.apply(a, name("10.1.0.7", "10-1-0-7.pods.example", false));
    world.apply(b, name("10.1.0.7", "web.shop.example.", true));
    world.apply(b, name("10.1.0.8", "web.shop.example", true));
    assert_eq!(
        look(&world, &mut view, &mut client),
        ["hostname;web.shop.example"]
    );
    assert_eq!(client.nodes["hostname;web.shop.example"].children, 2);
    let seen = world.see(ViewKind::Containers);
    let field = seen.nodes[&format!("container;{}", id('1'))]
        .metadata
        .iter()
        .find(|field| field.key == "dns_name");
    assert_eq!(
        field.map(|field| field.value.as_str()),
        Some("web.shop.example")
    );
    // An address that two hosts have is called as each of them knows it.
    world.apply(
        b,
        Change::Container(container(&id('3'), "twin", &["10.1.0.7"])),
    );
    let ids = look(&world, &mut view, &mut client);
    assert!(
        ids.contains(&"hostname;10-1-0-7.pods.example".to_owned()),
        "{ids:?}"
    );
    assert_eq!(client.nodes["hostname;web.shop.example"].children, 2);
}
