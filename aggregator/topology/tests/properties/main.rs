//! What must hold for every stream of facts: the view depends on what is known and not on how it
//! came, and differences add up to the view.

#[path = "../common/mod.rs"]
mod common;
mod facts;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use facts::*;
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{AgentKey, Options, Pace, Topology, View, ViewKind};
use proptest::{prelude::*, test_runner::TestCaseResult};

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

    /// All views, without what depends on history: when something was first and last seen,
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

fn tell_all(facts: &[Fact]) -> (Reporters, Vec<(usize, Change)>) {
    let all: Vec<_> = facts.iter().flat_map(|fact| changes(*fact)).collect();
    let mut world = Reporters::new();
    for (agent, change) in &all {
        world.report(*agent, change.clone());
    }
    (world, all)
}

/// What another order between the agents makes different.
fn differs_by_order(facts: &[Fact], picks: &[usize]) -> Vec<String> {
    let per_agent = by_agent(facts);
    let [mut one, mut other] = [Reporters::new(), Reporters::new()];
    for (agent, change) in interleave(&per_agent, &[0]) {
        one.report(agent, change);
    }
    for (agent, change) in interleave(&per_agent, picks) {
        other.report(agent, change);
    }
    compare(&one.seen(), &other.seen())
}

/// What is different when an agent that reconnects sends again what was not acknowledged, in its
/// order.
fn differs_when_sent_again(facts: &[Fact], from: usize) -> Vec<String> {
    let (mut world, all) = tell_all(facts);
    let once = world.seen();
    for (agent, change) in all.iter().skip(from % all.len().max(1)) {
        world.report(*agent, change.clone());
    }
    compare(&once, &world.seen())
}

/// What an agent would send of these as a snapshot: all but what has ended.
fn living(agent: usize, told: &[Change]) -> Vec<Change> {
    let mut over: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut listeners = BTreeMap::new();
    for change in told {
        match change {
            Change::Process(process) if process.exit.is_some() => {
                over.insert(("process", process.key.map_or(0, |key| key.pid.into())));
            }
            Change::Connection(end) if end.closed_unix_ns != 0 => {
                over.insert(("connection", end.cookie));
            }
            Change::Listener(listener) => {
                listeners.insert(listener.cookie, listener.closed_unix_ns);
            }
            _ => {}
        }
    }
    let lives = |change: &&Change| match change {
        Change::Process(process) => {
            !over.contains(&("process", process.key.map_or(0, |key| key.pid.into())))
        }
        Change::Connection(end) => !over.contains(&("connection", end.cookie)),
        Change::Listener(listener) => listeners[&listener.cookie] == 0,
        _ => true,
    };
    let host = host(&format!("a{agent}"), &[&format!("10.0.0.{}", agent + 1)]);
    std::iter::once(host)
        .chain(told.iter().filter(lives).cloned())
        .collect()
}

/// Follows the views through facts and what happens between them, by differences.
fn follow(steps: &[(Fact, u8)], unconnected: bool, ended: bool) -> TestCaseResult {
    let mut world = Reporters::new();
    let options = v1::ViewOptions {
        unconnected: Some(unconnected),
        ended: Some(ended),
        system: Some(unconnected),
        uncontained: Some(ended),
        ..Default::default()
    };
    let mut watched: Vec<_> = ViewKind::ALL
        .into_iter()
        .map(|kind| {
            (
                View::new(kind, Options::new(kind, &options)),
                Client::default(),
            )
        })
        .collect();
    for (fact, what) in steps {
        for (agent, change) in changes(*fact) {
            world.report(agent, change);
        }
        match what {
            0 => world.world.pass(300),
            1 => world.world.pass(16_000),
            2 => {
                let (agent, now_ms) = (world.agents[0], world.world.now_ms);
                let World {
                    topology, events, ..
                } = &mut world.world;
                topology.disconnect_agent(agent, now_ms, events);
                world.world.connect("a0", 1);
            }
            3 => {
                // A snapshot with nothing but the host and one process.
                let process = Change::Process(running(1, 12, 0));
                let all = vec![host("a1", &["10.0.0.2"]), process];
                world.world.snapshot(world.agents[1], all);
            }
            _ => {}
        }
        let World {
            topology, now_ms, ..
        } = &world.world;
        for (view, client) in &mut watched {
            if let Some(diff) = view.diff(topology, *now_ms) {
                client.apply(diff);
            }
            prop_assert!(view.diff(topology, *now_ms).is_none(), "told is told");
            let mut late = Client::default();
            late.apply(view.snapshot(topology, *now_ms));
            let nothing = Vec::<String>::new();
            prop_assert_eq!(
                late.against(client),
                nothing.clone(),
                "who joins later sees the same"
            );
            let mut fresh = world.world.see_with(view.kind(), options.clone());
            fresh.sequence = client.sequence;
            prop_assert_eq!(
                fresh.against(client),
                nothing,
                "the differences add up to the view"
            );
        }
    }
    Ok(())
}

/// Follows the plain views at a pace, joins them late part by part while they change, and sees the same
/// as who looks anew once all that waited has been told.
fn follow_at_a_pace(steps: &[(Fact, u8)], items_max: usize, part: usize) -> TestCaseResult {
    let pace = Pace {
        period_ms: 5_000,
        items_max,
        diff_ms: 100,
        edges_together: part > 4,
        parts: true,
    };
    let options = v1::ViewOptions {
        unconnected: Some(true),
        ..Default::default()
    };
    let mut world = Reporters::new();
    for kind in ViewKind::ALL {
        let mut view = View::with_pace(kind, Options::new(kind, &options), pace);
        let (mut early, mut late) = (None::<Client>, None::<Client>);
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for (number, (fact, what)) in steps.iter().enumerate() {
            for (agent, change) in changes(*fact) {
                world.report(agent, change);
            }
            let now_ms = world.world.now_ms;
            if let Some(client) = &mut early {
                if let Some(diff) = view.diff(&world.world.topology, now_ms) {
                    // One that goes and comes back is another one; what is told whole is told with its figures.
                    for id in &diff.nodes_removed {
                        told.remove(id);
                    }
                    for figures in &diff.node_figures {
                        let before = told.insert(figures.id.clone(), now_ms);
                        prop_assert!(
                            before.is_none_or(|before| now_ms - before >= 5_000),
                            "{kind}: {figures:?} at {now_ms}, before at {before:?}"
                        );
                    }
                    told.extend(diff.nodes.iter().map(|node| (node.id.clone(), now_ms)));
                    if let Some(late) = &mut late {
                        late.apply(diff.clone());
                    }
                    client.apply(diff);
                }
            } else {
                while !view.prime(&world.world.topology, now_ms, part) {}
                early = Some(picture(&mut view, &world.world.topology, part));
            }
            if number == steps.len() / 2 {
                late = Some(picture(&mut view, &world.world.topology, part));
            }
            world.world.pass(u64::from(*what) * 400);
        }
        // Rates fade for half a minute, then all that waits has its turn.
        for _ in 0..160 {
            world.world.pass(400);
            if let Some(diff) = view.diff(&world.world.topology, world.world.now_ms) {
                for client in [&mut early, &mut late].into_iter().flatten() {
                    client.apply(diff.clone());
                }
            }
        }
        let mut fresh = world.world.see_with(kind, options.clone());
        for client in [early, late].into_iter().flatten() {
            fresh.sequence = client.sequence;
            prop_assert_eq!(fresh.against(&client), Vec::<String>::new());
        }
    }
    Ok(())
}

fn picture(view: &mut View, topology: &Topology, part: usize) -> Client {
    let mut outline = view.outline();
    let mut picture = v1::TopologyDiff::default();
    while !view.fill(topology, &mut outline, part, &mut picture) {}
    let mut client = Client::default();
    client.apply(picture);
    client
}

proptest! {
    #[test]
    fn what_is_told_at_a_pace_adds_up(
        facts in facts(1..40),
        between in prop::collection::vec(0..12u8, 40),
        items_max in 3..50usize,
        part in 1..9usize,
    ) {
        let steps: Vec<_> = facts.into_iter().zip(between).collect();
        follow_at_a_pace(&steps, items_max, part)?;
    }

    #[test]
    fn the_order_between_agents_does_not_matter(
        facts in facts(1..60),
        picks in prop::collection::vec(0..AGENTS, 1..40),
    ) {
        prop_assert_eq!(differs_by_order(&facts, &picks), Vec::<String>::new());
    }

    #[test]
    fn what_is_sent_again_changes_nothing(facts in facts(1..50), from in 0..50usize) {
        prop_assert_eq!(differs_when_sent_again(&facts, from), Vec::<String>::new());
    }

    #[test]
    fn a_snapshot_of_what_lives_moves_no_connection(facts in facts(1..50)) {
        let (mut world, _) = tell_all(&facts);
        let edges = |world: &Reporters| {
            world.seen().into_iter().map(|seen| seen.edges).collect::<Vec<_>>()
        };
        let before = edges(&world);
        for (agent, told) in by_agent(&facts).iter().enumerate() {
            world.world.snapshot(world.agents[agent], living(agent, told));
        }
        prop_assert_eq!(before, edges(&world));
    }

    #[test]
    fn differences_add_up_to_the_view(
        facts in facts(1..80),
        between in prop::collection::vec(0..12u8, 80),
        unconnected in any::<bool>(),
        ended in any::<bool>(),
    ) {
        let steps: Vec<_> = facts.into_iter().zip(between).collect();
        follow(&steps, unconnected, ended)?;
    }

    #[test]
    fn a_resync_gives_the_view_of_what_lives(facts in facts(1..50)) {
        // After any history, a snapshot of each agent leaves what a new aggregator would have.
        let (mut world, _) = tell_all(&facts);
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

/// A connection from the second host to the first of which everything is known.
const PLAIN: Connection = Connection {
    from: 1,
    to: 0,
    pids: [10, 10],
    port: 80,
    number: 0,
    udp: false,
    client: true,
    server: true,
    closed: false,
    loopback: false,
    directed: true,
    opened: Some(0),
};

/// A process that listens on port 80 of the first host, until this index of the times.
fn listens_until(closed: Option<usize>) -> Fact {
    Fact::Listener {
        agent: 0,
        pid: 10,
        port: 80,
        udp: false,
        socket: 0,
        closed,
    }
}

#[test]
fn a_listener_that_is_told_again_does_not_take_what_closed_after_it() {
    let late = Fact::Connection(Connection {
        server: false,
        closed: true,
        opened: Some(1),
        ..PLAIN
    });
    let facts = [listens_until(None), listens_until(Some(0)), late];
    assert_eq!(differs_when_sent_again(&facts, 0), Vec::<String>::new());
    assert_eq!(differs_by_order(&facts, &[1]), Vec::<String>::new());
}

#[test]
fn a_closed_connection_has_its_listener_whichever_is_told_first() {
    let short = Fact::Connection(Connection {
        server: false,
        closed: true,
        ..PLAIN
    });
    let facts = [listens_until(None), listens_until(Some(2)), short];
    for picks in [[0], [1]] {
        assert_eq!(differs_by_order(&facts, &picks), Vec::<String>::new());
    }
    assert_eq!(differs_when_sent_again(&facts, 1), Vec::<String>::new());
}

#[test]
fn who_began_is_told_by_a_listener_that_comes_later() {
    // By their ports alone it would be the other way round.
    let undirected = Fact::Connection(Connection {
        directed: false,
        number: 2,
        udp: true,
        ..PLAIN
    });
    let listens = Fact::Listener {
        agent: 0,
        pid: 10,
        port: 80,
        udp: true,
        socket: 0,
        closed: None,
    };
    let (world, _) = tell_all(&[undirected, listens]);
    let hosts = world.world.see(ViewKind::Hosts);
    assert_eq!(hosts.arrows(), ["a1.example>a0.example"]);
}

#[test]
fn an_end_that_comes_again_after_a_reconnect_adds_up() {
    let one = Connection {
        from: 0,
        pids: [10, 13],
        client: false,
        closed: true,
        ..PLAIN
    };
    let other = Connection {
        from: 0,
        pids: [13, 10],
        server: false,
        ..PLAIN
    };
    let steps = [(Fact::Connection(one), 2), (Fact::Connection(other), 3)];
    follow(&steps, false, false).expect("the differences add up");
}
