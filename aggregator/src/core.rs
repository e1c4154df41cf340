//! The topology and everyone who changes it: agents through [`Core::change`], time through
//! [`Core::run`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mesoscope_proto::v1;
use mesoscope_topology::{Limits, Topology};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::archive::Feeds;
use crate::events::{EventRing, Kept};

/// How often time passes in the topology: rates, expiry, stale agents.
const ADVANCE_PERIOD: Duration = Duration::from_millis(200);

/// The event of an agent that has told all, as the topology names it.
const RESYNCED: &str = "resynced";

/// The one topology. Locks are held for one batch or one difference at a time. The lock is a fair one:
/// with thousands of agents there is always one that waits to write, and the standard library's lets
/// those pass any reader.
#[derive(Debug)]
pub struct Core {
    topology: RwLock<Topology>,
    events: EventRing,
    revision: watch::Sender<u64>,
    clock: Clock,
    feeds: Feeds,
}

/// Unix time that never jumps: the system's at the start, and monotonic from there. A stepped
/// system clock must not make every agent look stale.
#[derive(Debug)]
struct Clock {
    started_unix: Duration,
    started: Instant,
}

impl Core {
    /// An empty topology within these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Arc::new(Self {
            topology: RwLock::new(Topology::new(limits)),
            events: EventRing::default(),
            revision: watch::Sender::new(0),
            clock: Clock {
                started_unix: started_unix.unwrap_or_default(),
                started: Instant::now(),
            },
            feeds: Feeds::default(),
        })
    }

    /// Now, in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let now = self.clock.started_unix + self.clock.started.elapsed();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    /// When this process started, in Unix milliseconds.
    #[must_use]
    pub fn started_ms(&self) -> u64 {
        u64::try_from(self.clock.started_unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// What is told, on its way to the history.
    #[must_use]
    pub fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// The topology, to read. Hold it shortly: agents wait.
    pub fn read(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read()
    }

    /// Changes the topology, publishes the events of it and wakes the views.
    pub fn change<R>(
        &self,
        change: impl FnOnce(&mut Topology, u64, &mut Vec<v1::Event>) -> R,
    ) -> R {
        let mut events = Vec::new();
        let (result, events) = {
            let mut topology = self.topology.write();
            topology.collect_events(self.events.is_wanted());
            let result = change(&mut topology, self.now_ms(), &mut events);
            (result, keep(events, &topology))
        };
        self.events.publish(events);
        self.revision.send_modify(|revision| *revision += 1);
        result
    }

    /// Wakes at every change of the topology.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The events of all agents.
    #[must_use]
    pub fn events(&self) -> &EventRing {
        &self.events
    }

    /// Lets time pass until the drain.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) {
        let mut period = tokio::time::interval(ADVANCE_PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while drain.run_until_cancelled(period.tick()).await.is_some() {
            self.change(|topology, now_ms, events| topology.advance(now_ms, events));
        }
    }
}

/// Events with what they are about, while that is still so.
fn keep(events: Vec<v1::Event>, topology: &Topology) -> Vec<Kept> {
    let keep = |event: v1::Event| {
        let tells_all = event.agent_event == RESYNCED;
        let containers = tells_all.then(|| topology.containers_told(&event.agent_id));
        Kept {
            containers: containers.flatten().map(Into::into),
            event: Arc::new(event),
        }
    };
    events.into_iter().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::{Change, Container, ContainerState, Hello, change::Change as Kind};

    use super::*;
    use crate::events::Filter;

    fn container(oom_kills: u64) -> Change {
        Change {
            change: Some(Kind::Container(Container {
                id: "1".repeat(64),
                state: ContainerState::Running.into(),
                oom_kills,
                ..Default::default()
            })),
        }
    }

    #[tokio::test]
    async fn who_told_all_is_kept_as_it_was_then_however_late_it_is_read() {
        let core = Core::new(Limits::default());
        let mut events = core.events().subscribe(Filter::default());
        let hello = Hello {
            agent_id: "a".to_owned(),
            ..Default::default()
        };
        let agent = core
            .change(|topology, now_ms, events| topology.connect_agent(&hello, now_ms, events))
            .expect("there is room");
        core.change(|topology, now_ms, events| {
            topology.begin_snapshot(agent);
            let applied = topology.apply(agent, container(0), now_ms, events);
            topology.end_snapshot(agent, now_ms, events);
            applied
        })
        .expect("well formed");
        core.change(|topology, now_ms, events| topology.apply(agent, container(1), now_ms, events))
            .expect("well formed");
        let batch = events.next(core.events()).await.expect("the ring lives");
        let told = batch.events.iter().find_map(|kept| kept.containers.clone());
        let told = told.expect("it told all");
        assert_eq!((told.len(), told[0].oom_kills), (1, 0));
        let last = batch.events.last().expect("some");
        let container = last.event.container.as_ref().expect("of the container");
        assert_eq!(container.oom_kills, 1);
        assert!(last.containers.is_none());
    }
}
