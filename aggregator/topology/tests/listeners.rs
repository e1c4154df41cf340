//! Whose a connection is when only its listener tells, and the listener has closed.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, Protocol, change::Change};
use mesoscope_topology::{AgentKey, Limits, Stats, ViewKind};

/// A host with a client, and one whose servers take turns on port 80.
struct Hosts {
    world: World,
    clients: AgentKey,
    servers: AgentKey,
}

impl Hosts {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let mut world = World::with(limits);
        let clients = world.agent("a", "10.0.0.1");
        let servers = world.agent("b", "10.0.0.2");
        world.apply(clients, Change::Process(process(10, "curl")));
        world.apply(servers, Change::Process(process(20, "old")));
        world.apply(servers, Change::Process(process(21, "new")));
        Self {
            world,
            clients,
            servers,
        }
    }

    fn listens(&mut self, listener: v1::Listener) {
        self.world.apply(self.servers, Change::Listener(listener));
    }

    fn connects(&mut self, connection: v1::Connection) {
        self.world
            .apply(self.clients, Change::Connection(connection));
    }

    fn arrows(&self) -> Vec<String> {
        self.world.see(ViewKind::Processes).arrows()
    }
}

fn unix_ns(after_start_ms: u64) -> u64 {
    (START_MS + after_start_ms) * 1_000_000
}

fn old() -> v1::Listener {
    listener(1, 20, "0.0.0.0:80")
}

fn new() -> v1::Listener {
    listener(2, 21, "0.0.0.0:80")
}

fn closed_at(mut listener: v1::Listener, after_start_ms: u64) -> v1::Listener {
    listener.closed_unix_ns = unix_ns(after_start_ms);
    listener
}

/// The client's end; nobody sees the server's.
fn client(cookie: u64, opened_ms: u64) -> v1::Connection {
    let local = format!("10.0.0.1:{}", 5_000 + cookie);
    let mut end = end(cookie, 10, Direction::Outbound, &local, "10.0.0.2:80");
    end.opened_unix_ns = unix_ns(opened_ms);
    end
}

fn udp(mut end: v1::Connection) -> v1::Connection {
    end.protocol = Protocol::Udp.into();
    end
}

fn datagrams(mut listener: v1::Listener) -> v1::Listener {
    listener.protocol = Protocol::Udp.into();
    listener
}

fn ended_at(mut connection: v1::Connection, after_start_ms: u64) -> v1::Connection {
    connection.state = v1::ConnectionState::Closed.into();
    connection.closed_unix_ns = unix_ns(after_start_ms);
    connection
}

fn figure(stats: &Stats, name: &str) -> (usize, u64) {
    let fill = stats.fills.iter().find(|fill| fill.name == name);
    let counter = stats
        .counters
        .iter()
        .find(|counter| counter.name == format!("{name}_evicted"));
    (fill.expect("listed").used, counter.expect("listed").total)
}

#[test]
fn a_connection_stays_with_the_server_that_accepted_it_when_another_takes_the_port() {
    let mut hosts = Hosts::new();
    hosts.listens(old());
    hosts.connects(client(1, 10));
    hosts.connects(ended_at(client(2, 10), 20));
    hosts.listens(closed_at(old(), 100));
    assert_eq!(hosts.arrows(), ["curl>old"], "it drains");
    hosts.listens(new());
    assert_eq!(hosts.arrows(), ["curl>old"]);
    hosts.connects(client(3, 200));
    assert_eq!(hosts.arrows(), ["curl>new", "curl>old"]);
    let before = hosts.world.see(ViewKind::Processes);
    let told = |pid, name: &str| Change::Process(process(pid, name));
    let snapshot = vec![
        host("b", &["10.0.0.2"]),
        told(20, "old"),
        told(21, "new"),
        Change::Listener(new()),
    ];
    hosts.world.snapshot(hosts.servers, snapshot);
    assert_eq!(
        hosts.world.see(ViewKind::Processes).edges,
        before.edges,
        "a snapshot moves nothing"
    );
}

#[test]
fn the_server_of_a_connection_is_the_same_whichever_host_reports_first() {
    for server_first in [true, false] {
        let mut hosts = Hosts::new();
        for server in [server_first, !server_first] {
            if server {
                hosts.listens(old());
                hosts.listens(closed_at(old(), 100));
                hosts.listens(new());
            } else {
                hosts.connects(ended_at(client(1, 50), 150));
                hosts.connects(ended_at(client(2, 120), 150));
            }
        }
        assert_eq!(hosts.arrows(), ["curl>new", "curl>old"], "{server_first}");
    }
}

#[test]
fn what_came_after_the_listener_closed_is_nobodys() {
    let mut hosts = Hosts::new();
    hosts.listens(old());
    hosts.listens(closed_at(old(), 100));
    hosts.connects(client(1, 101));
    assert_eq!(hosts.arrows(), ["curl>10.0.0.2"]);
}

#[test]
fn datagrams_go_to_whoever_listens_now_or_listened_last() {
    let mut hosts = Hosts::new();
    hosts.listens(datagrams(old()));
    hosts.connects(udp(client(1, 10)));
    hosts.connects(ended_at(udp(client(2, 10)), 50));
    hosts.listens(closed_at(datagrams(old()), 100));
    assert_eq!(hosts.arrows(), ["curl>old"], "while it starts again");
    hosts.listens(datagrams(new()));
    assert_eq!(
        hosts.arrows(),
        ["curl>new", "curl>old"],
        "what had ended stays where it was"
    );
}

#[test]
fn a_closed_connection_keeps_its_server_for_as_long_as_it_is_shown() {
    let mut hosts = Hosts::new();
    hosts.listens(old());
    hosts.connects(client(1, 10));
    hosts.connects(client(2, 10));
    hosts.listens(closed_at(old(), 100));
    hosts.listens(new());
    hosts.world.pass(10_000);
    hosts.connects(ended_at(client(1, 10), 10_000));
    hosts.world.pass(10_000);
    let seen = hosts.world.see(ViewKind::Processes);
    assert_eq!(seen.arrows(), ["curl>old"]);
    // Then an open one is drawn as an aggregator would that never knew the old listener.
    hosts.world.pass(11_000);
    assert_eq!(hosts.arrows(), ["curl>new"]);
    let stats = hosts.world.topology.stats();
    assert_eq!(figure(&stats, "closed_listeners"), (0, 0));
}

#[test]
fn a_listener_that_was_only_thought_to_be_closed_goes_on() {
    let mut hosts = Hosts::new();
    hosts.listens(old());
    hosts.listens(closed_at(old(), 100));
    hosts.listens(old());
    hosts.connects(client(1, 200));
    assert_eq!(hosts.arrows(), ["curl>old"]);
    hosts.world.pass(31_000);
    assert_eq!(hosts.arrows(), ["curl>old"]);
}

#[test]
fn closed_listeners_are_bounded_in_all_and_per_port() {
    let mut hosts = Hosts::with(Limits {
        listeners: 60,
        closed_listeners: 50,
        ..Limits::default()
    });
    for cookie in 1..=100 {
        let turn = listener(cookie, 20, "0.0.0.0:80");
        hosts.listens(turn.clone());
        hosts.listens(closed_at(turn, cookie));
    }
    let stats = hosts.world.topology.stats();
    assert_eq!(figure(&stats, "closed_listeners").1, 100 - 32, "one port");
    for cookie in 101..=200 {
        let port = 1_000 + cookie;
        let other = listener(cookie, 20, &format!("0.0.0.0:{port}"));
        hosts.listens(other.clone());
        hosts.listens(closed_at(other, cookie));
    }
    let stats = hosts.world.topology.stats();
    assert_eq!(figure(&stats, "closed_listeners"), (50, 150), "all ports");
    // Those that are closed make room for those that listen.
    for cookie in 201..=260 {
        let port = 1_000 + cookie;
        hosts.listens(listener(cookie, 20, &format!("0.0.0.0:{port}")));
    }
    let one_more = Change::Listener(listener(300, 20, "0.0.0.0:90"));
    assert!(hosts.world.try_apply(hosts.servers, one_more).is_err());
}
