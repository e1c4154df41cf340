//! Connections: ends told once, owners, directions, address translation, UDP.

use mesoscope_capture::Protocol::{Tcp, Udp};
use mesoscope_capture::event::TcpEndKind::{Destroyed, Error, ResetSent};
use mesoscope_proto::v1::{self, ConnectionState, Direction};

use super::world::state;
use super::world::*;
use crate::core::node_state::{Flow, FlowEnds};

const CLIENT: (&str, &str) = ("10.0.0.1:40000", "10.0.0.2:5432");
const SERVER: (&str, &str) = ("10.0.0.2:5432", "10.0.0.1:40000");

fn pid(connection: &v1::Connection) -> u32 {
    connection.process.map_or(0, |process| process.pid)
}

#[test]
fn both_ends_of_a_short_connection_are_one_message_each() {
    let mut state = state();
    state.event(bind(SECOND, 1, id(5), Tcp, "0.0.0.0:5432"));
    state.event(connect(2 * SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(2 * SECOND + MS, 2, Destroyed, CLIENT, (64, 128), 0));
    state.event(tcp_end(2 * SECOND + MS, 3, Destroyed, SERVER, (128, 64), 0));
    let told = told(&mut state);
    let [out, inward] = told.connections.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(
        (out.direction(), out.state(), pid(out), out.bytes_sent),
        (Direction::Outbound, ConnectionState::Closed, 6, 64)
    );
    assert_eq!(
        (inward.direction(), pid(inward), inward.bytes_received),
        (Direction::Inbound, 5, 64)
    );
    assert_eq!(
        (out.application.as_str(), inward.application.as_str()),
        ("postgresql", "postgresql")
    );
    assert_eq!(
        told.listeners.len(),
        1,
        "a bound socket that was accepted from listens"
    );
}

#[test]
fn a_refused_connection_failed_and_its_wiped_last_record_changes_nothing() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(SECOND, 2, Error, CLIENT, (0, 0), 111));
    let first = told(&mut state).connections;
    assert_eq!(
        (first[0].state(), first[0].error, first.len()),
        (ConnectionState::Failed, 111, 1)
    );
    state.event(tcp_end(
        2 * SECOND,
        2,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (0, 0),
        0,
    ));
    let last = told(&mut state).connections;
    assert_eq!(
        (last[0].state(), last[0].error, last[0].closed_unix_ns),
        (ConnectionState::Failed, 111, first[0].closed_unix_ns)
    );
    assert_eq!(
        last[0].local, first[0].local,
        "the first record named the ends"
    );
    state.event(tcp_end(
        3 * SECOND,
        2,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (0, 0),
        0,
    ));
    assert_eq!(
        (state.counters().ends_repeated, state.sizes().connections),
        (1, 1)
    );
}

#[test]
fn resets_of_either_side() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(SECOND, 2, Error, CLIENT, (10, 20), 104));
    state.event(tcp_end(SECOND, 2, Destroyed, CLIENT, (10, 20), 104));
    state.event(tcp_end(SECOND, 3, ResetSent, SERVER, (0, 0), 0));
    state.event(tcp_end(
        SECOND,
        3,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (20, 10),
        0,
    ));
    let told = told(&mut state).connections;
    let states: Vec<_> = told.iter().map(|c| (c.state(), c.bytes_sent)).collect();
    assert_eq!(
        states,
        [(ConnectionState::Reset, 10), (ConnectionState::Reset, 20)]
    );
}

#[test]
fn a_connect_that_failed_in_routing_never_was() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(
        SECOND,
        2,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (0, 0),
        0,
    ));
    assert_eq!(
        told(&mut state).connections[0].state(),
        ConnectionState::Failed
    );
    state.event(tcp_end(
        SECOND,
        9,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (0, 0),
        0,
    ));
    assert_eq!(state.counters().ends_unknown, 1);
}

#[test]
fn an_end_finds_its_listener_late() {
    let mut state = state();
    state.event(tcp_end(SECOND, 3, Destroyed, SERVER, (128, 64), 0));
    assert_eq!(pid(&told(&mut state).connections[0]), 0);
    assert!(state.wants_sockets());
    let listener = socket(1, Tcp, 10, ("[::]:5432", "[::]:0"), id(5));
    state.sockets_found(pass(SECOND + 100 * MS, vec![listener]));
    let told = told(&mut state).connections;
    assert_eq!(
        (pid(&told[0]), told[0].direction()),
        (5, Direction::Inbound)
    );
    assert!(!state.wants_sockets());
}

#[test]
fn ends_without_a_listener_are_given_up() {
    let mut state = state();
    state.event(tcp_end(SECOND, 3, Destroyed, SERVER, (128, 64), 0));
    state.sockets_found(pass(2 * SECOND, vec![]));
    assert!(state.wants_sockets());
    state.sockets_found(pass(7 * SECOND, vec![]));
    assert!(!state.wants_sockets());
}

#[test]
fn a_pass_adopts_updates_and_knows_the_holder() {
    let mut state = state();
    let live = |bytes, holder| {
        let mut socket = socket(3, Tcp, 1, SERVER, id(holder));
        socket.bytes_sent = bytes;
        socket
    };
    let listener = || socket(1, Tcp, 10, ("10.0.0.2:5432", NO_ADDRESS), id(5));
    let mut first = pass(SECOND, vec![listener(), live(100, 8), live(100, 5)]);
    first.adopted = true;
    state.sockets_found(first);
    let adopted = told(&mut state).connections.remove(0);
    assert_eq!(
        (pid(&adopted), adopted.direction(), adopted.adopted),
        (5, Direction::Inbound, true),
        "the oldest holder"
    );
    state.sockets_found(pass(2 * SECOND, vec![listener(), live(100, 8)]));
    assert_eq!(
        pid(&told(&mut state).connections[0]),
        8,
        "the parent closed its copy"
    );
    state.sockets_found(pass(3 * SECOND, vec![listener(), live(300, 8)]));
    assert!(
        told(&mut state).connections.is_empty(),
        "200 bytes are no news within seconds"
    );
    state.sockets_found(pass(4 * SECOND, vec![listener(), live(100_000, 8)]));
    assert_eq!(told(&mut state).connections[0].bytes_sent, 100_000);
    // Not in any descriptor any more, but the kernel still sends: it is not gone.
    state.sockets_found(pass(5 * SECOND, vec![listener()]));
    assert!(told(&mut state).connections.is_empty());
    state.event(tcp_end(6 * SECOND, 3, Destroyed, SERVER, (150_000, 10), 0));
    let told = told(&mut state).connections;
    assert_eq!(
        (told[0].bytes_sent, told[0].state(), pid(&told[0])),
        (150_000, ConnectionState::Closed, 8)
    );
    // A pass that began before the end shows it still.
    state.sockets_found(pass(5 * SECOND, vec![live(100_000, 8)]));
    assert!(super::world::told(&mut state).connections.is_empty());
}

#[test]
fn after_a_loss_what_is_missing_is_closed() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, CLIENT.1));
    let mut after_loss = pass(2 * SECOND, vec![]);
    after_loss.adopted = true;
    state.sockets_found(after_loss);
    let closed = told(&mut state).connections;
    assert_eq!(closed[0].state(), ConnectionState::Closed);
    state.event(tcp_end(3 * SECOND, 2, Destroyed, CLIENT, (7, 7), 0));
    let late = told(&mut state).connections;
    assert_eq!(
        (late.len(), late[0].bytes_sent, late[0].closed_unix_ns),
        (1, 7, closed[0].closed_unix_ns)
    );
}

#[test]
fn a_udp_socket_ends_with_its_disappearance_and_can_connect_elsewhere() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Udp, "10.0.0.53:53"));
    state.event(connect(SECOND, 9, id(6), Udp, "10.0.0.53:0"));
    state.event(connect(2 * SECOND, 2, id(6), Udp, "10.0.0.54:53"));
    let told_first = told(&mut state).connections;
    assert_eq!(told_first.len(), 2, "{told_first:?}");
    assert_eq!(told_first[0].state(), ConnectionState::Closed);
    assert_ne!(told_first[0].cookie, told_first[1].cookie);
    state.sockets_found(pass(
        3 * SECOND,
        vec![socket(2, Udp, 1, ("10.0.0.1:5353", "10.0.0.54:53"), id(6))],
    ));
    assert!(
        told(&mut state)
            .connections
            .iter()
            .all(|c| c.state() == ConnectionState::Open)
    );
    state.sockets_found(pass(4 * SECOND, vec![]));
    let gone = told(&mut state).connections;
    assert_eq!(
        (gone.len(), gone[0].state(), gone[0].application.as_str()),
        (1, ConnectionState::Closed, "dns")
    );
    assert_eq!(gone[0].cookie, told_first[1].cookie);
}

#[test]
fn a_tcp_socket_that_tries_again_is_another_connection() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(SECOND, 2, Error, CLIENT, (0, 0), 111));
    state.event(connect(2 * SECOND, 2, id(6), Tcp, CLIENT.1));
    state.event(tcp_end(3 * SECOND, 2, Destroyed, CLIENT, (5, 5), 0));
    let told = told(&mut state).connections;
    let states: Vec<_> = told.iter().map(|c| (c.state(), c.bytes_sent)).collect();
    assert_eq!(
        states,
        [(ConnectionState::Failed, 0), (ConnectionState::Closed, 5)]
    );
}

fn published() -> Flow {
    // A published port: outside 10.9.9.9 talks to the host's 10.0.0.1:8080, which is 172.17.0.2:80.
    Flow {
        protocol: Tcp,
        original: FlowEnds {
            source: address("10.9.9.9:50000"),
            destination: address("10.0.0.1:8080"),
        },
        reply: FlowEnds {
            source: address("172.17.0.2:80"),
            destination: address("172.17.0.1:50000"),
        },
        bytes_original: 0,
        bytes_reply: 0,
        destroyed: false,
    }
}

#[test]
fn translation_joins_whichever_comes_first() {
    for flow_first in [true, false] {
        let mut state = state();
        let accepted = socket(3, Tcp, 1, ("172.17.0.2:80", "172.17.0.1:50000"), id(5));
        let connecting = socket(4, Tcp, 1, ("10.9.9.9:50000", "10.0.0.1:8080"), id(6));
        if flow_first {
            state.flow(SECOND, &published());
        }
        state.sockets_found(pass(SECOND, vec![accepted, connecting]));
        if !flow_first {
            state.flow(SECOND, &published());
        }
        let told = told(&mut state).connections;
        let of = |cookie| told.iter().rfind(|c| c.cookie == cookie).expect("told");
        let at =
            |endpoint: &Option<v1::Endpoint>| endpoint.as_ref().and_then(v1::Endpoint::socket_addr);
        assert_eq!(
            at(&of(3).translated_remote),
            Some(address("10.9.9.9:50000"))
        );
        assert_eq!(at(&of(3).translated_local), Some(address("10.0.0.1:8080")));
        assert_eq!(at(&of(4).translated_remote), Some(address("172.17.0.2:80")));
        assert_eq!(
            at(&of(4).translated_local),
            Some(address("172.17.0.1:50000"))
        );
    }
}

#[test]
fn a_udp_flow_of_an_unconnected_socket_is_told_with_its_owner() {
    let mut state = state();
    state.set_host(v1::Host {
        network_namespace: NETNS,
        ..v1::Host::default()
    });
    state.event(bind(SECOND, 1, id(5), Udp, "0.0.0.0:514"));
    let mut flow = Flow {
        protocol: Udp,
        original: FlowEnds {
            source: address("10.9.9.9:50000"),
            destination: address("10.0.0.1:514"),
        },
        reply: FlowEnds {
            source: address("10.0.0.1:514"),
            destination: address("10.9.9.9:50000"),
        },
        bytes_original: 1_000_000,
        bytes_reply: 0,
        destroyed: false,
    };
    state.flow(2 * SECOND, &flow);
    flow.destroyed = true;
    let open = told(&mut state).connections;
    assert_eq!(
        (open[0].direction(), pid(&open[0]), open[0].bytes_received),
        (Direction::Inbound, 5, 1_000_000)
    );
    state.sockets_found(pass(
        3 * SECOND,
        vec![socket(1, Udp, 7, ("0.0.0.0:514", NO_ADDRESS), id(5))],
    ));
    assert!(
        told(&mut state).connections.is_empty(),
        "a pass has no flows"
    );
    state.flow(4 * SECOND, &flow);
    assert_eq!(
        told(&mut state).connections[0].state(),
        ConnectionState::Closed
    );
}

#[test]
fn a_listener_closes_with_its_socket_and_its_late_ends_still_find_it() {
    let mut state = state();
    state.sockets_found(pass(
        SECOND,
        vec![socket(1, Tcp, 10, ("10.0.0.2:5432", NO_ADDRESS), id(5))],
    ));
    assert_eq!(told(&mut state).listeners.len(), 1);
    state.event(tcp_end(
        2 * SECOND,
        1,
        Destroyed,
        (NO_ADDRESS, NO_ADDRESS),
        (0, 0),
        0,
    ));
    assert_ne!(told(&mut state).listeners[0].closed_unix_ns, 0);
    state.event(tcp_end(2 * SECOND, 3, Destroyed, SERVER, (1, 1), 0));
    assert_eq!(pid(&told(&mut state).connections[0]), 5);
    state.tick(60 * SECOND);
    assert_eq!((state.sizes().listeners, state.sizes().connections), (0, 0));
}

#[test]
fn a_flow_of_a_short_connected_udp_socket_is_not_told_twice() {
    let flow = |port: u16| Flow {
        protocol: Udp,
        original: FlowEnds {
            source: address(&format!("10.0.0.1:{port}")),
            destination: address("10.0.0.53:53"),
        },
        reply: FlowEnds {
            source: address("10.0.0.53:53"),
            destination: address(&format!("10.0.0.1:{port}")),
        },
        bytes_original: 100_000,
        bytes_reply: 7,
        destroyed: false,
    };
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Udp, "10.0.0.53:53"));
    state.flow(SECOND, &flow(5000));
    let one = told(&mut state).connections;
    assert_eq!(
        (one.len(), one[0].bytes_sent, pid(&one[0])),
        (1, 100_000, 6)
    );
    assert_eq!(
        one[0].local.as_ref().and_then(v1::Endpoint::socket_addr),
        Some(address("10.0.0.1:5000"))
    );
    // Of two it can't be told which.
    let mut state = self::state();
    state.event(connect(SECOND, 2, id(6), Udp, "10.0.0.53:53"));
    state.event(connect(SECOND, 3, id(7), Udp, "10.0.0.53:53"));
    state.flow(SECOND, &flow(5000));
    assert!(
        told(&mut state)
            .connections
            .iter()
            .all(|c| c.local.is_none())
    );
    // A flow of a socket that is not connected.
    let mut state = self::state();
    state.flow(SECOND, &flow(5000));
    assert_eq!(told(&mut state).connections.len(), 1);
}

#[test]
fn a_connect_to_the_unspecified_address_is_to_where_it_went() {
    let mut state = state();
    state.event(connect(SECOND, 2, id(6), Tcp, "0.0.0.0:5432"));
    state.sockets_found(pass(
        2 * SECOND,
        vec![socket(
            2,
            Tcp,
            1,
            ("127.0.0.1:40000", "127.0.0.1:5432"),
            id(6),
        )],
    ));
    let told = told(&mut state).connections;
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].remote.as_ref().and_then(v1::Endpoint::socket_addr),
        Some(address("127.0.0.1:5432"))
    );
}
