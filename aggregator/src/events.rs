//! The event stream: a ring that every subscriber reads at its own pace, and the filters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use mesoscope_proto::v1::{self, Event, EventBatch, EventKind, StreamEventsRequest};
use tokio::sync::watch;

/// Events that a slow subscriber may lag behind; older ones count as missed for it.
pub const RING_EVENTS: usize = 16_384;
/// Subscribers at once.
pub const SUBSCRIBERS_MAX: usize = 256;
/// Events in one message.
const BATCH_EVENTS: usize = 500;
/// Entries of a filter's list.
const FILTER_ENTRIES: usize = 256;

/// The last events of all agents.
#[derive(Debug)]
pub struct EventRing {
    ring: Mutex<Ring>,
    end: watch::Sender<u64>,
}

/// An event, and what it was about at that very moment.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The event.
    pub event: Arc<Event>,
    /// For an agent that has told all: its containers, for those who compare what comes after with
    /// it. Read later, they may already be what comes after.
    pub containers: Option<Arc<[v1::Container]>>,
}

/// What a reader gets at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events that made room before they were read.
    pub missed: u64,
    /// Those that match.
    pub events: Vec<Kept>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Kept>,
    // Number of the event behind the last one.
    end: u64,
}

impl Ring {
    fn start(&self) -> u64 {
        self.end - u64::try_from(self.events.len()).unwrap_or(self.end)
    }
}

impl Default for EventRing {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            end: watch::Sender::new(0),
        }
    }
}

impl EventRing {
    /// Whether anybody listens.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.end.receiver_count() > 0
    }

    /// Appends events; the oldest make room.
    pub fn publish(&self, events: Vec<Kept>) {
        if !self.is_wanted() {
            // The last reader is gone: so is the reason to keep them.
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.events = VecDeque::new();
            return;
        }
        if events.is_empty() {
            return;
        }
        let end = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                if ring.events.len() == RING_EVENTS {
                    ring.events.pop_front();
                }
                ring.events.push_back(event);
                ring.end += 1;
            }
            ring.end
        };
        self.end.send_replace(end);
    }

    /// Events that are kept for slow readers.
    #[must_use]
    pub fn kept(&self) -> usize {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.events.len()
    }

    /// Readers.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.end.receiver_count()
    }

    /// Events from now on.
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        let wake = self.end.subscribe();
        let next = self.ring.lock().unwrap_or_else(PoisonError::into_inner).end;
        Subscription { filter, wake, next }
    }

    fn read(&self, subscription: &mut Subscription) -> Batch {
        let mut batch = Batch::default();
        {
            let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let start = ring.start();
            batch.missed = start.saturating_sub(subscription.next);
            subscription.next = subscription.next.max(start);
            let skip = usize::try_from(subscription.next - start).unwrap_or(usize::MAX);
            let events = ring.events.iter().skip(skip).take(BATCH_EVENTS);
            batch.events.extend(events.cloned());
        }
        subscription.next += u64::try_from(batch.events.len()).unwrap_or(0);
        let filter = &subscription.filter;
        batch.events.retain(|kept| filter.matches(&kept.event));
        batch
    }
}

impl From<Batch> for EventBatch {
    fn from(batch: Batch) -> Self {
        let events = batch.events.iter();
        Self {
            events: events.map(|kept| Event::clone(&kept.event)).collect(),
            missed: batch.missed,
        }
    }
}

impl From<Event> for Kept {
    fn from(event: Event) -> Self {
        Self {
            event: Arc::new(event),
            containers: None,
        }
    }
}

/// One reader of the ring.
#[derive(Debug)]
pub struct Subscription {
    filter: Filter,
    wake: watch::Receiver<u64>,
    next: u64,
}

impl Subscription {
    /// The next events that match, and how many were missed; `None` when the ring is gone.
    pub async fn next(&mut self, ring: &EventRing) -> Option<Batch> {
        loop {
            let end = *self.wake.borrow_and_update();
            while self.next < end {
                let batch = ring.read(self);
                if batch.missed > 0 || !batch.events.is_empty() {
                    return Some(batch);
                }
            }
            self.wake.changed().await.ok()?;
        }
    }
}

/// Which events a subscriber wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    kinds: Vec<i32>,
    hosts: Vec<String>,
    containers: Vec<String>,
    process: String,
}

impl Filter {
    /// The filter of a request.
    ///
    /// # Errors
    /// When a kind does not exist or a list is too long.
    pub fn new(request: StreamEventsRequest) -> Result<Self, String> {
        for kind in &request.kinds {
            if EventKind::try_from(*kind).is_err() {
                return Err(format!("there is no event kind {kind}"));
            }
        }
        let lists = [
            request.kinds.len(),
            request.hosts.len(),
            request.containers.len(),
        ];
        if lists.iter().any(|entries| *entries > FILTER_ENTRIES) {
            return Err(format!(
                "a filter has at most {FILTER_ENTRIES} entries a list"
            ));
        }
        Ok(Self {
            kinds: request.kinds,
            hosts: request.hosts,
            containers: request.containers,
            process: request.process,
        })
    }

    /// Whether the event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let host = self.hosts.is_empty()
            || self
                .hosts
                .iter()
                .any(|host| *host == event.agent_id || *host == event.hostname);
        kind && host && self.matches_container(event) && self.matches_process(event)
    }

    fn matches_container(&self, event: &Event) -> bool {
        if self.containers.is_empty() {
            return true;
        }
        let known = [&event.container, &event.peer_container]
            .into_iter()
            .flatten();
        let named = known.map(|container| (container.id.as_str(), container.name.as_str()));
        let by_id = [
            event.process.as_ref().map(|process| &process.container_id),
            event
                .peer_process
                .as_ref()
                .map(|process| &process.container_id),
            event
                .connection
                .as_ref()
                .map(|connection| &connection.container_id),
            event.cgroup.as_ref().map(|cgroup| &cgroup.container_id),
            event.gap.as_ref().map(|gap| &gap.container_id),
        ];
        let by_id = by_id.into_iter().flatten().map(|id| (id.as_str(), ""));
        let mut candidates = named.chain(by_id);
        candidates.any(|(id, name)| {
            self.containers.iter().any(|wanted| {
                let is_prefix = wanted.len() >= 12 && id.starts_with(wanted.as_str());
                is_prefix || (!name.is_empty() && name == wanted)
            })
        })
    }

    fn matches_process(&self, event: &Event) -> bool {
        if self.process.is_empty() {
            return true;
        }
        [&event.process, &event.peer_process]
            .into_iter()
            .flatten()
            .any(|process| is_called(process, &self.process))
    }
}

fn is_called(process: &v1::Process, text: &str) -> bool {
    process.name.contains(text) || process.argv.join(" ").contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, hostname: &str, name: &str) -> Event {
        Event {
            kind: kind.into(),
            hostname: hostname.to_owned(),
            process: Some(v1::Process {
                name: name.to_owned(),
                argv: vec![name.to_owned(), "--port=80".to_owned()],
                container_id: "0123456789abcdef".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn filter(change: impl FnOnce(&mut StreamEventsRequest)) -> Filter {
        let mut request = StreamEventsRequest::default();
        change(&mut request);
        Filter::new(request).expect("a valid filter")
    }

    #[test]
    fn each_part_of_a_filter_must_match() {
        let event = event(EventKind::ProcessExec, "node1", "nginx");
        assert!(Filter::default().matches(&event));
        assert!(filter(|f| f.kinds = vec![EventKind::ProcessExec.into()]).matches(&event));
        assert!(!filter(|f| f.kinds = vec![EventKind::Gap.into()]).matches(&event));
        assert!(!filter(|f| f.hosts = vec!["node2".into()]).matches(&event));
        assert!(filter(|f| f.containers = vec!["0123456789ab".into()]).matches(&event));
        assert!(!filter(|f| f.containers = vec!["0123".into()]).matches(&event));
        assert!(filter(|f| f.process = "port=80".into()).matches(&event));
        assert!(!filter(|f| f.process = "apache".into()).matches(&event));
        let unknown = StreamEventsRequest {
            kinds: vec![99],
            ..Default::default()
        };
        assert!(Filter::new(unknown).is_err());
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_exactly_what_it_missed() {
        let ring = EventRing::default();
        let mut slow = ring.subscribe(Filter::default());
        let one = event(EventKind::ProcessExec, "n", "p");
        for _ in 0..3 {
            ring.publish(vec![one.clone().into(); RING_EVENTS / 2]);
        }
        let first = slow.next(&ring).await.expect("the ring lives");
        assert_eq!(first.missed, u64::try_from(RING_EVENTS / 2).expect("small"));
        let mut seen = first.events.len();
        while seen < RING_EVENTS {
            let batch = slow.next(&ring).await.expect("the ring lives");
            assert_eq!(batch.missed, 0);
            seen += batch.events.len();
        }
        assert_eq!(seen, RING_EVENTS);
    }

    #[tokio::test]
    async fn nothing_is_kept_while_nobody_listens() {
        let ring = EventRing::default();
        ring.publish(vec![Event::default().into()]);
        let mut late = ring.subscribe(Filter::default());
        ring.publish(vec![event(EventKind::Gap, "n", "late").into()]);
        let batch = late.next(&ring).await.expect("the ring lives");
        assert_eq!((batch.missed, batch.events.len()), (0, 1));
        drop(late);
        ring.publish(Vec::new());
        assert_eq!(ring.kept(), 0);
    }
}
