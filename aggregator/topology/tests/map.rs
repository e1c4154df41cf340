//! Which nodes a connection joins, and what its edge says.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, Protocol, change::Change};
use mesoscope_topology::{Limits, ViewKind};

use Direction::{Inbound, Outbound};

fn connection(end: v1::Connection) -> Change {
    Change::Connection(end)
}

#[test]
fn both_ends_on_one_host_are_one_edge_counted_once() {
    let client = end(1, 10, Outbound, "127.0.0.1:5000", "127.0.0.1:80");
    let server = end(2, 20, Inbound, "127.0.0.1:80", "127.0.0.1:5000");
    for client_first in [true, false] {
        let mut world = World::new();
        let agent = world.agent("a", "10.0.0.1");
        world.apply(agent, Change::Process(process(10, "curl")));
        world.apply(agent, Change::Process(process(20, "nginx")));
        let mut ends = [
            closed(client.clone(), 100, 900),
            closed(server.clone(), 900, 100),
        ];
        if !client_first {
            ends.reverse();
        }
        for end in ends {
            world.apply(agent, connection(end));
        }
        let seen = world.see(ViewKind::Processes);
        assert_eq!(seen.arrows(), ["curl>nginx"]);
        let edge = seen.edges.values().next().expect("one");
        assert_eq!((edge.bytes_forward, edge.bytes_back), (100, 900));
        assert_eq!((edge.connections_total, edge.connections_open), (1, 0));
        assert_eq!(edge.ports, [80]);
    }
}

#[test]
fn ends_on_two_hosts_join_and_loopback_ends_do_not() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    world.apply(a, Change::Process(process(10, "curl")));
    world.apply(b, Change::Process(process(20, "nginx")));
    world.apply(
        b,
        connection(end(1, 20, Inbound, "10.0.0.2:80", "10.0.0.1:5000")),
    );
    world.apply(
        a,
        connection(end(1, 10, Outbound, "10.0.0.1:5000", "10.0.0.2:80")),
    );
    // The same loopback addresses on two hosts have nothing to do with each other.
    world.apply(
        a,
        connection(end(2, 10, Outbound, "127.0.0.1:7000", "127.0.0.1:90")),
    );
    world.apply(
        b,
        connection(end(2, 20, Inbound, "127.0.0.1:90", "127.0.0.1:7000")),
    );
    let seen = world.see(ViewKind::Processes);
    assert_eq!(
        seen.arrows(),
        ["127.0.0.1>nginx", "curl>127.0.0.1", "curl>nginx"]
    );
    assert_eq!(world.see(ViewKind::Hosts).arrows(), ["a.example>b.example"]);
}

#[test]
fn loopback_ends_of_two_network_namespaces_do_not_join() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    world.apply(agent, Change::Process(process(20, "nginx")));
    world.apply(
        agent,
        connection(end(1, 10, Outbound, "127.0.0.1:5000", "127.0.0.1:80")),
    );
    let mut other = end(2, 20, Inbound, "127.0.0.1:80", "127.0.0.1:5000");
    other.network_namespace = 2;
    world.apply(agent, connection(other));
    assert!(
        !world
            .see(ViewKind::Processes)
            .arrows()
            .contains(&"curl>nginx".to_owned())
    );
}

#[test]
fn address_translation_on_either_host_is_seen_through() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    world.apply(
        a,
        Change::Container(container("c1", "client", &["172.17.0.2"])),
    );
    world.apply(
        b,
        Change::Container(container("c2", "server", &["172.17.0.2"])),
    );
    // Masqueraded on the way out of one host, to a published port of the other.
    let mut client = end(1, 10, Outbound, "172.17.0.2:5000", "10.0.0.2:8080");
    client.container_id = "c1".into();
    client.translated_local = Some(endpoint("10.0.0.1:61000"));
    let mut server = end(1, 20, Inbound, "172.17.0.2:80", "10.0.0.1:61000");
    server.container_id = "c2".into();
    server.translated_local = Some(endpoint("10.0.0.2:8080"));
    world.apply(a, connection(client));
    world.apply(b, connection(server));
    let seen = world.see(ViewKind::Containers);
    assert_eq!(seen.arrows(), ["client>server"]);
    assert_eq!(seen.edges.values().next().expect("one").ports, [80]);
}

#[test]
fn the_same_container_addresses_on_two_hosts_stay_apart() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    for agent in [a, b] {
        let name = if agent == a { "a" } else { "b" };
        world.apply(
            agent,
            Change::Container(container(
                &format!("{name}1"),
                &format!("{name}-client"),
                &["172.17.0.2"],
            )),
        );
        world.apply(
            agent,
            Change::Container(container(
                &format!("{name}2"),
                &format!("{name}-server"),
                &["172.17.0.3"],
            )),
        );
    }
    let client = |id: &str| {
        let mut client = end(1, 10, Outbound, "172.17.0.2:5000", "172.17.0.3:80");
        client.container_id = id.into();
        client
    };
    let server = |id: &str| {
        let mut server = end(2, 20, Inbound, "172.17.0.3:80", "172.17.0.2:5000");
        server.container_id = id.into();
        server
    };
    world.apply(a, connection(client("a1")));
    world.apply(b, connection(server("b2")));
    world.apply(b, connection(client("b1")));
    world.apply(a, connection(server("a2")));
    assert_eq!(
        world.see(ViewKind::Containers).arrows(),
        ["a-client>a-server", "b-client>b-server"]
    );
}

#[test]
fn a_listener_names_the_other_side_until_its_end_arrives() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    world.apply(
        agent,
        connection(end(1, 10, Outbound, "127.0.0.1:5000", "127.0.0.1:80")),
    );
    assert_eq!(world.see(ViewKind::Processes).arrows(), ["curl>127.0.0.1"]);
    world.apply(agent, Change::Process(process(20, "master")));
    world.apply(agent, Change::Listener(listener(9, 20, "0.0.0.0:80")));
    assert_eq!(world.see(ViewKind::Processes).arrows(), ["curl>master"]);
    world.apply(agent, Change::Process(process(21, "worker")));
    world.apply(
        agent,
        connection(end(2, 21, Inbound, "127.0.0.1:80", "127.0.0.1:5000")),
    );
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), ["curl>worker"]);
    assert_eq!(
        seen.edges.values().next().expect("one").connections_total,
        1
    );
}

#[test]
fn a_published_port_leads_to_its_container_on_another_host() {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    let mut web = container("c", "web", &["172.17.0.5"]);
    web.ports.push(v1::PortMapping {
        protocol: "tcp".into(),
        host_address: "0.0.0.0".into(),
        host_port: 8080,
        container_port: 80,
    });
    world.apply(a, Change::Process(process(10, "curl")));
    world.apply(
        a,
        connection(end(1, 10, Outbound, "10.0.0.1:5000", "10.0.0.2:8080")),
    );
    assert_eq!(
        world.see(ViewKind::Containers).arrows(),
        ["Uncontained>Uncontained"]
    );
    world.apply(b, Change::Container(web));
    assert_eq!(
        world.see(ViewKind::Containers).arrows(),
        ["Uncontained>web"]
    );
    let mut inside = listener(3, 20, "0.0.0.0:80");
    inside.container_id = "c".into();
    inside.network_namespace = 7;
    world.apply(b, Change::Process(process(20, "nginx")));
    world.apply(b, Change::Listener(inside));
    assert_eq!(world.see(ViewKind::Processes).arrows(), ["curl>nginx"]);
}

#[test]
fn what_is_on_no_agent_is_internet_service_or_address() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "app")));
    let out = |cookie, remote: &str| {
        connection(end(
            cookie,
            10,
            Outbound,
            &format!("10.0.0.1:{}", 5000 + cookie),
            remote,
        ))
    };
    world.apply(agent, out(1, "93.184.216.34:443"));
    world.apply(agent, out(2, "169.254.169.254:80"));
    world.apply(agent, out(3, "10.9.9.9:5432"));
    world.apply(agent, out(4, "52.1.2.3:443"));
    world.apply(
        agent,
        connection(end(5, 10, Inbound, "10.0.0.1:80", "81.2.3.4:999")),
    );
    let name = v1::AddressName {
        address: vec![52, 1, 2, 3],
        name: "api.stripe.com.".into(),
        from_answer: true,
    };
    world.apply(agent, Change::AddressName(name));
    let expected = [
        "The Internet>app",
        "app>10.9.9.9",
        "app>Instance metadata",
        "app>The Internet",
        "app>api.stripe.com",
    ];
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), expected);
    assert!(
        seen.nodes.contains_key("pseudo;internet;in")
            && seen.nodes.contains_key("pseudo;internet;out")
    );
    let at = "pseudo;service;api.stripe.com";
    let details = world
        .topology
        .node(ViewKind::Processes, at, false)
        .expect("is shown");
    assert_eq!(details.connections.len(), 1);
    assert_eq!(
        (
            details.connections[0].direction.as_str(),
            details.connections[0].local.clone()
        ),
        ("in", Some(endpoint("52.1.2.3:443")))
    );
}

#[test]
fn a_snapshot_that_ends_more_than_is_kept_forgets_the_oldest() {
    let mut world = World::with(Limits {
        ended_processes: 3,
        closed_connections: 3,
        ..Limits::default()
    });
    let agent = world.agent("a", "10.0.0.1");
    for pid in 10..30 {
        world.apply(agent, Change::Process(process(pid, "sleep")));
        // Ended and running in turn, so that room is made while the snapshot is taken in.
        if pid % 2 == 0 {
            world.apply(agent, Change::Process(ended(process(pid, "sleep"), 0)));
        }
        let local = format!("10.0.0.1:{}", 5000 + pid);
        let open = end(pid.into(), pid, Outbound, &local, "9.9.9.9:53");
        world.apply(agent, connection(open));
    }
    world.pass(1_000);
    world.connect("a", 2);
    world.snapshot(agent, vec![host("a", &["10.0.0.1"])]);
    world.pass(17_000);
    assert!(
        world
            .see(ViewKind::Processes)
            .nodes
            .values()
            .all(|node| node.kind != "process")
    );
}

#[test]
fn udp_to_a_listening_socket_and_a_late_name_of_the_application() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "dig")));
    world.apply(agent, Change::Process(process(20, "unbound")));
    let mut dns = listener(5, 20, "127.0.0.53:53");
    dns.protocol = Protocol::Udp.into();
    world.apply(agent, Change::Listener(dns));
    let mut flow = end(
        1,
        10,
        Direction::Unspecified,
        "127.0.0.1:40000",
        "127.0.0.53:53",
    );
    flow.protocol = Protocol::Udp.into();
    world.apply(agent, connection(flow.clone()));
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), ["dig>unbound"]);
    assert!(seen.edges.keys().next().expect("one").ends_with(">udp"));
    flow.application = "dns".into();
    world.apply(agent, connection(flow));
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.edges.len(), 1);
    assert!(seen.edges.keys().next().expect("one").ends_with(">udp/dns"));
}

#[test]
fn rates_follow_the_counters_and_do_not_jump_for_adopted_ones() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "app")));
    let mut flow = end(1, 10, Outbound, "10.0.0.1:5000", "93.184.216.34:443");
    flow.adopted = true;
    flow.bytes_sent = 10_000_000_000;
    world.pass(1_000);
    for _ in 0..20 {
        flow.bytes_sent += 1_000;
        world.apply(agent, connection(flow.clone()));
        world.pass(1_000);
    }
    let rate = world
        .see(ViewKind::Processes)
        .edges
        .values()
        .next()
        .expect("one")
        .bytes_forward_per_s;
    assert!((900.0..1_050.0).contains(&rate), "{rate}");
    world.pass(60_000);
    let edge = world
        .see(ViewKind::Processes)
        .edges
        .into_values()
        .next()
        .expect("one");
    assert!(edge.bytes_forward_per_s.abs() < f64::EPSILON);
}

#[test]
fn a_port_used_again_is_another_connection() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    for (pid, name) in [(10, "first"), (11, "second"), (20, "server")] {
        world.apply(agent, Change::Process(process(pid, name)));
    }
    let later = |mut end: v1::Connection, seconds: u64| {
        end.opened_unix_ns += seconds * 1_000_000_000;
        end.closed_unix_ns += if end.closed_unix_ns == 0 {
            0
        } else {
            seconds * 1_000_000_000
        };
        end
    };
    let client = |cookie, pid| end(cookie, pid, Outbound, "127.0.0.1:5000", "127.0.0.1:80");
    let server = |cookie| end(cookie, 20, Inbound, "127.0.0.1:80", "127.0.0.1:5000");
    // The ends of the first come last.
    world.apply(agent, connection(later(closed(client(3, 11), 7, 0), 5)));
    world.apply(agent, connection(later(closed(server(4), 0, 7), 5)));
    world.apply(agent, connection(closed(server(2), 0, 3)));
    world.apply(agent, connection(closed(client(1, 10), 3, 0)));
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), ["first>server", "second>server"]);
    let bytes: Vec<_> = seen.edges.values().map(|edge| edge.bytes_forward).collect();
    assert!(bytes.contains(&3) && bytes.contains(&7));
}

#[test]
fn a_connect_that_failed_without_a_local_end_is_drawn() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    for cookie in 1..=3 {
        let mut failed = end(cookie, 10, Outbound, "10.0.0.1:1", "10.0.0.9:81");
        failed.local = None;
        failed.state = v1::ConnectionState::Failed.into();
        failed.error = 113;
        world.apply(agent, connection(failed));
    }
    let seen = world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), ["curl>10.0.0.9"]);
    let edge = seen.edges.values().next().expect("one");
    assert_eq!((edge.failures_total, edge.connections_open), (3, 0));
}

#[test]
fn a_process_of_which_only_sockets_are_known_is_over_with_the_last_of_them() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let socket = end(1, 10, Outbound, "10.0.0.1:5000", "10.0.0.9:80");
    let state = |world: &World| {
        let seen = world.see(ViewKind::Processes);
        let process = seen.nodes.values().find(|node| node.kind == "process");
        process.map(|node| node.state.clone())
    };
    world.apply(agent, connection(socket.clone()));
    assert_eq!(state(&world).as_deref(), Some("running"));
    world.apply(agent, connection(closed(socket, 1, 1)));
    assert_eq!(state(&world).as_deref(), Some("exited"));
}
