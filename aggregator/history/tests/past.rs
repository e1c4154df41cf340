//! The map of a moment is the map that was seen live at that moment, up to the resolution.

#[path = "../../topology/tests/common/mod.rs"]
mod common;
#[path = "../../topology/tests/properties/facts.rs"]
mod facts;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use facts::*;
use mesoscope_history::{History, Inbox, Keeps, Limits, RESOLUTION_MS};
use mesoscope_proto::v1::{self, change::Change};
use mesoscope_topology::{AgentKey, Topology, ViewKind};
use proptest::{prelude::*, test_runner::RngSeed};

const HOUR_MS: u64 = 60 * 60_000;
/// Moments that are compared in each case.
const MOMENTS: usize = 25;

fn limits(bytes_max: usize) -> Limits {
    let topology = mesoscope_topology::Limits::default();
    Limits {
        keep_ms: HOUR_MS,
        bytes_max,
        keeps: Keeps {
            ended_ms: topology.ended_keep_ms,
            agents_ms: topology.forget_after_ms,
        },
    }
}

/// Agents that report to a topology, with the history of it and what was seen.
struct Recorded {
    world: World,
    agents: Vec<AgentKey>,
    inboxes: Vec<Inbox>,
    connected: Vec<bool>,
    generations: Vec<u64>,
    history: History,
    seen: Vec<(u64, Vec<Client>)>,
    swept_ms: u64,
    /// Ends of connections that are open.
    open: BTreeMap<(usize, u64), v1::Connection>,
    /// Listeners that wait, with their agents.
    listening: BTreeMap<(usize, u64), (usize, v1::Listener)>,
    /// Processes that have ended: no process comes again.
    dead: BTreeSet<(usize, u32)>,
    /// When things ended, by what they are.
    over: BTreeMap<(usize, String), u64>,
    /// The container that each process runs in.
    inside: BTreeMap<(usize, u32), u8>,
}

impl Recorded {
    fn new(bytes_max: usize) -> Self {
        let world = World::new();
        let history = History::new(limits(bytes_max), world.now_ms);
        let mut recorded = Self {
            world,
            agents: Vec::new(),
            inboxes: Vec::new(),
            connected: vec![false; AGENTS],
            generations: vec![1; AGENTS],
            history,
            seen: Vec::new(),
            swept_ms: 0,
            open: BTreeMap::new(),
            listening: BTreeMap::new(),
            dead: BTreeSet::new(),
            over: BTreeMap::new(),
            inside: BTreeMap::new(),
        };
        for agent in 0..AGENTS {
            recorded.inboxes.push(Inbox::default());
            let key = recorded.hello(agent);
            recorded.agents.push(key);
            recorded.snapshot(agent, Vec::new());
        }
        recorded
    }

    fn hello(&mut self, agent: usize) -> AgentKey {
        let hello = v1::Hello {
            agent_id: format!("a{agent}"),
            hostname: format!("a{agent}.example"),
            generation: self.generations[agent],
            ..Default::default()
        };
        self.connected[agent] = true;
        self.inboxes[agent].connected(&hello, self.world.now_ms);
        let World {
            topology,
            now_ms,
            events,
        } = &mut self.world;
        topology
            .connect_agent(&hello, *now_ms, events)
            .expect("within the bounds")
    }

    fn disconnect(&mut self, agent: usize) {
        self.connected[agent] = false;
        self.inboxes[agent].disconnected(self.world.now_ms);
        let World {
            topology,
            now_ms,
            events,
        } = &mut self.world;
        topology.disconnect_agent(self.agents[agent], *now_ms, events);
    }

    /// What an agent would tell of a fact: a container before what is in it, and its end after that.
    fn fact(&mut self, fact: Fact) {
        let mut told = Vec::new();
        let dead = |agent: usize, pid: u32| self.dead.contains(&(agent, pid));
        match fact {
            Fact::Exec { agent, pid, .. } | Fact::Exit { agent, pid, .. } if dead(agent, pid) => {}
            Fact::Listener {
                agent,
                pid,
                closed: None,
                ..
            } if dead(agent, pid) => {}
            Fact::Exec {
                agent,
                pid,
                container,
            } => {
                if container > 0 {
                    told.extend(changes(Fact::Container {
                        agent,
                        container,
                        state: v1::ContainerState::Running.into(),
                    }));
                }
                self.inside.insert((agent, pid), container);
                told.extend(changes(fact));
            }
            Fact::Exit { agent, pid, code } => {
                // Its sockets close before it ends.
                self.close_all();
                for listener in std::mem::take(&mut self.listening).into_values() {
                    let closed_unix_ns = self.world.now_ms * 1_000_000;
                    let closed = v1::Listener {
                        closed_unix_ns,
                        ..listener.1
                    };
                    self.report(listener.0, Change::Listener(closed));
                }
                self.dead.insert((agent, pid));
                let container = self.inside.insert((agent, pid), 0).unwrap_or(0);
                let process = ended(running(agent, pid, container), code);
                told.push((agent, Change::Process(process)));
            }
            Fact::Container {
                agent,
                container,
                state,
            } => {
                let of_agent = |entry: &(&(usize, u32), &u8)| entry.0.0 == agent;
                let mut inside = self.inside.iter().filter(of_agent);
                let used = inside.any(|(_, inside)| *inside == container);
                let removed = i32::from(v1::ContainerState::Removed);
                let state = if used { state.min(removed - 1) } else { state };
                told.extend(changes(Fact::Container {
                    agent,
                    container,
                    state,
                }));
            }
            // Both ends of a connection close: the history does not go on to know a closed end for as long as
            // the other one is told to be open.
            Fact::Connection(connection) => {
                let [from, to] = [connection.from, connection.to];
                let of = |agent, pid| if dead(agent, pid) { 0 } else { pid };
                let [client, server] = connection.pids;
                let both = Connection {
                    client: connection.client || connection.closed,
                    server: connection.server || connection.closed,
                    pids: [of(from, client), of(to, server)],
                    ..connection
                };
                told.extend(changes(Fact::Connection(both)));
            }
            fact => told.extend(changes(fact)),
        }
        for (agent, change) in told {
            self.report(agent, change);
        }
    }

    /// What closes, closes now, and a listener stays with its process.
    fn as_it_happens(&self, agent: usize, change: &mut Change) {
        let now_ns = self.world.now_ms * 1_000_000;
        match change {
            Change::Listener(told) => {
                if told.closed_unix_ns != 0 {
                    told.closed_unix_ns = now_ns;
                }
                if let Some((_, known)) = self.listening.get(&(agent, told.cookie)) {
                    told.process = known.process;
                }
            }
            Change::Connection(told) => {
                if told.closed_unix_ns != 0 {
                    told.closed_unix_ns = now_ns;
                }
                match self.open.get(&(agent, told.cookie)) {
                    Some(known) => {
                        told.opened_unix_ns = known.opened_unix_ns;
                        told.process = known.process;
                        told.direction = known.direction;
                    }
                    None => told.opened_unix_ns = now_ns,
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, agent: usize, mut change: Change) {
        self.as_it_happens(agent, &mut change);
        if !self.connected[agent] || self.is_in_doubt(agent, &change) {
            return;
        }
        let told = v1::Change {
            change: Some(change.clone()),
        };
        self.inboxes[agent].change(&told, self.world.now_ms);
        if let Change::Listener(told) = &change {
            let key = (agent, told.cookie);
            if told.closed_unix_ns == 0 {
                self.listening.insert(key, (agent, told.clone()));
            } else {
                self.listening.remove(&key);
            }
        }
        if let Change::Connection(told) = &change {
            if told.closed_unix_ns == 0 {
                self.open.insert((agent, told.cookie), told.clone());
            } else {
                self.open.remove(&(agent, told.cookie));
            }
        }
        self.world.apply(self.agents[agent], change);
    }

    /// All connections close, at both ends: see [`Self::fact`].
    fn close_all(&mut self) {
        for ((agent, _), end) in std::mem::take(&mut self.open) {
            self.report(agent, Change::Connection(closed(end, 100, 200)));
        }
    }

    /// Whether it comes again before it is surely forgotten: no agent tells so, and when it is forgotten
    /// depends on the beat of time.
    fn is_in_doubt(&mut self, agent: usize, change: &Change) -> bool {
        let (name, over) = match change {
            Change::Process(told) => (format!("{:?}", told.key), told.exit.is_some()),
            Change::Connection(told) => (format!("c{}", told.cookie), told.closed_unix_ns != 0),
            Change::Listener(told) => (format!("l{}", told.cookie), told.closed_unix_ns != 0),
            Change::Container(told) => {
                let removed = told.state() == v1::ContainerState::Removed;
                (told.id.clone(), removed)
            }
            _ => return false,
        };
        let now_ms = self.world.now_ms;
        let ended_ms = self.over.get(&(agent, name.clone())).copied();
        let since_ms = ended_ms.map_or(0, |ended_ms| now_ms - ended_ms);
        let is_news = since_ms >= 17_000;
        if ended_ms.is_some() && !is_news && (!over || since_ms > 14_000) {
            return true;
        }
        match (over, ended_ms) {
            (true, None) => {
                self.over.insert((agent, name), now_ms);
            }
            (true, Some(_)) if is_news => {
                self.over.insert((agent, name), now_ms);
            }
            (false, Some(_)) => {
                self.over.remove(&(agent, name));
            }
            _ => {}
        }
        false
    }

    /// A whole snapshot: the host and these.
    fn snapshot(&mut self, agent: usize, changes: Vec<Change>) {
        if !self.connected[agent] {
            return;
        }
        let now_ms = self.world.now_ms;
        self.inboxes[agent].snapshot_begins(now_ms);
        self.world.topology.begin_snapshot(self.agents[agent]);
        let own = host(&format!("a{agent}"), &[&format!("10.0.0.{}", agent + 1)]);
        self.report(agent, own);
        for change in changes {
            self.report(agent, change);
        }
        self.inboxes[agent].snapshot_ends(now_ms);
        let World {
            topology, events, ..
        } = &mut self.world;
        topology.end_snapshot(self.agents[agent], now_ms, events);
    }

    /// Lets time pass; what is seen at each step of the resolution is remembered.
    fn pass(&mut self, ms: u64) {
        let until = self.world.now_ms + ms;
        while self.world.now_ms < until {
            let step = (self.world.now_ms + 1).next_multiple_of(RESOLUTION_MS);
            let now_ms = (self.world.now_ms + 500).min(until).min(step);
            self.world.now_ms = now_ms;
            let World {
                topology, events, ..
            } = &mut self.world;
            topology.advance(now_ms, events);
            if now_ms.is_multiple_of(RESOLUTION_MS) {
                self.seen.push((now_ms, seen(&self.world.topology, now_ms)));
            }
            if now_ms % RESOLUTION_MS >= 500 && now_ms >= self.swept_ms + RESOLUTION_MS {
                self.swept_ms = now_ms;
                self.sweep();
            }
        }
    }

    fn sweep(&mut self) {
        let now_ms = self.world.now_ms;
        for (agent, inbox) in self.inboxes.iter_mut().enumerate() {
            self.history
                .take(&format!("a{agent}"), &inbox.take(), now_ms);
        }
        self.history.sweep(now_ms);
    }

    /// What was different when it was seen live.
    fn differences(&self) -> Vec<String> {
        let reach = self.history.reach();
        let within = |at_ms: &u64| (reach.from_ms..=reach.to_ms).contains(at_ms);
        // A part of them, so that the test ends in time.
        let skip = self.seen.len() / MOMENTS + 1;
        let mut differences = Vec::new();
        for index in (0..self.seen.len()).step_by(skip) {
            let at_ms = self.seen[index].0;
            if !within(&at_ms) {
                continue;
            }
            let past = self.history.at(at_ms, self.world.now_ms);
            let past = past.expect("within its reach");
            assert_eq!(past.at_ms(), at_ms);
            let moment = past.recall(mesoscope_topology::Limits::default());
            let now = seen(&moment.topology, at_ms);
            // Up to the resolution: what was seen a step before or after is right, too.
            let around = &self.seen[index.saturating_sub(1)..(index + 2).min(self.seen.len())];
            for (kind, now) in now.iter().enumerate() {
                let then: Vec<_> = around.iter().map(|(_, seen)| &seen[kind]).collect();
                let unlike = unlike(now, &then);
                let after_ms = at_ms - START_MS;
                differences.extend(
                    unlike
                        .into_iter()
                        .map(|text| format!("{after_ms} ms: {text}")),
                );
            }
        }
        differences
    }
}

/// What is as in none of the others, in words.
fn unlike(now: &Client, then: &[&Client]) -> Vec<String> {
    let mut list = Vec::new();
    let nodes = then.iter().flat_map(|then| then.nodes.keys());
    for id in nodes.chain(now.nodes.keys()).collect::<BTreeSet<_>>() {
        let now = now.nodes.get(id);
        if then.iter().all(|then| then.nodes.get(id) != now) {
            list.push(format!("node {id}: {now:?}"));
        }
    }
    let edges = then.iter().flat_map(|then| then.edges.keys());
    for id in edges.chain(now.edges.keys()).collect::<BTreeSet<_>>() {
        let now = now.edges.get(id);
        if then.iter().all(|then| then.edges.get(id) != now) {
            list.push(format!("edge {id}: {now:?}"));
        }
    }
    if then.iter().all(|then| then.incomplete != now.incomplete) {
        list.push(format!("incomplete: {:?}", now.incomplete));
    }
    list
}

/// All views, without the totals of edges, which count what a moment no longer knows.
fn seen(topology: &Topology, now_ms: u64) -> Vec<Client> {
    let options = v1::ViewOptions {
        unconnected: Some(true),
        kernel_threads: Some(true),
        ..Default::default()
    };
    let see = |kind| {
        let options = mesoscope_topology::Options::new(kind, &options);
        let mut view = mesoscope_topology::View::new(kind, options);
        let mut client = Client::default();
        client.apply(view.diff(topology, now_ms).expect("the first is whole"));
        for node in client.nodes.values_mut() {
            node.first_seen_unix_ms = 0;
        }
        for edge in client.edges.values_mut() {
            *edge = v1::Edge {
                id: edge.id.clone(),
                source: edge.source.clone(),
                target: edge.target.clone(),
                protocol: edge.protocol.clone(),
                application: edge.application.clone(),
                connections_open: edge.connections_open,
                rtt_us: edge.rtt_us,
                ..Default::default()
            };
        }
        client
    };
    ViewKind::ALL.into_iter().map(see).collect()
}

fn play(steps: &[(Fact, u8)], bytes_max: usize) -> Recorded {
    let mut recorded = Recorded::new(bytes_max);
    for (fact, what) in steps {
        // Nothing happens at the very moment that is looked at.
        recorded.pass(137);
        recorded.fact(*fact);
        match what {
            0 => recorded.pass(300),
            1 | 2 => recorded.pass(2_500),
            3 => recorded.pass(40_000),
            4 if recorded.connected[0] => {
                recorded.close_all();
                recorded.disconnect(0);
            }
            4 => {
                recorded.generations[0] += 1;
                recorded.hello(0);
            }
            // A snapshot with nothing but the host and one process.
            5 => {
                recorded.close_all();
                recorded.inside.retain(|(agent, _), _| *agent != 1);
                recorded.snapshot(1, vec![Change::Process(running(1, 12, 0))]);
                // What is gone by it is forgotten before it comes again, see [`Self::is_in_doubt`].
                recorded.pass(17_000);
            }
            6 => {
                recorded.disconnect(2);
                recorded.hello(2);
            }
            _ => {}
        }
    }
    recorded.pass(5_000);
    recorded.sweep();
    recorded
}

proptest! {
    // Always the same histories: what a moment has not (see the crate) can be met by others.
    #![proptest_config(ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(2),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_moment_is_as_it_was_seen(
        facts in facts(1..60),
        between in prop::collection::vec(0..12u8, 60),
    ) {
        let steps: Vec<_> = facts.into_iter().zip(between).collect();
        let recorded = play(&steps, usize::MAX);
        prop_assert_eq!(recorded.differences(), Vec::<String>::new());
    }
}
