//! The event stream: each fact once, with the processes and containers of both sides.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, EventKind, change::Change};

use Direction::{Inbound, Outbound};

fn names(event: &v1::Event) -> (String, String) {
    let name = |process: &Option<v1::Process>| {
        process
            .as_ref()
            .map(|process| process.name.clone())
            .unwrap_or_default()
    };
    (name(&event.process), name(&event.peer_process))
}

#[test]
fn a_short_connection_between_hosts_names_both_processes_in_either_order() {
    for client_first in [true, false] {
        let mut world = World::new();
        let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
        world.apply(a, Change::Process(process(10, "curl")));
        world.apply(b, Change::Process(process(20, "nginx")));
        world.events.clear();
        let client = closed(end(1, 10, Outbound, "10.0.0.1:5000", "10.0.0.2:80"), 1, 2);
        let server = closed(end(1, 20, Inbound, "10.0.0.2:80", "10.0.0.1:5000"), 2, 1);
        if client_first {
            world.apply(a, Change::Connection(client));
            assert!(world.events.is_empty(), "it waits for the other end");
            world.pass(100);
            world.apply(b, Change::Connection(server));
        } else {
            world.apply(b, Change::Connection(server));
            world.apply(a, Change::Connection(client));
        }
        let kinds = world.kinds();
        let count = |kind| kinds.iter().filter(|known| **known == kind).count();
        assert_eq!(count(EventKind::ConnectionOpened), 2, "one per end");
        assert_eq!(count(EventKind::ConnectionClosed), 2);
        for event in &world.events {
            let expected = if event.agent_id == "a" {
                ("curl", "nginx")
            } else {
                ("nginx", "curl")
            };
            assert_eq!(names(event), (expected.0.into(), expected.1.into()));
        }
        let opened = &world.events[0].connection.as_ref().expect("has one");
        assert_eq!(opened.closed_unix_ns, 0);
    }
}

#[test]
fn without_its_other_end_it_goes_out_after_the_hold() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    world.events.clear();
    let mut refused = closed(end(1, 10, Outbound, "127.0.0.1:5000", "127.0.0.1:81"), 0, 0);
    refused.state = v1::ConnectionState::Failed.into();
    refused.error = 111;
    world.apply(agent, Change::Connection(refused));
    assert!(world.events.is_empty());
    world.pass(500);
    assert_eq!(world.kinds(), [EventKind::ConnectionFailed]);
    // To the internet nothing is waited for.
    world.events.clear();
    world.apply(
        agent,
        Change::Connection(end(2, 10, Outbound, "10.0.0.1:5001", "93.184.216.34:443")),
    );
    assert_eq!(world.kinds(), [EventKind::ConnectionOpened]);
}

#[test]
fn a_listener_is_enough_to_name_the_other_side() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    world.apply(agent, Change::Process(process(20, "nginx")));
    world.apply(agent, Change::Listener(listener(3, 20, "127.0.0.1:80")));
    world.events.clear();
    world.apply(
        agent,
        Change::Connection(end(1, 10, Outbound, "127.0.0.1:5000", "127.0.0.1:80")),
    );
    assert_eq!(world.kinds(), [EventKind::ConnectionOpened]);
    assert_eq!(names(&world.events[0]), ("curl".into(), "nginx".into()));
}

#[test]
fn repeated_messages_make_no_further_events() {
    let mut world = World::new();
    let agent = world.agent("a", "10.0.0.1");
    let mut fork = process(10, "sh");
    fork.cause = v1::ProcessCause::Fork.into();
    let mut exec = process(10, "true");
    exec.time_unix_ns += 1;
    let connection = closed(end(1, 10, Outbound, "10.0.0.1:5000", "9.9.9.9:53"), 1, 1);
    let facts = [
        Change::Process(fork),
        Change::Process(exec.clone()),
        Change::Connection(connection),
        Change::Process(ended(exec, 0)),
    ];
    world.events.clear();
    for _ in 0..2 {
        for fact in &facts {
            world.apply(agent, fact.clone());
        }
    }
    world.pass(1_000);
    let expected = [
        EventKind::ProcessStarted,
        EventKind::ProcessExec,
        EventKind::ConnectionOpened,
        EventKind::ConnectionClosed,
        EventKind::ProcessExited,
    ];
    assert_eq!(world.kinds(), expected);
}

#[test]
fn what_a_snapshot_finds_did_not_happen_now() {
    let mut world = World::new();
    let agent = world.connect("a", 1);
    world.events.clear();
    let mut found = process(10, "init");
    found.cause = v1::ProcessCause::Snapshot.into();
    world.snapshot(
        agent,
        vec![
            Change::Process(found),
            Change::Connection(end(1, 10, Outbound, "10.0.0.1:5000", "9.9.9.9:53")),
            Change::Container(container("c", "web", &[])),
        ],
    );
    assert_eq!(world.kinds(), [EventKind::Agent]);
    assert_eq!(world.events[0].agent_event, "resynced");
}

#[test]
fn held_events_are_bounded() {
    let limits = mesoscope_topology::Limits {
        held_events: 4,
        ..Default::default()
    };
    let mut world = World::with(limits);
    let agent = world.agent("a", "10.0.0.1");
    world.apply(agent, Change::Process(process(10, "curl")));
    world.events.clear();
    for n in 0..10 {
        let local = format!("127.0.0.1:{}", 5000 + n);
        world.apply(
            agent,
            Change::Connection(end(n + 1, 10, Outbound, &local, "127.0.0.1:80")),
        );
    }
    assert_eq!(world.events.len(), 6);
    world.pass(500);
    assert_eq!(world.events.len(), 10);
}
