//! What is known of one agent at a moment: what it told up to then, folded. The rules by which a
//! message replaces or adds to what is known are those of the topology (`aggregator/topology/src/apply`).

mod entries;
mod merge;

use std::hash::Hash;

use mesoscope_proto::v1::{self, ContainerState, ProcessKey};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::code::entry::{Connected, Op};
pub(crate) use merge::{closes, merge_connection, merge_process, outranks, same_socket};

const NS_PER_MS: u64 = 1_000_000;
/// Names of addresses kept of one agent; the oldest go first.
const NAMES_MAX: usize = 4_096;

/// A thing and when it was told.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    pub first_ms: u64,
    pub last_ms: u64,
    /// In the snapshot that is under way.
    pub seen: bool,
    pub told: T,
}

impl<T> Kept<T> {
    fn of((first_ms, last_ms, seen): (u64, u64, bool), told: T) -> Self {
        Self {
            first_ms,
            last_ms,
            seen,
            told,
        }
    }
}

/// How the agent itself is.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub hello: v1::Hello,
    pub first_ms: u64,
    pub connected_ms: u64,
    /// When its stream ended.
    pub gone_ms: Option<u64>,
    pub has_snapshot: bool,
    /// When the snapshot began that is under way.
    pub snapshot_ms: Option<u64>,
}

/// What is known of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub standing: Option<Standing>,
    pub host: Option<Kept<v1::Host>>,
    pub status: Option<Kept<v1::AgentStatus>>,
    pub processes: FxHashMap<(u32, u64), Kept<v1::Process>>,
    pub containers: FxHashMap<String, Kept<v1::Container>>,
    pub pressures: FxHashMap<String, Kept<v1::ContainerMetrics>>,
    pub connections: FxHashMap<u64, Kept<v1::Connection>>,
    pub listeners: FxHashMap<u64, Kept<v1::Listener>>,
    pub names: FxHashMap<Vec<u8>, Kept<v1::AddressName>>,
    pub gaps: Vec<Kept<v1::Gap>>,
}

/// How long the topology keeps what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// What has ended.
    pub ended_ms: u64,
    /// Agents that are gone.
    pub agents_ms: u64,
}

/// The place of a key in a table.
fn put<K: Eq + Hash, T>(table: &mut FxHashMap<K, Kept<T>>, key: K, at_ms: u64, told: T) {
    let first_ms = table.get(&key).map_or(at_ms, |kept| kept.first_ms);
    table.insert(key, Kept::of((first_ms, at_ms, true), told));
}

/// What is over and forgotten by now is another thing when it is told again.
fn forget_if<K: Eq + Hash, T>(
    table: &mut FxHashMap<K, Kept<T>>,
    key: &K,
    at_ms: u64,
    keeps: Keeps,
    over: impl Fn(&Kept<T>) -> bool,
) {
    let due = |kept: &Kept<T>| kept.last_ms.saturating_add(keeps.ended_ms) < at_ms && over(kept);
    if table.get(key).is_some_and(due) {
        table.remove(key);
    }
}

fn is_removed(container: &v1::Container) -> bool {
    container.state() == ContainerState::Removed
}

fn seen_ids<K, T>(
    table: &FxHashMap<K, Kept<T>>,
    id: fn(&T) -> &String,
) -> impl Iterator<Item = &str> {
    let seen = table.values().filter(|kept| kept.seen);
    seen.map(move |kept| id(&kept.told).as_str())
}

pub(crate) fn process_id(key: Option<&ProcessKey>) -> Option<(u32, u64)> {
    key.filter(|key| key.pid != 0)
        .map(|key| (key.pid, key.start_boottime_ns))
}

impl State {
    /// Takes what was told next.
    pub(crate) fn apply(&mut self, at_ms: u64, op: Op, keeps: Keeps) {
        match op {
            Op::Process(told) => self.apply_process(at_ms, told, keeps),
            Op::Connection(told) => self.apply_connection(at_ms, told, keeps),
            Op::Counters(news) => {
                if let Some(kept) = self.connections.get_mut(&news.cookie) {
                    let told = &mut kept.told;
                    told.bytes_sent = told.bytes_sent.saturating_add(news.sent);
                    told.bytes_received = told.bytes_received.saturating_add(news.received);
                    told.retransmits = told.retransmits.saturating_add(news.retransmits);
                    if news.rtt_us != 0 {
                        told.rtt_us = news.rtt_us;
                    }
                    (kept.last_ms, kept.seen) = (at_ms, true);
                }
            }
            Op::Listener(told) => self.apply_listener(at_ms, told),
            Op::Container(told) => {
                let over = |kept: &Kept<v1::Container>| is_removed(&kept.told);
                forget_if(&mut self.containers, &told.id, at_ms, keeps, over);
                put(&mut self.containers, told.id.clone(), at_ms, told);
            }
            Op::Pressure(told) => {
                put(&mut self.pressures, told.container_id.clone(), at_ms, told);
            }
            Op::Host(told) => {
                let first_ms = self.host.as_ref().map_or(at_ms, |kept| kept.first_ms);
                self.host = Some(Kept::of((first_ms, at_ms, true), told));
            }
            Op::Status(told) => self.status = Some(Kept::of((at_ms, at_ms, true), told)),
            Op::Name(told) => {
                let known = self.names.get(&told.address);
                if known.is_some_and(|known| !outranks(&told, &known.told)) {
                    return;
                }
                put(&mut self.names, told.address.clone(), at_ms, told);
                self.bound_names();
            }
            Op::Gap(told) => self.apply_gap(at_ms, told),
            Op::Connected(told) => self.connect(at_ms, told, keeps),
            Op::Disconnected(_) => {
                if let Some(standing) = &mut self.standing {
                    standing.gone_ms = Some(at_ms);
                    standing.snapshot_ms = None;
                }
            }
            Op::Snapshot(true) => self.begin_snapshot(at_ms),
            Op::Snapshot(false) => self.end_snapshot(at_ms),
        }
    }

    fn connect(&mut self, at_ms: u64, mut told: Connected, keeps: Keeps) {
        let forgotten = self
            .standing
            .as_ref()
            .and_then(|standing| standing.gone_ms)
            .is_some_and(|gone_ms| at_ms.saturating_sub(gone_ms) >= keeps.agents_ms);
        if forgotten {
            *self = Self::default();
        }
        let before = self.standing.take();
        let same = |before: &Standing| before.hello.generation == told.hello.generation;
        let goes_on = before.as_ref().is_some_and(same);
        // What the node can do is known until the agent says something else.
        if told.hello.capabilities.is_empty() {
            let of_status = self.status.as_ref().map(|kept| &kept.told.capabilities);
            let of_hello = before.as_ref().map(|before| &before.hello.capabilities);
            let known = of_status.filter(|known| !known.is_empty()).or(of_hello);
            told.hello.capabilities = known.cloned().unwrap_or_default();
        }
        if !goes_on {
            self.status = None;
        }
        self.standing = Some(Standing {
            first_ms: before.as_ref().map_or(at_ms, |before| before.first_ms),
            connected_ms: if told.again_ms == 0 {
                at_ms
            } else {
                at_ms + told.again_ms
            },
            gone_ms: None,
            has_snapshot: told.has_snapshot
                || before.is_some_and(|before| goes_on && before.has_snapshot),
            snapshot_ms: None,
            hello: told.hello,
        });
    }

    fn apply_process(&mut self, at_ms: u64, told: v1::Process, keeps: Keeps) {
        let Some(key) = process_id(told.key.as_ref()) else {
            return;
        };
        let over = |kept: &Kept<v1::Process>| kept.told.exit.is_some();
        forget_if(&mut self.processes, &key, at_ms, keeps, over);
        match self.processes.get_mut(&key) {
            None => put(&mut self.processes, key, at_ms, told),
            Some(kept) => {
                kept.seen = true;
                if merge_process(&mut kept.told, told) {
                    kept.last_ms = at_ms;
                }
            }
        }
    }

    fn apply_connection(&mut self, at_ms: u64, mut told: v1::Connection, keeps: Keeps) {
        if told.cookie == 0 {
            return;
        }
        let over = |kept: &Kept<v1::Connection>| kept.told.closed_unix_ns != 0;
        forget_if(&mut self.connections, &told.cookie, at_ms, keeps, over);
        merge::settle(&mut told, at_ms);
        match self.connections.get_mut(&told.cookie) {
            Some(kept) if same_socket(&kept.told, &told) => {
                let was_open = kept.told.closed_unix_ns == 0;
                merge_connection(&mut kept.told, told);
                kept.seen = true;
                if was_open || kept.told.closed_unix_ns == 0 {
                    kept.last_ms = at_ms;
                }
            }
            // Cookies start anew after a reboot: this is another socket.
            _ => {
                self.connections.remove(&told.cookie);
                put(&mut self.connections, told.cookie, at_ms, told);
            }
        }
    }

    fn apply_listener(&mut self, at_ms: u64, told: v1::Listener) {
        if !closes(&told) {
            put(&mut self.listeners, told.cookie, at_ms, told);
        } else if let Some(kept) = self.listeners.get_mut(&told.cookie) {
            if kept.told.closed_unix_ns == 0 {
                kept.last_ms = at_ms;
            }
            kept.told.closed_unix_ns = told.closed_unix_ns;
        }
    }

    fn apply_gap(&mut self, at_ms: u64, told: v1::Gap) {
        let same = |kept: &Kept<v1::Gap>| gap_name(&kept.told) == gap_name(&told);
        let at = self.gaps.iter().position(same);
        if told.until_unix_ns != 0 {
            if let Some(at) = at {
                self.gaps.remove(at);
            }
            return;
        }
        let kept = |first_ms| Kept::of((first_ms, at_ms, true), told);
        match at {
            Some(at) => self.gaps[at] = kept(self.gaps[at].first_ms),
            None => self.gaps.push(kept(at_ms)),
        }
    }

    fn begin_snapshot(&mut self, at_ms: u64) {
        if let Some(standing) = &mut self.standing {
            standing.snapshot_ms = Some(at_ms);
        }
        fn unsee<K, T>(table: &mut FxHashMap<K, Kept<T>>) {
            table.values_mut().for_each(|kept| kept.seen = false);
        }
        unsee(&mut self.processes);
        unsee(&mut self.containers);
        unsee(&mut self.connections);
        unsee(&mut self.listeners);
        self.gaps.iter_mut().for_each(|kept| kept.seen = false);
    }

    /// What was not in the snapshot is gone.
    fn end_snapshot(&mut self, at_ms: u64) {
        let Some(standing) = &mut self.standing else {
            return;
        };
        if standing.snapshot_ms.take().is_none() {
            return;
        }
        standing.has_snapshot = true;
        let at_ns = at_ms.saturating_mul(NS_PER_MS);
        self.gaps.retain(|kept| kept.seen);
        for kept in self.connections.values_mut() {
            if !kept.seen && kept.told.closed_unix_ns == 0 {
                kept.told.closed_unix_ns = at_ns;
                kept.told.set_state(v1::ConnectionState::Closed);
                kept.last_ms = at_ms;
            }
        }
        for kept in self.listeners.values_mut() {
            if !kept.seen && kept.told.closed_unix_ns == 0 {
                kept.told.closed_unix_ns = at_ns;
                kept.last_ms = at_ms;
            }
        }
        for kept in self.processes.values_mut() {
            if !kept.seen && kept.told.exit.is_none() {
                kept.told.exit = Some(v1::ProcessExit {
                    time_unix_ns: at_ns,
                    inferred: true,
                    ..Default::default()
                });
                kept.last_ms = at_ms;
            }
        }
        // A process of it that runs speaks for a container.
        let mut inhabited: FxHashSet<&str> = FxHashSet::default();
        inhabited.extend(seen_ids(&self.processes, |told| &told.container_id));
        inhabited.extend(seen_ids(&self.connections, |told| &told.container_id));
        inhabited.extend(seen_ids(&self.listeners, |told| &told.container_id));
        for (id, kept) in &mut self.containers {
            if !kept.seen && !is_removed(&kept.told) && !inhabited.contains(id.as_str()) {
                kept.told.set_state(ContainerState::Removed);
                kept.last_ms = at_ms;
            }
        }
    }

    fn bound_names(&mut self) {
        if self.names.len() <= NAMES_MAX {
            return;
        }
        let mut times: Vec<_> = self.names.values().map(|kept| kept.last_ms).collect();
        let half = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(half);
        let middle = *middle;
        self.names.retain(|_, kept| kept.last_ms > middle);
    }

    /// Forgets what has been over for so long that the map no longer shows it.
    pub(crate) fn expire(&mut self, now_ms: u64, keeps: Keeps) {
        let over = |last_ms: u64| last_ms.saturating_add(keeps.ended_ms) < now_ms;
        self.connections
            .retain(|_, kept| kept.told.closed_unix_ns == 0 || !over(kept.last_ms));
        self.listeners
            .retain(|_, kept| kept.told.closed_unix_ns == 0 || !over(kept.last_ms));
        // A socket may outlive the process that it was of.
        let owners: FxHashSet<_> = self
            .connections
            .values()
            .map(|kept| process_id(kept.told.process.as_ref()))
            .chain(
                self.listeners
                    .values()
                    .map(|kept| process_id(kept.told.process.as_ref())),
            )
            .flatten()
            .collect();
        self.processes.retain(|key, kept| {
            kept.told.exit.is_none() || !over(kept.last_ms) || owners.contains(key)
        });
        let mut removed = FxHashSet::default();
        self.containers.retain(|id, kept| {
            let gone = is_removed(&kept.told) && over(kept.last_ms);
            if gone {
                removed.insert(id.clone());
            }
            !gone
        });
        if !removed.is_empty() {
            self.leave(&removed);
        }
        let containers = &self.containers;
        self.pressures
            .retain(|id, kept| containers.contains_key(id) || !over(kept.last_ms));
        let gone = |standing: &Standing| {
            let gone_ms = standing.gone_ms?;
            Some(now_ms.saturating_sub(gone_ms) >= keeps.agents_ms)
        };
        if self.standing.as_ref().and_then(gone) == Some(true) {
            *self = Self::default();
        }
    }

    /// What was in containers that are forgotten is in none.
    fn leave(&mut self, removed: &FxHashSet<String>) {
        let leave = |container_id: &mut String| {
            if removed.contains(container_id) {
                container_id.clear();
            }
        };
        let processes = self.processes.values_mut();
        processes.for_each(|kept| leave(&mut kept.told.container_id));
        let connections = self.connections.values_mut();
        connections.for_each(|kept| leave(&mut kept.told.container_id));
        let listeners = self.listeners.values_mut();
        listeners.for_each(|kept| leave(&mut kept.told.container_id));
    }
}

/// What makes a gap another gap.
pub(crate) fn gap_name(gap: &v1::Gap) -> (i32, &str, u64) {
    (gap.kind, &gap.what, gap.cgroup_id)
}
