//! The topology and everyone who changes it: agents through [`Core::change`], time through
//! [`Core::run`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mesoscope_proto::v1;
use mesoscope_topology::{Limits, Topology};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::events::EventRing;

/// How often time passes in the topology: rates, expiry, stale agents.
const ADVANCE_PERIOD: Duration = Duration::from_millis(200);

/// The one topology. Locks are held for one batch or one difference at a time. The lock is a fair one:
/// with thousands of agents there is always one that waits to write, and the standard library's lets
/// those pass any reader.
#[derive(Debug)]
pub struct Core {
    topology: RwLock<Topology>,
    events: EventRing,
    revision: watch::Sender<u64>,
    clock: Clock,
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
        let result = {
            let mut topology = self.topology.write();
            topology.collect_events(self.events.is_wanted());
            change(&mut topology, self.now_ms(), &mut events)
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
