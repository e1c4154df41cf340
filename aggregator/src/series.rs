//! What is told of hosts, containers and processes, over time: fed as batches come in, read by REST.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesoscope_proto::v1::{self, change::Change};
use mesoscope_series::{Answer, Limits, Metric, Range, Schema, Stats, Store};
use mesoscope_topology::{AgentKey, Thing};

const NS_PER_MS: u64 = 1_000_000;

const fn metric(key: &'static str, unit: &'static str, quantum: f64) -> Metric {
    Metric { key, unit, quantum }
}

const CPU: Metric = metric("cpu", "cores", 0.000_1);
const MEMORY: Metric = metric("memory", "bytes", 1.0);
const NETWORK_IN: Metric = metric("network_in", "bytes/s", 1.0);
const NETWORK_OUT: Metric = metric("network_out", "bytes/s", 1.0);
const DISK_READ: Metric = metric("disk_read", "bytes/s", 1.0);
const DISK_WRITTEN: Metric = metric("disk_written", "bytes/s", 1.0);
const PROCESSES: Metric = metric("processes", "count", 1.0);
const OPEN_FILES: Metric = metric("open_files", "count", 1.0);

static HOST: Schema = Schema {
    metrics: &[
        CPU,
        MEMORY,
        metric("load", "count", 0.01),
        NETWORK_IN,
        NETWORK_OUT,
        DISK_READ,
        DISK_WRITTEN,
        metric("disk", "bytes", 1.0),
        PROCESSES,
        OPEN_FILES,
    ],
    fine: true,
};
static CONTAINER: Schema = Schema {
    metrics: &[
        CPU,
        MEMORY,
        NETWORK_IN,
        NETWORK_OUT,
        DISK_READ,
        DISK_WRITTEN,
        PROCESSES,
    ],
    fine: true,
};
// Agents measure processes each 15 s.
static PROCESS: Schema = Schema {
    metrics: &[
        CPU,
        MEMORY,
        OPEN_FILES,
        metric("threads", "count", 1.0),
        metric("connections", "count", 1.0),
    ],
    fine: false,
};

/// A host, container or process of an agent. Containers are known by a digest of their id, so that
/// names have one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Host(AgentKey),
    Container(AgentKey, [u64; 2]),
    Process(AgentKey, u32, u64),
}

/// What a change says for the series.
#[derive(Debug)]
pub(crate) struct Told {
    name: Name,
    says: Says,
}

#[derive(Debug)]
enum Says {
    Values {
        schema: &'static Schema,
        values: [f64; mesoscope_series::METRICS_MAX],
        time_ns: u64,
    },
    IsThere,
    Ended {
        time_ns: u64,
    },
}

/// When a batch was made, which says what the times in it mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    /// Just now, at this time of the agent's clock. What it tells is as old as that clock says, however
    /// wrong it is and however it has jumped.
    Now {
        /// Nanoseconds since 1970, as the agent has it.
        agent_ns: u64,
    },
    /// Before the stream began, while the aggregator was away: the agent's clock is all there is.
    Before,
}

impl Made {
    /// A time that the agent told, in Unix milliseconds. Agents that don't know one tell 0.
    fn time_ms(self, told_ns: u64, now_ms: u64) -> u64 {
        let told_ms = told_ns / NS_PER_MS;
        match self {
            _ if told_ms == 0 => now_ms,
            Self::Now { agent_ns } => {
                now_ms.saturating_sub((agent_ns / NS_PER_MS).saturating_sub(told_ms))
            }
            Self::Before => told_ms,
        }
    }
}

/// The series of all agents.
#[derive(Debug)]
pub struct Recorder {
    state: Mutex<State>,
    /// Two secrets, so that nobody makes two ids with one digest.
    digests: [RandomState; 2],
}

#[derive(Debug)]
struct State {
    store: Store<Name, AgentKey>,
    agents: HashMap<AgentKey, Agent>,
}

#[derive(Debug)]
struct Agent {
    id: String,
    /// When the snapshot began that is coming in.
    snapshot_ms: u64,
}

impl Recorder {
    /// Empty, within these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                store: Store::new(limits),
                agents: HashMap::new(),
            }),
            digests: [RandomState::new(), RandomState::new()],
        }
    }

    /// An agent has a stream.
    pub(crate) fn connect(&self, agent: AgentKey, agent_id: &str, now_ms: u64) {
        let mut state = self.lock();
        state.store.source_speaks(agent, now_ms);
        state.agents.entry(agent).or_insert_with(|| Agent {
            id: agent_id.to_owned(),
            snapshot_ms: now_ms,
        });
    }

    /// An agent has no stream any more: what it told holds no longer.
    pub(crate) fn disconnect(&self, agent: AgentKey, now_ms: u64) {
        let mut state = self.lock();
        if state.agents.contains_key(&agent) {
            state.store.source_falls_silent(agent, now_ms);
        }
    }

    /// An agent begins to tell all that there is.
    pub(crate) fn begin_snapshot(&self, agent: AgentKey, now_ms: u64) {
        if let Some(agent) = self.lock().agents.get_mut(&agent) {
            agent.snapshot_ms = now_ms;
        }
    }

    /// It has told all: what it left out is gone.
    pub(crate) fn end_snapshot(&self, agent: AgentKey) {
        let mut state = self.lock();
        if let Some(since_ms) = state.agents.get(&agent).map(|agent| agent.snapshot_ms) {
            state.store.source_told_all(agent, since_ms);
        }
    }

    /// What a change says, if it says anything for the series.
    pub(crate) fn read(&self, agent: AgentKey, change: &v1::Change) -> Option<Told> {
        let container = |id: &str| Name::Container(agent, self.digest(id));
        let process = |key: Option<&v1::ProcessKey>| {
            key.map(|key| Name::Process(agent, key.pid, key.start_boottime_ns))
        };
        let (name, says) = match change.change.as_ref()? {
            Change::Host(_) => (Name::Host(agent), Says::IsThere),
            Change::HostMetrics(told) => (Name::Host(agent), of_host(told)),
            Change::Container(told) => (container(&told.id), container_state(told)),
            Change::ContainerMetrics(told) => (container(&told.container_id), of_container(told)),
            Change::Process(told) => {
                let ended = told.exit.as_ref().map(|exit| Says::Ended {
                    time_ns: exit.time_unix_ns,
                });
                (process(told.key.as_ref())?, ended.unwrap_or(Says::IsThere))
            }
            Change::ProcessMetrics(told) => (process(told.key.as_ref())?, of_process(told)),
            _ => return None,
        };
        Some(Told { name, says })
    }

    /// Takes what the changes of a batch said, in their order.
    pub(crate) fn take(&self, agent: AgentKey, told: Vec<Told>, made: Made, now_ms: u64) {
        if told.is_empty() {
            return;
        }
        let mut state = self.lock();
        if !state.agents.contains_key(&agent) {
            return;
        }
        let store = &mut state.store;
        for Told { name, says } in told {
            match says {
                Says::Values {
                    schema,
                    values,
                    time_ns,
                } => {
                    let values = &values[..schema.metrics.len()];
                    let time_ms = made.time_ms(time_ns, now_ms);
                    store.tell(name, agent, schema, values, time_ms, now_ms);
                }
                Says::IsThere => store.is_there(name, now_ms),
                Says::Ended { time_ns } => {
                    store.end(name, made.time_ms(time_ns, now_ms), now_ms);
                }
            }
        }
    }

    /// Lets time pass; `is_known` says which agents the topology still has.
    pub fn sweep(&self, now_ms: u64, is_known: impl Fn(AgentKey, &str) -> bool) {
        let State { store, agents } = &mut *self.lock();
        agents.retain(|key, agent| {
            let known = is_known(*key, &agent.id);
            if !known {
                store.forget_source(*key);
            }
            known
        });
        store.sweep(now_ms);
    }

    /// The values of a node by its id, which is as in the views; `None` when it has no series. Two agents
    /// may tell of one container: `owner` is the one that the map shows under this id.
    #[must_use]
    pub fn query(
        &self,
        id: &str,
        owner: Option<AgentKey>,
        range: Range,
        now_ms: u64,
    ) -> Option<Answer> {
        let state = self.lock();
        let name = self.name(&state, id, owner)?;
        state.store.query(name, range, now_ms)
    }

    /// The agents by their ids, to ask for many things at one moment.
    pub(crate) fn lookup(&self) -> HashMap<String, AgentKey> {
        let state = self.lock();
        let agents = state.agents.iter();
        agents
            .map(|(key, agent)| (agent.id.clone(), *key))
            .collect()
    }

    /// The values that things of agents had at a moment, in the order of the metrics above.
    pub(crate) fn at(
        &self,
        lookup: &HashMap<String, AgentKey>,
        things: &[(Option<&str>, &Thing)],
        time_ms: u64,
        now_ms: u64,
    ) -> Vec<Option<Vec<f64>>> {
        let state = self.lock();
        let values = |(agent_id, thing): &(Option<&str>, &Thing)| {
            let agent = *lookup.get((*agent_id)?)?;
            let name = match thing {
                Thing::Host => Name::Host(agent),
                Thing::Container(id) => Name::Container(agent, self.digest(id)),
                Thing::Process(key) => Name::Process(agent, key.pid, key.start_boottime_ns),
            };
            state.store.at(name, time_ms, now_ms)
        };
        things.iter().map(values).collect()
    }

    /// How full the store is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.lock().store.stats()
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.lock().store.limits()
    }

    fn name(&self, state: &State, id: &str, owner: Option<AgentKey>) -> Option<Name> {
        let agent = |id: &str| {
            let found = state.agents.iter().find(|(_, agent)| agent.id == id);
            found.map(|(key, _)| *key)
        };
        let (kind, rest) = id.split_once(';')?;
        match kind {
            "host" => Some(Name::Host(agent(rest)?)),
            "container" => {
                let (id, agent_id) = match rest.split_once(';') {
                    Some((id, agent_id)) => (id, Some(agent_id)),
                    None => (rest, None),
                };
                let digest = self.digest(id);
                if let Some(owner) = owner.or_else(|| agent(agent_id?)) {
                    return Some(Name::Container(owner, digest));
                }
                // It is no longer on the map: whose it was is known if only one agent told of it.
                let names = state.agents.keys().map(|key| Name::Container(*key, digest));
                let mut told = names.filter(|name| state.store.schema(*name).is_some());
                let name = told.next()?;
                told.next().is_none().then_some(name)
            }
            "process" => {
                let mut fields = rest.rsplitn(3, ';');
                let start = fields.next()?.parse().ok()?;
                let pid = fields.next()?.parse().ok()?;
                Some(Name::Process(agent(fields.next()?)?, pid, start))
            }
            _ => None,
        }
    }

    fn digest(&self, id: &str) -> [u64; 2] {
        let [first, second] = &self.digests;
        [first.hash_one(id), second.hash_one(id)]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn container_state(told: &v1::Container) -> Says {
    match told.state() {
        v1::ContainerState::Exited
        | v1::ContainerState::Dead
        | v1::ContainerState::Removed
        | v1::ContainerState::Created => Says::Ended {
            time_ns: told.finished_unix_ns,
        },
        _ => Says::IsThere,
    }
}

fn values<const N: usize>(schema: &'static Schema, told: [f64; N], time_ns: u64) -> Says {
    let mut values = [0.0; mesoscope_series::METRICS_MAX];
    values[..N].copy_from_slice(&told);
    Says::Values {
        schema,
        values,
        time_ns,
    }
}

fn of_host(told: &v1::HostMetrics) -> Says {
    let values_told = [
        told.cpu_cores_used,
        float(told.memory_used_bytes),
        told.load_1m,
        told.network_received_bytes_per_s,
        told.network_sent_bytes_per_s,
        told.disk_read_bytes_per_s,
        told.disk_written_bytes_per_s,
        float(told.disk_used_bytes),
        told.processes.into(),
        float(told.open_files),
    ];
    values(&HOST, values_told, told.time_unix_ns)
}

fn of_container(told: &v1::ContainerMetrics) -> Says {
    let values_told = [
        told.cpu_cores_used,
        float(told.memory_used_bytes),
        told.network_received_bytes_per_s,
        told.network_sent_bytes_per_s,
        told.disk_read_bytes_per_s,
        told.disk_written_bytes_per_s,
        told.processes.into(),
    ];
    values(&CONTAINER, values_told, told.time_unix_ns)
}

fn of_process(told: &v1::ProcessMetrics) -> Says {
    let values_told = [
        told.cpu_cores_used,
        float(told.rss_bytes),
        told.open_files.into(),
        told.threads.into(),
        told.connections.into(),
    ];
    values(&PROCESS, values_told, told.time_unix_ns)
}

#[expect(clippy::cast_precision_loss, reason = "nine significant bits are kept")]
fn float(value: u64) -> f64 {
    value as f64
}

/// The values of a node as this aggregator has them, and as others that share the agents told them.
/// An agent may have moved from one to another: each step is from one that knows it.
#[must_use]
pub fn merged(
    here: Option<Answer>,
    elsewhere: &[v1::SeriesTold],
) -> Vec<(&'static Metric, Vec<Option<f64>>)> {
    let mut merged: Vec<(&'static Metric, Vec<Option<f64>>)> = Vec::new();
    if let Some(here) = here {
        merged.extend(here.metrics.iter().zip(here.values));
    }
    for told in elsewhere.iter().flat_map(|told| &told.metrics) {
        let known = merged.iter_mut().find(|(metric, _)| metric.key == told.key);
        let values = told.values.iter();
        let values = values.map(|value| value.is_finite().then_some(*value));
        match known {
            Some((_, steps)) => {
                for (step, value) in steps.iter_mut().zip(values) {
                    *step = step.or(value);
                }
            }
            None => merged.extend(named(&told.key).map(|metric| (metric, values.collect()))),
        }
    }
    merged
}

fn named(key: &str) -> Option<&'static Metric> {
    let schemas = [&HOST, &CONTAINER, &PROCESS];
    let mut all = schemas.into_iter().flat_map(|schema| schema.metrics);
    all.find(|metric| metric.key == key)
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
