//! The state as a whole: its bounds, what is flushed and what a snapshot holds.

use std::collections::{BTreeMap, VecDeque};

use mesoscope_capture::{Clock, MonoNs, ProcessId};
use mesoscope_proto::v1::{self, change::Change as Kind};
use rustc_hash::{FxHashMap, FxHashSet};

use super::connections::Connections;
use super::containers::{CgroupContainers, Containers};
use super::listeners::Listeners;
use super::nat::Nat;
use super::pending::{Item, Pending};
use super::plugins::PluginsSaid;
use super::processes::Processes;

/// How much is kept at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Processes, ended ones included.
    pub processes: usize,
    /// Ended processes.
    pub processes_ended: usize,
    /// Connections, ended ones included.
    pub connections: usize,
    /// Ended connections.
    pub connections_ended: usize,
    /// Sockets that wait for others.
    pub listeners: usize,
    /// Containers.
    pub containers: usize,
    /// Conntrack flows.
    pub flows: usize,
    /// Names of remote addresses.
    pub names: usize,
    /// How long ended things are kept, so that late records find them and a snapshot can tell of
    /// them to an aggregator that was away for a moment.
    pub tombstone_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 32_768,
            processes_ended: 4_096,
            connections: 49_152,
            connections_ended: 4_096,
            listeners: 8_192,
            containers: 4_096,
            flows: 16_384,
            names: 4_096,
            tombstone_ns: 15_000_000_000,
        }
    }
}

/// How much is kept, for metrics and the governor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sizes {
    pub processes: usize,
    pub processes_ended: usize,
    pub connections: usize,
    pub connections_ended: usize,
    pub listeners: usize,
    pub containers: usize,
    pub flows: usize,
    pub names: usize,
    pub pending: usize,
    pub unowned: usize,
    pub details_waiting: usize,
    /// Nodes that a plugin said something of, each counted once for each plugin.
    pub plugin_facts: usize,
}

/// Counters of things that could not be taken over, totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counters {
    /// Ends of processes that nothing was known of.
    pub exits_unknown: u64,
    /// Ends of sockets without addresses that nothing was known of.
    pub ends_unknown: u64,
    /// Things left out because their table was full.
    pub over_limit: u64,
    /// Ends that repeated one already told.
    pub ends_repeated: u64,
}

/// Closed gaps kept for the next snapshot at most.
const GAPS_CLOSED_MAX: usize = 256;

/// The node, as far as it is known.
pub struct NodeState {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) now: MonoNs,
    pub(super) cgroups: Box<dyn CgroupContainers>,
    pub(super) processes: Processes,
    pub(super) connections: Connections,
    pub(super) listeners: Listeners,
    pub(super) containers: Containers,
    pub(super) nat: Nat,
    pub(super) names: FxHashMap<Vec<u8>, v1::AddressName>,
    pub(super) new_addresses: Vec<std::net::IpAddr>,
    pub(super) answers: Vec<(String, Vec<std::net::IpAddr>)>,
    pub(super) pending: Pending,
    pub(super) plugins: PluginsSaid,
    pub(super) counters: Counters,
    pub(super) host_network_namespace: u64,
    local_addresses: FxHashSet<std::net::IpAddr>,
    host: Option<v1::Host>,
    status: Option<v1::AgentStatus>,
    gaps: BTreeMap<(i32, String, u64), v1::Gap>,
    /// Closed ones, for a snapshot that takes the place of the batch that told them.
    gaps_closed: VecDeque<(MonoNs, v1::Gap)>,
    limit_gap_open: bool,
    omit_arguments: bool,
}

/// A program that rewrote its title has its arguments in the first word: it is cut at a space.
fn without_arguments(mut kind: Kind) -> Kind {
    let cut = |words: &mut Vec<String>| {
        let before = words.len();
        words.truncate(1);
        let Some(first) = words.first_mut() else {
            return false;
        };
        let end = first.find(char::is_whitespace);
        first.truncate(end.unwrap_or(first.len()));
        before > 1 || end.is_some()
    };
    match &mut kind {
        Kind::Process(process) => process.argv_truncated |= cut(&mut process.argv),
        Kind::Container(container) => {
            cut(&mut container.command);
        }
        _ => {}
    }
    kind
}

impl NodeState {
    /// An empty node. `cgroups` says which container a cgroup is.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock, cgroups: Box<dyn CgroupContainers>) -> Self {
        Self {
            limits,
            clock,
            now: 0,
            cgroups,
            processes: Processes::default(),
            connections: Connections::default(),
            listeners: Listeners::default(),
            containers: Containers::default(),
            nat: Nat::default(),
            names: FxHashMap::default(),
            new_addresses: Vec::new(),
            answers: Vec::new(),
            pending: Pending::default(),
            plugins: PluginsSaid::default(),
            counters: Counters::default(),
            host_network_namespace: 0,
            local_addresses: FxHashSet::default(),
            host: None,
            status: None,
            gaps: BTreeMap::new(),
            gaps_closed: VecDeque::new(),
            limit_gap_open: false,
            omit_arguments: false,
        }
    }

    /// From now on nothing tells the arguments of processes and containers' commands: only what was
    /// started.
    pub fn omit_arguments(&mut self) {
        self.omit_arguments = true;
    }

    /// Takes over the present offset of the wall clock. Times already told stay as they are.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Changes the bounds; what is over them goes at the next tick.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The present bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Time passes: tombstones expire.
    pub fn tick(&mut self, now: MonoNs) {
        self.now = self.now.max(now);
        self.expire_processes();
        self.expire_connections();
        self.expire_listeners();
        self.expire_flows();
        self.expire_containers();
        self.shrink_processes();
        self.shrink_connections();
        self.tell_limits();
    }

    /// What the host is.
    pub fn set_host(&mut self, host: v1::Host) {
        if self.host.as_ref() != Some(&host) {
            self.host_network_namespace = host.network_namespace;
            let addresses = host
                .interfaces
                .iter()
                .flat_map(|interface| &interface.addresses);
            self.local_addresses = addresses
                .filter_map(|bytes| mesoscope_proto::address::from_bytes(bytes))
                .collect();
            self.pending.other.push(Kind::Host(host.clone()));
            self.host = Some(host);
        }
    }

    /// The host's name, once it is known.
    #[must_use]
    pub(super) fn hostname(&self) -> &str {
        self.host.as_ref().map_or("", |host| &host.hostname)
    }

    /// How the agent itself is.
    pub fn set_status(&mut self, status: v1::AgentStatus) {
        self.pending.other.push(Kind::AgentStatus(status.clone()));
        self.status = Some(status);
    }

    /// Opens, updates or closes a gap.
    pub fn gap(&mut self, gap: v1::Gap) {
        let key = (gap.kind, gap.what.clone(), gap.cgroup_id);
        if self.gaps.get(&key) == Some(&gap) {
            return;
        }
        if gap.until_unix_ns == 0 {
            self.gaps.insert(key, gap.clone());
        } else {
            self.gaps.remove(&key);
            if self.gaps_closed.len() >= GAPS_CLOSED_MAX {
                self.gaps_closed.pop_front();
            }
            self.gaps_closed.push_back((self.now, gap.clone()));
        }
        self.pending.other.push(Kind::Gap(gap));
    }

    /// Gaps that are open.
    pub fn open_gaps(&self) -> impl Iterator<Item = &v1::Gap> {
        self.gaps.values()
    }

    /// Measurements, which are passed on and not kept.
    pub fn measured(&mut self, metrics: impl IntoIterator<Item = Kind>) {
        self.pending.other.extend(metrics);
    }

    /// A name of a remote address.
    pub fn name(&mut self, name: v1::AddressName) {
        if self.names.get(&name.address) == Some(&name) {
            return;
        }
        if self.names.len() >= self.limits.names && !self.names.contains_key(&name.address) {
            // Any will do: one that is still in use is told again when it is seen again.
            let victim = self.names.keys().next().cloned();
            victim.map(|victim| self.names.remove(&victim));
        }
        self.pending.other.push(Kind::AddressName(name.clone()));
        self.names.insert(name.address.clone(), name);
    }

    /// Remote addresses that were seen for the first time since the last call.
    pub fn take_new_addresses(&mut self) -> Vec<std::net::IpAddr> {
        std::mem::take(&mut self.new_addresses)
    }

    /// DNS answers seen since the last call: name and addresses.
    pub fn take_answers(&mut self) -> Vec<(String, Vec<std::net::IpAddr>)> {
        std::mem::take(&mut self.answers)
    }

    /// Whether anything waits for a flush.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.pending.len() > 0
    }

    /// Hands over what changed since the last flush.
    pub fn flush(&mut self, emit: &mut dyn FnMut(Kind)) {
        let omit = self.omit_arguments;
        let emit = &mut |kind| emit(if omit { without_arguments(kind) } else { kind });
        let pending = std::mem::take(&mut self.pending);
        for id in pending.containers {
            if let Some(container) = self.containers.flushed(&id) {
                emit(Kind::Container(container));
            }
        }
        pending.other.into_iter().for_each(&mut *emit);
        for item in pending.processes {
            match item {
                Item::Frozen(message) => emit(Kind::Process(*message)),
                Item::Live(id) => {
                    if let Some(message) = self.processes.flushed(id) {
                        emit(Kind::Process(message));
                    }
                }
            }
        }
        for item in pending.listeners {
            match item {
                Item::Frozen(message) => emit(Kind::Listener(*message)),
                Item::Live(cookie) => {
                    if let Some(message) = self.listeners.flushed(cookie) {
                        emit(Kind::Listener(message));
                    }
                }
            }
        }
        for item in pending.connections {
            match item {
                Item::Frozen(message) => emit(Kind::Connection(*message)),
                Item::Live(key) => {
                    if let Some(message) = self.connections.flushed(key) {
                        emit(Kind::Connection(message));
                    }
                }
            }
        }
        let said = pending.plugins.into_iter();
        said.map(Kind::PluginFacts).for_each(emit);
    }

    /// Everything that is known, for an aggregator that knows nothing: what lives, and what ended
    /// after `since` (the rest of it was acknowledged before). Nothing waits for a flush afterwards.
    pub fn snapshot(&mut self, since: MonoNs, emit: &mut dyn FnMut(Kind)) {
        let omit = self.omit_arguments;
        let emit = &mut |kind| emit(if omit { without_arguments(kind) } else { kind });
        // What waits is either in the state or, being an earlier state of a thing, would be
        // overtaken by the snapshot; only what is not kept has to be told.
        let mut waiting = Vec::new();
        self.flush(&mut |change| match change {
            Kind::CgroupEvent(_) | Kind::HostMetrics(_) => waiting.push(change),
            _ => {}
        });
        self.host
            .iter()
            .cloned()
            .map(Kind::Host)
            .for_each(&mut *emit);
        self.status
            .iter()
            .cloned()
            .map(Kind::AgentStatus)
            .for_each(&mut *emit);
        let closed = self
            .gaps_closed
            .iter()
            .filter(|(time, _)| *time >= since)
            .map(|(_, gap)| gap);
        closed
            .chain(self.gaps.values())
            .cloned()
            .map(Kind::Gap)
            .for_each(&mut *emit);
        self.containers
            .snapshot(&mut |message| emit(Kind::Container(message)));
        self.processes
            .snapshot(since, &mut |message| emit(Kind::Process(message)));
        self.listeners
            .snapshot(&mut |message| emit(Kind::Listener(message)));
        let is_told = |id: &ProcessId| self.processes.is_told(id, since);
        self.connections.snapshot(since, &is_told, &mut |message| {
            emit(Kind::Connection(message));
        });
        self.names
            .values()
            .cloned()
            .map(Kind::AddressName)
            .for_each(&mut *emit);
        self.plugins
            .snapshot(&mut |facts| emit(Kind::PluginFacts(facts)));
        waiting.into_iter().for_each(emit);
    }

    /// How much is kept.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            processes: self.processes.len(),
            processes_ended: self.processes.ended_len(),
            connections: self.connections.len(),
            connections_ended: self.connections.ended_len(),
            listeners: self.listeners.len(),
            containers: self.containers.len(),
            flows: self.nat.len(),
            names: self.names.len(),
            pending: self.pending.len(),
            unowned: self.connections.unowned_len(),
            details_waiting: self.processes.details_len(),
            plugin_facts: self.plugins.len(),
        }
    }

    /// Counters of what could not be taken over.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether a process lives, as far as is known.
    #[must_use]
    pub fn is_alive(&self, id: ProcessId) -> bool {
        self.processes.alive(id)
    }

    /// Whether an address is the host's own.
    pub(super) fn is_local(&self, address: std::net::IpAddr) -> bool {
        address.is_loopback() || self.local_addresses.contains(&address)
    }

    fn tell_limits(&mut self) {
        let over = self.counters.over_limit;
        if over == 0 || self.limit_gap_open {
            return;
        }
        self.limit_gap_open = true;
        let gap = v1::Gap {
            kind: v1::GapKind::Governor.into(),
            what: "all".into(),
            since_unix_ns: self.clock.unix_ns(self.now),
            count: over,
            detail: format!(
                "this node has more than the agent keeps ({} processes, {} connections, {} listeners): the rest is left out",
                self.limits.processes, self.limits.connections, self.limits.listeners
            ),
            ..v1::Gap::default()
        };
        self.gap(gap);
    }
}

/// A key on the wire.
pub(super) fn key(id: ProcessId) -> v1::ProcessKey {
    v1::ProcessKey {
        pid: id.pid,
        start_boottime_ns: id.start_boottime_ns,
    }
}

/// A key from the wire; pid 0 stands for none.
pub(super) fn id(key: &v1::ProcessKey) -> Option<ProcessId> {
    (key.pid != 0).then_some(ProcessId {
        pid: key.pid,
        start_boottime_ns: key.start_boottime_ns,
    })
}
