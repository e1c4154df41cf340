//! Whatever an agent sends: no panic, nothing that cannot be shown, and bounds that hold.

mod common;

use common::*;
use mesoscope_proto::v1::{self, change::Change};
use mesoscope_topology::{Limits, ViewKind};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 2..6u64, Just(u64::MAX), any::<u64>()]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![0..5u32, Just(u32::MAX), any::<u32>()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![127, 0, 0, 1]),
        Just(vec![10, 0, 0, 1]),
        Just(vec![0, 0, 0, 0]),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 16),
    ]
}

fn endpoint() -> impl Strategy<Value = Option<v1::Endpoint>> {
    prop::option::of(
        (bytes(), prop_oneof![0..3u32, any::<u32>()])
            .prop_map(|(address, port)| v1::Endpoint { address, port }),
    )
}

fn key() -> impl Strategy<Value = Option<v1::ProcessKey>> {
    prop::option::of(
        (0..4u32, 0..2u64).prop_map(|(pid, start_boottime_ns)| v1::ProcessKey {
            pid,
            start_boottime_ns,
        }),
    )
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("c".into()),
        Just("d;e>f".into()),
        "\\PC{0,300}"
    ]
}

fn connection() -> impl Strategy<Value = Change> {
    let ends = (endpoint(), endpoint(), endpoint(), endpoint());
    let enums = (-1..5i32, -1..5i32, -1..7i32);
    (
        0..4u64,
        ends,
        enums,
        key(),
        text(),
        (number(), number(), number(), number()),
        (small(), small(), small()),
        (text(), text(), any::<bool>()),
    )
        .prop_map(
            |(cookie, ends, enums, process, container_id, numbers, smalls, texts)| {
                Change::Connection(v1::Connection {
                    cookie,
                    protocol: enums.0,
                    direction: enums.1,
                    state: enums.2,
                    local: ends.0,
                    remote: ends.1,
                    translated_local: ends.2,
                    translated_remote: ends.3,
                    network_namespace: cookie % 2,
                    process,
                    container_id,
                    bytes_sent: numbers.0,
                    bytes_received: numbers.1,
                    opened_unix_ns: numbers.2,
                    closed_unix_ns: numbers.3,
                    rtt_us: smalls.0,
                    retransmits: smalls.1,
                    error: smalls.2,
                    application: texts.0,
                    server_name: texts.1,
                    adopted: texts.2,
                    ..Default::default()
                })
            },
        )
}

fn process() -> impl Strategy<Value = Change> {
    let exit = prop::option::of((number(), small(), any::<bool>()).prop_map(
        |(time_unix_ns, signal, oom)| v1::ProcessExit {
            time_unix_ns,
            signal,
            oom,
            ..Default::default()
        },
    ));
    (key(), -1..6i32, number(), text(), text(), exit).prop_map(
        |(key, cause, time_unix_ns, name, container_id, exit)| {
            Change::Process(v1::Process {
                key,
                cause,
                time_unix_ns,
                name,
                container_id,
                exit,
                ..Default::default()
            })
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let container = (
        text(),
        text(),
        -1..9i32,
        prop::collection::vec(bytes(), 0..3),
        small(),
        small(),
    )
        .prop_map(|(id, name, state, addresses, host_port, container_port)| {
            let port = v1::PortMapping {
                host_port,
                container_port,
                ..Default::default()
            };
            Change::Container(v1::Container {
                id,
                name,
                state,
                addresses,
                ports: vec![port],
                ..Default::default()
            })
        });
    let listener = (0..4u64, -1..4i32, endpoint(), key(), 0..2u64).prop_map(
        |(cookie, protocol, local, process, closed_unix_ns)| {
            Change::Listener(v1::Listener {
                cookie,
                protocol,
                local,
                process,
                closed_unix_ns,
                ..Default::default()
            })
        },
    );
    let host = prop::collection::vec(bytes(), 0..3).prop_map(|addresses| {
        let interface = v1::NetworkInterface {
            addresses,
            ..Default::default()
        };
        Change::Host(v1::Host {
            interfaces: vec![interface],
            ..Default::default()
        })
    });
    let gap = (-1..8i32, text(), number(), number()).prop_map(
        |(kind, what, since_unix_ns, until_unix_ns)| {
            Change::Gap(v1::Gap {
                kind,
                what,
                since_unix_ns,
                until_unix_ns,
                ..Default::default()
            })
        },
    );
    let name = (bytes(), text(), any::<bool>()).prop_map(|(address, name, from_answer)| {
        Change::AddressName(v1::AddressName {
            address,
            name,
            from_answer,
        })
    });
    let metrics = (key(), any::<f64>(), number()).prop_map(|(key, cpu_cores_used, rss_bytes)| {
        Change::ProcessMetrics(v1::ProcessMetrics {
            key,
            cpu_cores_used,
            rss_bytes,
            ..Default::default()
        })
    });
    let use_of = (text(), any::<f64>(), number()).prop_map(
        |(container_id, cpu_cores_used, memory_used_bytes)| {
            Change::ContainerMetrics(v1::ContainerMetrics {
                container_id,
                cpu_cores_used,
                memory_used_bytes,
                ..Default::default()
            })
        },
    );
    // Boxed: in a debug build the sum of them would not fit on a test's stack.
    prop_oneof![
        6 => connection().boxed(),
        4 => process().boxed(),
        2 => container.boxed(),
        2 => listener.boxed(),
        1 => host.boxed(),
        1 => gap.boxed(),
        1 => name.boxed(),
        1 => metrics.boxed(),
        1 => use_of.boxed(),
    ]
}

fn limits() -> Limits {
    Limits {
        processes: 3,
        ended_processes: 2,
        containers: 2,
        connections: 3,
        closed_connections: 2,
        listeners: 2,
        closed_listeners: 1,
        names: 2,
        edges: 2,
        pseudo_nodes: 2,
        gaps: 2,
        held_events: 2,
        ..Limits::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_goes_in_and_the_view_stays_whole(
        steps in prop::collection::vec((0..2usize, change(), 0..8u8), 1..60),
        tight in any::<bool>(),
    ) {
        let mut world = World::with(if tight { limits() } else { Limits::default() });
        let agents = [world.connect("a", 1), world.connect("b", 1)];
        for (agent, change, what) in steps {
            let before = world.topology.stats();
            let refused = world.try_apply(agents[agent], change).is_err();
            let counted = world.topology.stats().counters.iter().zip(&before.counters)
                .any(|(now, then)| now.name == "changes_refused" && now.total > then.total);
            prop_assert_eq!(refused, counted);
            match what {
                0 => world.pass(16_000),
                1 => world.topology.begin_snapshot(agents[agent]),
                2 => world.topology.end_snapshot(agents[agent], world.now_ms, &mut world.events),
                3 => world.topology.disconnect_agent(agents[agent], world.now_ms, &mut world.events),
                _ => {}
            }
            for fill in world.topology.stats().fills {
                // The one node that stands for the others beyond the bound, and those of hosts, are on top.
                let spare = if fill.name.ends_with("pseudo_nodes") { 5 } else { 0 };
                prop_assert!(fill.used <= fill.limit + spare, "{fill:?}");
            }
        }
        for kind in ViewKind::ALL {
            let seen = world.see(kind);
            let json = serde_json::to_string(&seen.nodes.values().collect::<Vec<_>>()).expect("plain data");
            serde_json::from_str::<Vec<v1::Node>>(&json).expect("its own output");
            for id in seen.nodes.keys() {
                prop_assert!(world.topology.node(kind, id, true).is_some(), "{} has details", id);
            }
        }
        // Time takes everything away.
        for agent in agents {
            world.topology.disconnect_agent(agent, world.now_ms, &mut world.events);
        }
        world.pass(20_000);
        world.now_ms += 3_600_000;
        world.pass(2_000);
        for kind in ViewKind::ALL {
            let seen = world.see(kind);
            prop_assert!(seen.nodes.is_empty() && seen.edges.is_empty(), "{:?}", seen);
        }
    }
}

#[test]
fn a_view_that_fell_far_behind_starts_anew() {
    let mut world = World::with(Limits {
        ended_processes: 1,
        ..Limits::default()
    });
    let agent = world.agent("a", "10.0.0.1");
    let all = v1::ViewOptions {
        unconnected: Some(true),
        ..Default::default()
    };
    let options = mesoscope_topology::Options::new(ViewKind::Processes, &all);
    let mut view = mesoscope_topology::View::new(ViewKind::Processes, options);
    let mut client = Client::default();
    world.apply(agent, Change::Process(common::process(1_000_000, "stays")));
    world.apply(agent, Change::Process(common::process(1_000_001, "goes")));
    client.apply(view.diff(&world.topology, world.now_ms).expect("first"));
    world.apply(
        agent,
        Change::Process(ended(common::process(1_000_001, "goes"), 0)),
    );
    for pid in 1..40_000 {
        world.apply(agent, Change::Process(common::process(pid, "short")));
        world.apply(
            agent,
            Change::Process(ended(common::process(pid, "short"), 0)),
        );
    }
    world.pass(500);
    client.apply(
        view.diff(&world.topology, world.now_ms)
            .expect("much happened"),
    );
    assert_eq!(client.labels(), ["short", "stays"]);
    let journal = world
        .topology
        .stats()
        .fills
        .into_iter()
        .find(|fill| fill.name == "process_journal");
    let journal = journal.expect("listed");
    assert!(journal.used < 60_000, "{journal:?}");
}
