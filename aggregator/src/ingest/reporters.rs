//! Reporters: programs that tell of a node by JSON reports in place of an agent's stream.
//!
//! An id belongs to an agent while it has a stream, else to the reporter that took it first, until
//! the topology has forgotten it. A reporter that says nothing for [`REPORT_WITHIN`] is away, as an
//! agent without a stream is, and what it told grows stale and is forgotten by the same rules.

use std::time::Duration;

use mesoscope_access::secret::SecretDigest;
use mesoscope_proto::v1::Hello;
use mesoscope_topology::AgentKey;

use super::intake::Told;
use super::registry::{Registry, Slot, check_hello, lock};
use super::report::Report;
use crate::series::Made;

/// A reporter that neither reports nor beats for so long is away.
pub const REPORT_WITHIN: Duration = Duration::from_secs(60);

/// With what an agent or a reporter was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nothing is asked for.
    Anyone,
    /// A token of `--agent-token-file`.
    Token(SecretDigest),
    /// A client certificate, by its SHA-256.
    Certificate(String),
}

/// A reporter and the agent of the topology that it stands for.
#[derive(Debug)]
pub(super) struct Reporter {
    holder: Holder,
    generation: u64,
    agent: AgentKey,
    heard_ms: u64,
    is_away: bool,
}

/// Why a reporter is not listened to; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReporterRefused {
    /// An agent tells of this node.
    #[error("the agent {0:?} is connected and tells of this node itself")]
    Agent(String),
    /// Somebody else has this id.
    #[error("the id {0:?} belongs to a reporter with another token")]
    Other(String),
    /// A later start of the reporter was there already.
    #[error("a reporter of {0:?} with a newer generation is there")]
    Older(String),
    /// It is not registered, or was silent for too long.
    #[error("no reporter of {0:?} is there")]
    Unknown(String),
    /// The id or a name can't be one.
    #[error("{0}")]
    Malformed(String),
    /// There is no room for another agent.
    #[error("{0}")]
    Full(String),
}

impl Registry {
    /// A reporter says that it is there.
    ///
    /// # Errors
    /// [`ReporterRefused`].
    pub fn register(
        &self,
        hello: &Hello,
        holder: &Holder,
        still_holds: impl Fn(&Holder) -> bool,
    ) -> Result<(), ReporterRefused> {
        self.with_reporter(hello, holder, still_holds, |_| Ok(()))
    }

    /// Takes in a report: what was in the one before and is not in this one is gone.
    ///
    /// # Errors
    /// [`ReporterRefused`].
    pub fn report(
        &self,
        report: Report,
        holder: &Holder,
        still_holds: impl Fn(&Holder) -> bool,
    ) -> Result<(), ReporterRefused> {
        let hello = report.hello();
        self.with_reporter(&hello, holder, still_holds, |agent| {
            let made = Made::Now {
                agent_ns: report.time_unix_ns,
            };
            let told = Told {
                changes: report.changes(),
                begin: true,
                end: true,
                made,
            };
            self.intake.metrics.ingest.reports.inc();
            let taken = self.intake.apply(agent, told);
            taken.map_err(|_| ReporterRefused::Unknown(hello.agent_id.clone()))
        })
    }

    /// A reporter is still there.
    ///
    /// # Errors
    /// [`ReporterRefused`].
    pub fn beat(&self, agent_id: &str, holder: &Holder) -> Result<(), ReporterRefused> {
        let unknown = || ReporterRefused::Unknown(agent_id.to_owned());
        let slot = lock(&self.slots).get(agent_id).cloned();
        let slot = slot.ok_or_else(unknown)?;
        let mut state = lock(&slot);
        if state.stream.is_some() {
            return Err(ReporterRefused::Agent(agent_id.to_owned()));
        }
        let reporter = state.reporter.as_mut().filter(|known| !known.is_away);
        let reporter = reporter.ok_or_else(unknown)?;
        if reporter.holder != *holder {
            return Err(ReporterRefused::Other(agent_id.to_owned()));
        }
        reporter.heard_ms = self.intake.core.now_ms();
        let agent = reporter.agent;
        self.intake
            .core
            .change(|topology, now_ms, _| topology.touch(agent, now_ms));
        Ok(())
    }

    /// Reporters that were silent for so long are away.
    pub fn expire_reporters(&self, silence: Duration) {
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let mut state = lock(&slot);
            let now_ms = self.intake.core.now_ms();
            if let Some(reporter) = &mut state.reporter
                && !reporter.is_away
                && now_ms.saturating_sub(reporter.heard_ms) >= silence_ms
            {
                reporter.is_away = true;
                self.intake.disconnect(reporter.agent);
            }
        }
    }

    fn with_reporter<T>(
        &self,
        hello: &Hello,
        holder: &Holder,
        still_holds: impl Fn(&Holder) -> bool,
        work: impl FnOnce(AgentKey) -> Result<T, ReporterRefused>,
    ) -> Result<T, ReporterRefused> {
        check_hello(hello)
            .map_err(|status| ReporterRefused::Malformed(status.message().to_owned()))?;
        // Held until the topology knows the agent, as for streams.
        let mut slots = lock(&self.slots);
        let slot = slots.entry(hello.agent_id.clone()).or_default().clone();
        let mut state = lock(&slot);
        let admitted = self.admit(&mut state, hello, holder, still_holds);
        if admitted.is_err() && state.is_fresh() {
            slots.remove(&hello.agent_id);
        }
        drop(slots);
        work(admitted?)
    }

    fn admit(
        &self,
        state: &mut Slot,
        hello: &Hello,
        holder: &Holder,
        still_holds: impl Fn(&Holder) -> bool,
    ) -> Result<AgentKey, ReporterRefused> {
        let id = || hello.agent_id.clone();
        if state.stream.is_some() {
            return Err(ReporterRefused::Agent(id()));
        }
        let core = &self.intake.core;
        let now_ms = core.now_ms();
        let known = state.reporter.as_ref();
        // The topology may have forgotten it.
        let known =
            known.filter(|known| core.read().find_agent(&hello.agent_id) == Some(known.agent));
        if known.is_some_and(|known| known.holder != *holder && still_holds(&known.holder)) {
            return Err(ReporterRefused::Other(id()));
        }
        let generation = match (hello.generation, known) {
            (0, Some(known)) => known.generation,
            (0, None) => now_ms.saturating_mul(1_000_000),
            (told, Some(known)) if !known.is_away && told < known.generation => {
                return Err(ReporterRefused::Older(id()));
            }
            (told, _) => told,
        };
        let goes_on = known.filter(|known| !known.is_away && known.generation == generation);
        let agent = match goes_on {
            Some(known) => known.agent,
            None => {
                let greeting = Hello {
                    generation,
                    ..hello.clone()
                };
                let connected = core.change(|topology, now_ms, events| {
                    let agent = topology.connect_agent(&greeting, now_ms, events)?;
                    core.feeds().connected(agent, &greeting, now_ms);
                    Ok(agent)
                });
                let agent = connected.map_err(|refused| match refused {
                    mesoscope_topology::AgentRefused::Full { .. } => {
                        ReporterRefused::Full(refused.to_string())
                    }
                    _ => ReporterRefused::Malformed(refused.to_string()),
                })?;
                self.intake.series.connect(agent, &hello.agent_id, now_ms);
                agent
            }
        };
        // What an agent told before is not there any more: it can't go on where it was.
        state.progress.forget();
        state.reporter = Some(Reporter {
            holder: holder.clone(),
            generation,
            agent,
            heard_ms: now_ms,
            is_away: false,
        });
        Ok(agent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::Core;
    use crate::metrics::Metrics;
    use crate::series::Recorder;

    fn registry() -> Arc<Registry> {
        let series = mesoscope_series::Limits {
            keep_ms: 3_600_000,
            bytes_max: 1 << 20,
        };
        let core = Core::new(mesoscope_topology::Limits::default());
        Registry::new(
            core.clone(),
            Arc::new(Metrics::new().expect("names are unique")),
            Arc::new(crate::store::open(None).expect("in memory").0),
            Arc::new(Recorder::new(series)),
            crate::members::Membership::alone(core),
        )
    }

    fn report() -> Report {
        Report::parse(br#"{"agent_id": "edge", "processes": [{"key": {"pid": 1}}]}"#)
            .expect("valid")
    }

    fn is_connected(registry: &Registry) -> bool {
        let core = &registry.intake.core;
        let agent = core.read().agent("edge", core.now_ms());
        agent.expect("known").connected
    }

    #[test]
    fn a_silent_reporter_is_away_and_comes_back_with_its_next_report() {
        let registry = registry();
        let holder = Holder::Token(SecretDigest::of("its token"));
        let holds = |_: &Holder| true;
        registry.report(report(), &holder, holds).expect("taken");
        registry.beat("edge", &holder).expect("heard");
        registry.expire_reporters(REPORT_WITHIN);
        assert!(is_connected(&registry));
        registry.expire_reporters(Duration::ZERO);
        assert!(!is_connected(&registry));
        let beaten = registry.beat("edge", &holder);
        assert_eq!(beaten, Err(ReporterRefused::Unknown("edge".to_owned())));
        // It stays its own while it is away, but not when its token opens nothing any more.
        let other = Holder::Token(SecretDigest::of("another"));
        let refused = registry.report(report(), &other, holds);
        assert_eq!(refused, Err(ReporterRefused::Other("edge".to_owned())));
        registry.report(report(), &holder, holds).expect("taken");
        assert!(is_connected(&registry));
        registry
            .report(report(), &other, |_: &Holder| false)
            .expect("the first token was taken away");
    }
}
