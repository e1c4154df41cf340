//! A moment, with the figures of its things.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use mesoscope_history::Moment;
use mesoscope_proto::v1::{self, Incomplete, NodeDetails, TopologyDiff};
use mesoscope_topology::{AgentKey, Options, Topology, View, ViewKind};

use super::figures::figures;
use crate::core::Core;
use crate::series::Recorder;

/// Things whose figures are asked for under one lock of the series: agents wait that long.
const THINGS_PER_LOCK: usize = 256;

/// The map as it was.
#[derive(Debug)]
pub struct Recalled {
    at_ms: u64,
    things: usize,
    core: Arc<Core>,
    series: Arc<Recorder>,
    topology: RwLock<Topology>,
    pressures: HashMap<AgentKey, HashMap<String, v1::ContainerMetrics>>,
    incomplete: Vec<Incomplete>,
    /// Views of single things that have their figures.
    filled: Mutex<Vec<ViewKind>>,
}

impl Recalled {
    pub(super) fn new(moment: Moment, core: Arc<Core>, series: Arc<Recorder>) -> Self {
        let mut pressures = HashMap::<_, HashMap<_, _>>::new();
        for (agent, told) in moment.pressures {
            let of_agent = pressures.entry(agent).or_default();
            of_agent.insert(told.container_id.clone(), told);
        }
        let stats = moment.topology.stats();
        let counted = ["processes", "containers", "connections", "listeners"];
        let fills = stats
            .fills
            .iter()
            .filter(|fill| counted.contains(&fill.name));
        Self {
            at_ms: moment.at_ms,
            things: fills.map(|fill| fill.used).sum(),
            core,
            series,
            topology: RwLock::new(moment.topology),
            pressures,
            incomplete: moment.incomplete,
            filled: Mutex::default(),
        }
    }

    /// When it was, in Unix milliseconds.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Processes, containers and sockets in it.
    pub(super) fn things(&self) -> usize {
        self.things
    }

    /// The map, with the figures that views of this kind show. Blocking.
    pub fn topology(&self, kind: ViewKind) -> RwLockReadGuard<'_, Topology> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        // Hosts stand beside the others, and are few.
        for kind in [ViewKind::Hosts, kind.base()] {
            if !filled.contains(&kind) {
                self.fill(kind);
                filled.push(kind);
            }
        }
        drop(filled);
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole view. Blocking.
    #[must_use]
    pub fn view(&self, kind: ViewKind, options: Options) -> TopologyDiff {
        let topology = self.topology(kind);
        let mut diff = View::new(kind, options)
            .diff(&topology, self.at_ms)
            .unwrap_or_default();
        drop(topology);
        diff.past = true;
        diff.incomplete.extend(self.incomplete.iter().cloned());
        diff
    }

    /// Everything known of one node. Blocking.
    #[must_use]
    pub fn node(&self, kind: ViewKind, id: &str, environment: bool) -> Option<NodeDetails> {
        let topology = self.topology(kind);
        let mut details = topology.node(kind, id, environment)?;
        let is_container = topology
            .place(kind, id, self.at_ms)
            .is_some_and(|place| place.container.is_some());
        details.control = is_container.then(|| v1::ContainerControl {
            available: false,
            reason: "this is the past; go back to live to control it".to_owned(),
        });
        Some(details)
    }

    fn fill(&self, kind: ViewKind) {
        let mut topology = self
            .topology
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let things = topology.things(kind);
        let now_ms = self.core.now_ms();
        let lookup = self.series.lookup();
        for part in things.chunks(THINGS_PER_LOCK) {
            let asked: Vec<_> = part
                .iter()
                .map(|(agent, thing)| (topology.agent_id(*agent), thing))
                .collect();
            let values = self.series.at(&lookup, &asked, self.at_ms, now_ms);
            let told: Vec<_> = part
                .iter()
                .zip(values)
                .filter_map(|((agent, thing), values)| {
                    let pressure = |id: &str| self.pressures.get(agent)?.get(id);
                    Some((*agent, figures(thing, &values?, self.at_ms, pressure)))
                })
                .collect();
            for (agent, told) in told {
                topology.recall_figures(agent, told);
            }
        }
    }
}
