//! What must hold for every stream of facts: the view depends on what is known and not on how it
//! came, and differences add up to the view.

mod common;

use common::*;
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{AgentKey, Options, View, ViewKind};
use proptest::prelude::*;

/// A fact by numbers, so that cases shrink.
#[derive(Clone, Copy, Debug)]
enum Fact {
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
        closed: bool,
    },
    /// A connection's two ends; which of them are seen, and whether it has closed.
    Connection {
        from: usize,
        to: usize,
        pids: [u32; 2],
        port: u16,
        number: u16,
        client: bool,
        server: bool,
        closed: bool,
        loopback: bool,
    },
    Name {
        agent: usize,
        number: u8,
    },
    Gap {
        agent: usize,
        closed: bool,
    },
}

const AGENTS: usize = 3;

fn pid() -> impl Strategy<Value = u32> {
    10..16u32
}

fn fact() -> impl Strategy<Value = Fact> {
    let agent = || 0..AGENTS;
    prop_oneof![
        4 => (agent(), pid(), 0..3u8).prop_map(|(agent, pid, container)| Fact::Exec { agent, pid, container }),
        2 => (agent(), pid(), 0..3i32).prop_map(|(agent, pid, code)| Fact::Exit { agent, pid, code }),
        1 => (agent(), 1..3u8, 1..8i32).prop_map(|(agent, container, state)| Fact::Container { agent, container, state }),
        1 => (agent(), pid(), 80..83u16, any::<bool>()).prop_map(|(agent, pid, port, closed)| Fact::Listener { agent, pid, port, closed }),
        8 => (
            (agent(), 0..=AGENTS, [pid(), pid()], 80..83u16, 0..6u16),
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        )
            .prop_map(|((from, to, pids, port, number), (client, server, closed, loopback))| Fact::Connection {
                from, to, pids, port, number, client, server, closed, loopback,
            }),
        1 => (agent(), 0..3u8).prop_map(|(agent, number)| Fact::Name { agent, number }),
        1 => (agent(), any::<bool>()).prop_map(|(agent, closed)| Fact::Gap { agent, closed }),
    ]
}

/// The changes that tell a fact, each with its agent.
fn changes(fact: Fact) -> Vec<(usize, Change)> {
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
            vec![(agent, Change::Container(record))]
        }
        Fact::Listener {
            agent,
            pid,
            port,
            closed,
        } => {
            let mut listener = listener(u64::from(port), pid, &format!("0.0.0.0:{port}"));
            listener.closed_unix_ns = u64::from(closed);
            vec![(agent, Change::Listener(listener))]
        }
        Fact::Connection {
            from,
            to,
            pids,
            port,
            number,
            client,
            server,
            closed,
            loopback,
        } => {
            let loopback = loopback && from == to;
            let address = |agent: usize| match (loopback, agent) {
                (true, _) => "127.0.0.1".to_owned(),
                (false, AGENTS) => "93.184.216.34".to_owned(),
                (false, agent) => format!("10.0.0.{}", agent + 1),
            };
            let (local, remote) = (
                format!("{}:{}", address(from), 5_000 + number),
                format!("{}:{port}", address(to)),
            );
            // One cookie per tuple and side, as sockets have it.
            let cookie = u64::from(number) * 1_000
                + u64::from(port)
                + (to as u64) * 100_000
                + u64::from(loopback) * 10_000_000;
            let mut ends = Vec::new();
            if client {
                ends.push((
                    from,
                    end(
                        cookie * 2 + 2,
                        pids[0],
                        Direction::Outbound,
                        &local,
                        &remote,
                    ),
                ));
            }
            if server && to < AGENTS {
                ends.push((
                    to,
                    end(
                        (cookie * 2 + 3) * 16 + from as u64,
                        pids[1],
                        Direction::Inbound,
                        &remote,
                        &local,
                    ),
                ));
            }
            ends.into_iter()
                .map(|(agent, end)| {
                    (
                        agent,
                        Change::Connection(if closed {
                            common::closed(end, 100, 200)
                        } else {
                            end
                        }),
                    )
                })
                .collect()
        }
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

fn container_id(agent: usize, container: u8) -> String {
    format!("{agent}{container}").repeat(32)
}

fn running(agent: usize, pid: u32, container: u8) -> v1::Process {
    let mut process = process(pid, &format!("p{pid}"));
    if container > 0 {
        process.container_id = container_id(agent, container);
    }
    process
}

struct Reporters {
    world: World,
    agents: Vec<AgentKey>,
}

impl Reporters {
    fn new() -> Self {
        let mut world = World::new();
        let agents = (0..AGENTS)
            .map(|agent| world.agent(&format!("a{agent}"), &format!("10.0.0.{}", agent + 1)))
            .collect();
        Self { world, agents }
    }

    fn report(&mut self, agent: usize, change: Change) {
        self.world.apply(self.agents[agent], change);
    }

    /// All three views, without what depends on history: when something was first and last seen,
    /// and rates.
    fn seen(&self) -> Vec<Client> {
        ViewKind::ALL
            .into_iter()
            .map(|kind| {
                let options = v1::ViewOptions {
                    unconnected: Some(true),
                    kernel_threads: Some(true),
                    ..Default::default()
                };
                let mut seen = self.world.see_with(kind, options);
                for edge in seen.edges.values_mut() {
                    edge.first_seen_unix_ms = 0;
                    edge.last_seen_unix_ms = 0;
                    (
                        edge.connections_per_s,
                        edge.bytes_forward_per_s,
                        edge.bytes_back_per_s,
                    ) = (0.0, 0.0, 0.0);
                }
                seen
            })
            .collect()
    }
}

/// Facts in the order of each agent, interleaved otherwise: what a network can make of them.
fn interleave(per_agent: &[Vec<Change>], picks: &[usize]) -> Vec<(usize, Change)> {
    let mut at = [0; AGENTS];
    let mut order = Vec::new();
    let mut picks = picks.iter().copied().cycle();
    while order.len() < per_agent.iter().map(Vec::len).sum() {
        let left: Vec<_> = (0..AGENTS)
            .filter(|agent| at[*agent] < per_agent[*agent].len())
            .collect();
        let agent = left[picks.next().unwrap_or(0) % left.len()];
        order.push((agent, per_agent[agent][at[agent]].clone()));
        at[agent] += 1;
    }
    order
}

fn by_agent(facts: &[Fact]) -> Vec<Vec<Change>> {
    let mut per_agent = vec![Vec::new(); AGENTS];
    for (agent, change) in facts.iter().flat_map(|fact| changes(*fact)) {
        per_agent[agent].push(change);
    }
    per_agent
}

fn compare(one: &[Client], other: &[Client]) -> Vec<String> {
    one.iter()
        .zip(other)
        .flat_map(|(one, other)| one.against(other))
        .collect()
}

/// Who listened when a connection closed is a question of time; all else is not.
fn with_lasting_listeners(mut facts: Vec<Fact>) -> Vec<Fact> {
    facts.retain(|fact| !matches!(fact, Fact::Listener { closed: true, .. }));
    facts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_order_between_agents_does_not_matter(
        facts in prop::collection::vec(fact(), 1..60),
        picks in prop::collection::vec(0..AGENTS, 1..40),
    ) {
        let facts = with_lasting_listeners(facts);
        let per_agent = by_agent(&facts);
        let mut one = Reporters::new();
        for (agent, change) in interleave(&per_agent, &[0]) {
            one.report(agent, change);
        }
        let mut other = Reporters::new();
        for (agent, change) in interleave(&per_agent, &picks) {
            other.report(agent, change);
        }
        prop_assert_eq!(compare(&one.seen(), &other.seen()), Vec::<String>::new());
    }

    #[test]
    fn what_is_sent_again_changes_nothing(
        facts in prop::collection::vec(fact(), 1..50),
        from in 0..50usize,
    ) {
        let facts = with_lasting_listeners(facts);
        // An agent that reconnects sends again what was not acknowledged, in its order.
        let all: Vec<_> = facts.iter().flat_map(|fact| changes(*fact)).collect();
        let mut world = Reporters::new();
        for (agent, change) in &all {
            world.report(*agent, change.clone());
        }
        let once = world.seen();
        for (agent, change) in all.iter().skip(from % all.len().max(1)) {
            world.report(*agent, change.clone());
        }
        prop_assert_eq!(compare(&once, &world.seen()), Vec::<String>::new());
    }

    #[test]
    fn differences_add_up_to_the_view(
        steps in prop::collection::vec((fact(), 0..6u8), 1..80),
        unconnected in any::<bool>(),
        ended in any::<bool>(),
    ) {
        let mut world = Reporters::new();
        let options = v1::ViewOptions { unconnected: Some(unconnected), ended: Some(ended), ..Default::default() };
        let mut watched: Vec<_> = ViewKind::ALL
            .into_iter()
            .map(|kind| (View::new(kind, Options::new(kind, &options)), Client::default()))
            .collect();
        for (fact, what) in steps {
            for (agent, change) in changes(fact) {
                world.report(agent, change);
            }
            match what {
                0 => world.world.pass(300),
                1 => world.world.pass(16_000),
                2 => {
                    let agent = world.agents[0];
                    world.world.topology.disconnect_agent(agent, world.world.now_ms, &mut world.world.events);
                    world.world.connect("a0", 1);
                }
                3 => {
                    // A snapshot with nothing but the host and one process.
                    let process = Change::Process(running(1, 12, 0));
                    world.world.snapshot(world.agents[1], vec![host("a1", &["10.0.0.2"]), process]);
                }
                _ => {}
            }
            for (view, client) in &mut watched {
                if let Some(diff) = view.diff(&world.world.topology, world.world.now_ms) {
                    client.apply(diff);
                }
                prop_assert!(view.diff(&world.world.topology, world.world.now_ms).is_none(), "told is told");
                let mut late = Client::default();
                late.apply(view.snapshot(&world.world.topology, world.world.now_ms));
                prop_assert_eq!(late.against(client), Vec::<String>::new(), "who joins later sees the same");
                let mut fresh = world.world.see_with(view.kind(), options.clone());
                fresh.sequence = client.sequence;
                prop_assert_eq!(fresh.against(client), Vec::<String>::new(), "the differences add up to the view");
            }
        }
    }

    #[test]
    fn a_resync_gives_the_view_of_what_lives(facts in prop::collection::vec(fact(), 1..50)) {
        // After any history, a snapshot of each agent leaves what a new aggregator would have.
        let mut world = Reporters::new();
        for (agent, change) in facts.iter().flat_map(|fact| changes(*fact)) {
            world.report(agent, change);
        }
        let live = |agent: usize| {
            vec![
                host(&format!("a{agent}"), &[&format!("10.0.0.{}", agent + 1)]),
                Change::Process(running(agent, 30, 1)),
                Change::Process(running(agent, 31, 0)),
                Change::Container(container(&container_id(agent, 1), "web-1", &["172.17.0.1"])),
                Change::Listener(listener(4_000, 31, "0.0.0.0:80")),
                Change::Connection(end(4_001, 30, Direction::Outbound, &format!("10.0.0.{}:6000", agent + 1), "10.0.0.2:80")),
            ]
        };
        let mut fresh = Reporters::new();
        for agent in 0..AGENTS {
            world.world.snapshot(world.agents[agent], live(agent));
            fresh.world.snapshot(fresh.agents[agent], live(agent));
        }
        // What had ended is kept for a while; the names of addresses stay.
        world.world.pass(17_000);
        fresh.world.pass(17_000);
        let strip = |mut seen: Vec<Client>| {
            for client in &mut seen {
                for node in client.nodes.values_mut() {
                    node.first_seen_unix_ms = 0;
                }
                for edge in client.edges.values_mut() {
                    // Totals remember what has been.
                    edge.ports.clear();
                    (edge.connections_total, edge.failures_total) = (0, 0);
                    (edge.bytes_forward, edge.bytes_back) = (0, 0);
                }
            }
            seen
        };
        prop_assert_eq!(compare(&strip(world.seen()), &strip(fresh.seen())), Vec::<String>::new());
    }
}
