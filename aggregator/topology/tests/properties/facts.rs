//! What agents may have to tell: facts by numbers, so that cases shrink and can be written down.

use mesoscope_proto::v1::{self, Direction, change::Change};
use proptest::prelude::*;

use crate::common::{self, *};

/// A fact by numbers, so that cases shrink.
#[derive(Clone, Copy, Debug)]
pub enum Fact {
    Exec {
        agent: usize,
        pid: u32,
        container: u8,
    },
    Exit {
        agent: usize,
        pid: u32,
        code: i32,
    },
    Container {
        agent: usize,
        container: u8,
        state: i32,
    },
    Listener {
        agent: usize,
        pid: u32,
        port: u16,
        udp: bool,
        /// One of several sockets on the port, on all addresses or on one.
        socket: u8,
        /// An index into [`CLOSED_MS`].
        closed: Option<usize>,
    },
    Connection(Connection),
    Name {
        agent: usize,
        number: u8,
    },
    Gap {
        agent: usize,
        closed: bool,
    },
}

/// A connection's two ends; which of them are seen, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub from: usize,
    pub to: usize,
    /// 0: the agent did not find out.
    pub pids: [u32; 2],
    pub port: u16,
    pub number: u16,
    pub udp: bool,
    pub client: bool,
    pub server: bool,
    pub closed: bool,
    pub loopback: bool,
    pub directed: bool,
    /// An index into [`OPENED_MS`].
    pub opened: Option<usize>,
}

pub const AGENTS: usize = 3;
/// When connections open and listeners close, so that either may come first; a connection takes
/// 20 ms. What opens a minute later with the same addresses is another connection.
const OPENED_MS: [u64; 4] = [0, 25, 45, 60_000];
const CLOSED_MS: [u64; 4] = [10, 20, 30, 50];

fn pid() -> impl Strategy<Value = u32> {
    10..16u32
}

fn port() -> impl Strategy<Value = u16> {
    80..82u16
}

fn connection() -> impl Strategy<Value = Connection> {
    let pid = || prop_oneof![4 => pid(), 1 => Just(0)];
    (
        (0..AGENTS, 0..=AGENTS, [pid(), pid()], port(), 0..4u16),
        any::<[bool; 5]>(),
        prop::bool::weighted(0.8),
        prop::option::weighted(0.8, 0..OPENED_MS.len()),
    )
        .prop_map(
            |((from, to, pids, port, number), flags, directed, opened)| {
                let [udp, client, server, closed, loopback] = flags;
                Connection {
                    from,
                    to,
                    pids,
                    port,
                    number,
                    udp,
                    client,
                    server,
                    closed,
                    loopback,
                    directed,
                    opened,
                }
            },
        )
}

fn listens() -> impl Strategy<Value = Fact> {
    (
        (0..AGENTS, pid(), port()),
        (any::<bool>(), 0..4u8, prop::option::of(0..CLOSED_MS.len())),
    )
        .prop_map(
            |((agent, pid, port), (udp, socket, closed))| Fact::Listener {
                agent,
                pid,
                port,
                udp,
                socket,
                closed,
            },
        )
}

/// Much about one port of one host, where facts meet that seldom do by chance.
fn fact_of_one_port() -> impl Strategy<Value = Fact> {
    let connection = (connection(), 0..2u16, any::<bool>()).prop_map(|(any, number, client)| {
        Fact::Connection(Connection {
            to: 0,
            port: 80,
            number,
            client,
            server: !client,
            ..any
        })
    });
    let listener = listens().prop_map(|fact| match fact {
        Fact::Listener {
            pid,
            udp,
            socket,
            closed,
            ..
        } => Fact::Listener {
            agent: 0,
            port: 80,
            pid,
            udp,
            socket,
            closed,
        },
        other => other,
    });
    let container = (pid(), 0..3u8).prop_map(|(pid, container)| Fact::Exec {
        agent: 0,
        pid,
        container,
    });
    prop_oneof![4 => connection, 4 => listener, 1 => container]
}

pub fn facts(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Fact>> {
    prop_oneof![
        prop::collection::vec(fact(), count.clone()),
        prop::collection::vec(fact_of_one_port(), count),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let agent = || 0..AGENTS;
    prop_oneof![
        4 => (agent(), pid(), 0..3u8).prop_map(|(agent, pid, container)| Fact::Exec { agent, pid, container }),
        2 => (agent(), pid(), 0..3i32).prop_map(|(agent, pid, code)| Fact::Exit { agent, pid, code }),
        1 => (agent(), 1..3u8, 1..8i32).prop_map(|(agent, container, state)| Fact::Container { agent, container, state }),
        4 => listens(),
        8 => connection().prop_map(Fact::Connection),
        1 => (agent(), 0..3u8).prop_map(|(agent, number)| Fact::Name { agent, number }),
        1 => (agent(), any::<bool>()).prop_map(|(agent, closed)| Fact::Gap { agent, closed }),
    ]
}

/// The changes that tell a fact, each with its agent.
pub fn changes(fact: Fact) -> Vec<(usize, Change)> {
    match fact {
        Fact::Exec {
            agent,
            pid,
            container,
        } => vec![(agent, Change::Process(running(agent, pid, container)))],
        Fact::Exit { agent, pid, code } => {
            vec![(agent, Change::Process(ended(running(agent, pid, 0), code)))]
        }
        Fact::Container {
            agent,
            container,
            state,
        } => {
            let ip = format!("172.17.0.{container}");
            let mut record = common::container(
                &container_id(agent, container),
                &format!("web-{container}"),
                &[ip.as_str()],
            );
            record.state = state;
            record.hostname = format!("h{}", state % 2);
            record.pod_namespace = if state == 7 { "kube-system" } else { "" }.into();
            vec![(agent, Change::Container(record))]
        }
        Fact::Listener {
            agent,
            pid,
            port,
            udp,
            socket,
            closed,
        } => {
            let cookie = u64::from(port) * 100 + u64::from(socket) * 10 + u64::from(udp);
            let address = match socket {
                0 | 1 => "0.0.0.0".to_owned(),
                2 => format!("10.0.0.{}", agent + 1),
                _ => "127.0.0.1".to_owned(),
            };
            let mut listener = listener(cookie, pid, &format!("{address}:{port}"));
            listener.protocol = protocol(udp).into();
            listener.closed_unix_ns = closed.map_or(0, |at| unix_ns(CLOSED_MS[at]));
            vec![(agent, Change::Listener(listener))]
        }
        Fact::Connection(connection) => ends(connection),
        Fact::Name { agent, number } => vec![(
            agent,
            Change::AddressName(v1::AddressName {
                address: vec![93, 184, 216, 34],
                name: format!("service-{number}.example"),
                from_answer: true,
            }),
        )],
        Fact::Gap { agent, closed } => vec![(
            agent,
            Change::Gap(v1::Gap {
                kind: v1::GapKind::Lost.into(),
                what: "process".into(),
                since_unix_ns: START_MS * 1_000_000,
                until_unix_ns: u64::from(closed),
                ..Default::default()
            }),
        )],
    }
}

fn protocol(udp: bool) -> v1::Protocol {
    if udp {
        v1::Protocol::Udp
    } else {
        v1::Protocol::Tcp
    }
}

fn unix_ns(after_start_ms: u64) -> u64 {
    (START_MS + after_start_ms) * 1_000_000
}

/// What is seen of a connection, by agent.
fn ends(connection: Connection) -> Vec<(usize, Change)> {
    let Connection {
        from,
        to,
        pids,
        port,
        number,
        udp,
        ..
    } = connection;
    let loopback = connection.loopback && from == to;
    let address = |agent: usize| match (loopback, agent) {
        (true, _) => format!("127.0.0.{}", number + 1),
        (false, AGENTS) => "93.184.216.34".to_owned(),
        (false, agent) => format!("10.0.0.{}", agent + 1),
    };
    // Not always does the server have the lower port.
    let from_port = number + if number < 2 { 5_000 } else { 50 };
    let (local, remote) = (
        format!("{}:{from_port}", address(from)),
        format!("{}:{port}", address(to)),
    );
    // One cookie per tuple and side, as sockets have it.
    let cookie = u64::from(number) * 1_000
        + u64::from(port)
        + (to as u64) * 100_000
        + u64::from(udp) * 1_000_000
        + u64::from(loopback) * 10_000_000;
    let mut ends = Vec::new();
    if connection.client {
        let end = end(
            cookie * 2 + 2,
            pids[0],
            Direction::Outbound,
            &local,
            &remote,
        );
        ends.push((from, end));
    }
    if connection.server && to < AGENTS {
        let cookie = (cookie * 2 + 3) * 16 + from as u64;
        let end = end(cookie, pids[1], Direction::Inbound, &remote, &local);
        ends.push((to, end));
    }
    for (_, end) in &mut ends {
        end.protocol = protocol(udp).into();
        if !connection.directed {
            end.direction = Direction::Unspecified.into();
        }
        let opened_ms = connection.opened.map(|at| OPENED_MS[at]);
        end.opened_unix_ns = opened_ms.map_or(0, unix_ns);
        if connection.closed {
            *end = common::closed(end.clone(), 100, 200);
            end.closed_unix_ns = unix_ns(opened_ms.unwrap_or(0) + 20);
        }
    }
    let change = |(agent, end)| (agent, Change::Connection(end));
    ends.into_iter().map(change).collect()
}

pub fn container_id(agent: usize, container: u8) -> String {
    format!("{agent}{container}").repeat(32)
}

pub fn running(agent: usize, pid: u32, container: u8) -> v1::Process {
    let mut process = process(pid, &format!("p{pid}"));
    if container > 0 {
        process.container_id = container_id(agent, container);
    }
    process
}
