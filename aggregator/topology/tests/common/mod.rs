//! A small world for the tests: agents that report, and a client that applies differences.

#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;

use mesoscope_proto::v1::{self, change::Change};
use mesoscope_topology::{AgentKey, ChangeRefused, Limits, Options, Topology, View, ViewKind};

pub const START_MS: u64 = 1_800_000_000_000;

/// What a subscriber holds after applying differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    pub nodes: BTreeMap<String, v1::Node>,
    pub edges: BTreeMap<String, v1::Edge>,
    pub incomplete: Vec<v1::Incomplete>,
    pub hidden: u32,
    pub sequence: u64,
}

impl Client {
    pub fn apply(&mut self, diff: v1::TopologyDiff) {
        if diff.reset {
            *self = Self::default();
        } else {
            assert_eq!(diff.sequence, self.sequence + 1, "no gap in the sequence");
        }
        self.sequence = diff.sequence;
        for id in &diff.edges_removed {
            assert!(self.edges.remove(id).is_some(), "{id} was told before");
        }
        for id in &diff.nodes_removed {
            assert!(self.nodes.remove(id).is_some(), "{id} was told before");
        }
        self.nodes
            .extend(diff.nodes.into_iter().map(|node| (node.id.clone(), node)));
        self.edges
            .extend(diff.edges.into_iter().map(|edge| (edge.id.clone(), edge)));
        for figures in &diff.node_figures {
            let node = self.nodes.get_mut(&figures.id).expect("told before");
            assert_eq!(node.metrics.len(), figures.values.len(), "{}", figures.id);
            figures.apply_to(node);
        }
        for figures in &diff.edge_figures {
            let edge = self.edges.get_mut(&figures.id).expect("told before");
            figures.apply_to(edge);
        }
        if diff.incomplete_changed {
            self.incomplete = diff.incomplete;
        }
        self.hidden = diff.nodes_hidden;
        for edge in self.edges.values() {
            assert!(
                self.nodes.contains_key(&edge.source),
                "{} has its source",
                edge.id
            );
            assert!(
                self.nodes.contains_key(&edge.target),
                "{} has its target",
                edge.id
            );
        }
    }

    /// What another client has differently, in words.
    pub fn against(&self, other: &Self) -> Vec<String> {
        let mut list = Vec::new();
        let ids = |a: Vec<&String>, b: Vec<&String>| {
            a.into_iter()
                .chain(b)
                .cloned()
                .collect::<std::collections::BTreeSet<_>>()
        };
        for id in ids(self.nodes.keys().collect(), other.nodes.keys().collect()) {
            let (one, two) = (self.nodes.get(&id), other.nodes.get(&id));
            if one != two {
                list.push(format!("node {id}:\n  {one:?}\n  {two:?}"));
            }
        }
        for id in ids(self.edges.keys().collect(), other.edges.keys().collect()) {
            let (one, two) = (self.edges.get(&id), other.edges.get(&id));
            if one != two {
                list.push(format!("edge {id}:\n  {one:?}\n  {two:?}"));
            }
        }
        if self.incomplete != other.incomplete {
            list.push(format!(
                "incomplete {:?} {:?}",
                self.incomplete, other.incomplete
            ));
        }
        if (self.hidden, self.sequence) != (other.hidden, other.sequence) {
            list.push(format!(
                "hidden {} {}, sequence {} {}",
                self.hidden, other.hidden, self.sequence, other.sequence
            ));
        }
        list
    }

    /// Node labels and states, for short comparisons.
    pub fn labels(&self) -> Vec<String> {
        let mut labels: Vec<_> = self.nodes.values().map(|node| node.label.clone()).collect();
        labels.sort();
        labels
    }

    /// "SOURCE>TARGET" by label.
    pub fn arrows(&self) -> Vec<String> {
        let label = |id: &str| self.nodes[id].label.clone();
        let mut arrows: Vec<_> = self
            .edges
            .values()
            .map(|edge| format!("{}>{}", label(&edge.source), label(&edge.target)))
            .collect();
        arrows.sort();
        arrows
    }
}

pub struct World {
    pub topology: Topology,
    pub now_ms: u64,
    pub events: Vec<v1::Event>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self {
            topology: Topology::new(limits),
            now_ms: START_MS,
            events: Vec::new(),
        }
    }

    /// An agent that has sent its first, empty snapshot, and the address of its host.
    pub fn agent(&mut self, id: &str, address: &str) -> AgentKey {
        let agent = self.connect(id, 1);
        self.topology.begin_snapshot(agent);
        self.apply(agent, host(id, &[address]));
        self.topology
            .end_snapshot(agent, self.now_ms, &mut self.events);
        agent
    }

    pub fn connect(&mut self, id: &str, generation: u64) -> AgentKey {
        let hello = v1::Hello {
            agent_id: id.into(),
            hostname: format!("{id}.example"),
            generation,
            ..Default::default()
        };
        self.topology
            .connect_agent(&hello, self.now_ms, &mut self.events)
            .expect("within the bounds")
    }

    pub fn apply(&mut self, agent: AgentKey, change: Change) {
        self.try_apply(agent, change)
            .expect("a well-formed change within the bounds");
    }

    pub fn try_apply(&mut self, agent: AgentKey, change: Change) -> Result<(), ChangeRefused> {
        let change = v1::Change {
            change: Some(change),
        };
        self.topology
            .apply(agent, change, self.now_ms, &mut self.events)
    }

    pub fn snapshot(&mut self, agent: AgentKey, changes: Vec<Change>) {
        self.topology.begin_snapshot(agent);
        for change in changes {
            self.apply(agent, change);
        }
        self.topology
            .end_snapshot(agent, self.now_ms, &mut self.events);
    }

    pub fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.now_ms = (self.now_ms + 500).min(until);
            self.topology.advance(self.now_ms, &mut self.events);
        }
    }

    /// The whole view as a new subscriber sees it.
    pub fn see(&self, kind: ViewKind) -> Client {
        self.see_with(
            kind,
            v1::ViewOptions {
                unconnected: Some(true),
                ..Default::default()
            },
        )
    }

    pub fn see_with(&self, kind: ViewKind, options: v1::ViewOptions) -> Client {
        let mut view = View::new(kind, Options::new(kind, &options));
        let mut client = Client::default();
        client.apply(
            view.diff(&self.topology, self.now_ms)
                .expect("the first is whole"),
        );
        client
    }

    pub fn kinds(&self) -> Vec<v1::EventKind> {
        self.events.iter().map(v1::Event::kind).collect()
    }
}

pub fn host(id: &str, addresses: &[&str]) -> Change {
    let bytes = |text: &&str| mesoscope_proto::address::to_bytes(text.parse().expect("literal"));
    Change::Host(v1::Host {
        hostname: format!("{id}.example"),
        interfaces: vec![v1::NetworkInterface {
            name: "eth0".into(),
            addresses: addresses.iter().map(bytes).collect(),
            ..Default::default()
        }],
        network_namespace: 1,
        cpu_cores: 4,
        memory_bytes: 8 << 30,
        ..Default::default()
    })
}

pub fn key(pid: u32) -> v1::ProcessKey {
    v1::ProcessKey {
        pid,
        start_boottime_ns: u64::from(pid) * 10_000_000,
    }
}

pub fn process(pid: u32, name: &str) -> v1::Process {
    v1::Process {
        key: Some(key(pid)),
        cause: v1::ProcessCause::Exec.into(),
        time_unix_ns: START_MS * 1_000_000,
        parent: Some(key(1)),
        name: name.into(),
        argv: vec![name.into(), "--flag".into()],
        network_namespace: 1,
        started_unix_ns: START_MS * 1_000_000,
        ..Default::default()
    }
}

pub fn ended(mut process: v1::Process, code: i32) -> v1::Process {
    process.exit = Some(v1::ProcessExit {
        time_unix_ns: START_MS * 1_000_000,
        code,
        ..Default::default()
    });
    process
}

pub fn end(
    cookie: u64,
    pid: u32,
    direction: v1::Direction,
    local: &str,
    remote: &str,
) -> v1::Connection {
    v1::Connection {
        cookie,
        protocol: v1::Protocol::Tcp.into(),
        direction: direction.into(),
        state: v1::ConnectionState::Open.into(),
        local: Some(endpoint(local)),
        remote: Some(endpoint(remote)),
        network_namespace: 1,
        process: (pid != 0).then(|| key(pid)),
        opened_unix_ns: START_MS * 1_000_000,
        ..Default::default()
    }
}

pub fn endpoint(text: &str) -> v1::Endpoint {
    text.parse::<std::net::SocketAddr>()
        .expect("literal")
        .into()
}

pub fn closed(mut end: v1::Connection, sent: u64, received: u64) -> v1::Connection {
    end.state = v1::ConnectionState::Closed.into();
    end.closed_unix_ns = end.opened_unix_ns + 20_000_000;
    (end.bytes_sent, end.bytes_received) = (sent, received);
    end
}

pub fn listener(cookie: u64, pid: u32, local: &str) -> v1::Listener {
    v1::Listener {
        cookie,
        protocol: v1::Protocol::Tcp.into(),
        local: Some(endpoint(local)),
        network_namespace: 1,
        process: Some(key(pid)),
        ..Default::default()
    }
}

pub fn container(id: &str, name: &str, addresses: &[&str]) -> v1::Container {
    let bytes = |text: &&str| mesoscope_proto::address::to_bytes(text.parse().expect("literal"));
    v1::Container {
        id: id.into(),
        runtime: "docker".into(),
        name: name.into(),
        image: format!("{name}:1"),
        state: v1::ContainerState::Running.into(),
        addresses: addresses.iter().map(bytes).collect(),
        network_mode: "bridge".into(),
        ..Default::default()
    }
}
