//! What agents and reporters tell goes into the topology and the series, a part at a time.

use std::sync::Arc;

use mesoscope_proto::v1::Change;
use mesoscope_topology::{AgentKey, ChangeRefused};

use super::hub::Hub;
use crate::core::Core;
use crate::metrics::Metrics;
use crate::series::{Made, Recorder};

/// Changes applied under one lock of the topology, so that readers get their turn.
const CHANGES_PER_LOCK: usize = 512;

/// Where changes go.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    pub(super) core: Arc<Core>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) series: Arc<Recorder>,
    /// Who else is told.
    pub(super) hub: Arc<Hub>,
}

/// What is told at once.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) changes: Vec<Change>,
    /// A snapshot begins before it.
    pub(super) begin: bool,
    /// The snapshot ends after it.
    pub(super) end: bool,
    pub(super) made: Made,
}

impl Intake {
    /// Takes it all in; fails when the topology has forgotten who tells it.
    pub(super) fn apply(&self, agent: AgentKey, told: Told) -> Result<(), ChangeRefused> {
        self.take_in(agent, told, true)
    }

    /// The same for what another member relays, which has the series itself.
    pub(super) fn apply_relayed(&self, agent: AgentKey, told: Told) -> Result<(), ChangeRefused> {
        self.take_in(agent, told, false)
    }

    fn take_in(&self, agent: AgentKey, told: Told, recorded: bool) -> Result<(), ChangeRefused> {
        let Told {
            changes,
            begin,
            end,
            made,
        } = told;
        let now_ms = self.core.now_ms();
        self.core
            .feeds()
            .told(agent, (begin, end), &changes, now_ms);
        if begin {
            self.core
                .change(|topology, _, _| topology.begin_snapshot(agent));
            if recorded {
                self.series.begin_snapshot(agent, self.core.now_ms());
            }
        }
        let mut changes = changes.into_iter();
        loop {
            let part: Vec<_> = changes.by_ref().take(CHANGES_PER_LOCK).collect();
            let last = part.len() < CHANGES_PER_LOCK;
            self.metrics
                .ingest
                .changes
                .inc_by(u64::try_from(part.len()).unwrap_or(0));
            let mut told = Vec::new();
            let applied = self.core.change(|topology, now_ms, events| {
                topology.touch(agent, now_ms);
                for change in part {
                    if recorded && topology.is_measured(agent, &change) {
                        told.extend(self.series.read(agent, &change));
                    }
                    match topology.apply(agent, change, now_ms, events) {
                        Ok(()) => {}
                        Err(ChangeRefused::UnknownAgent) => {
                            return Err(ChangeRefused::UnknownAgent);
                        }
                        Err(refused) => self.refused(refused),
                    }
                }
                if last && end {
                    topology.end_snapshot(agent, now_ms, events);
                }
                Ok(())
            });
            self.series.take(agent, told, made, self.core.now_ms());
            if last || applied.is_err() {
                if recorded && end && applied.is_ok() {
                    self.series.end_snapshot(agent);
                }
                return applied;
            }
        }
    }

    /// Who has told it speaks no more.
    pub(super) fn disconnect(&self, agent: AgentKey) {
        self.core.change(|topology, now_ms, events| {
            topology.disconnect_agent(agent, now_ms, events);
        });
        let now_ms = self.core.now_ms();
        self.core.feeds().disconnected(agent, now_ms);
        self.series.disconnect(agent, now_ms);
    }

    fn refused(&self, refused: ChangeRefused) {
        let kind = match refused {
            ChangeRefused::Malformed(_) => "malformed change",
            ChangeRefused::Full(_) => "bound reached",
            ChangeRefused::UnknownAgent => "unknown agent",
        };
        self.metrics.ingest.refused.with_label_values(&[kind]).inc();
        tracing::debug!(%refused, "a change was refused");
    }
}
