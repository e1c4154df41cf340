//! Follows the topology, and makes the requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::body::Bytes;
use mesoscope_access::Entry;
use mesoscope_proto::v1::{self, EventKind, GapKind, StreamEventsRequest};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::file::Hook;
use super::notice::{Body, Kind, Notice, kind_name};
use super::queue::{Call, Counts, Outcome, Queue, Step};
use super::signature::sign;
use super::watch::Watch;
use crate::core::Core;
use crate::events::{Batch, Filter, Kept, Subscription};
use crate::members::Membership;
use crate::outward::Answer;

/// How often is looked at how the agents stand.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// What reads or shows, and changes nothing.
const READS: [&str; 2] = ["container.inspect", "container.logs"];

const ID: HeaderName = HeaderName::from_static("mesoscope-id");
const KIND: HeaderName = HeaderName::from_static("mesoscope-kind");
const ATTEMPT: HeaderName = HeaderName::from_static("mesoscope-attempt");
const TIMESTAMP: HeaderName = HeaderName::from_static("mesoscope-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("mesoscope-signature");

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// An agent is away, or data incomplete, for so long before it is told.
    pub delay: Duration,
    /// One request.
    pub request: Duration,
    /// All attempts of one notice.
    pub give_up: Duration,
}

/// The webhooks of this aggregator.
#[derive(Debug)]
pub struct Webhooks {
    core: Arc<Core>,
    members: Arc<Membership>,
    patience: Patience,
    lines: Vec<Arc<Line>>,
    actions: AtomicU64,
    watched: AtomicU64,
}

/// One webhook and what waits for it.
#[derive(Debug)]
struct Line {
    hook: Hook,
    queue: Mutex<Queue>,
    wake: Notify,
}

/// How one webhook does.
#[derive(Debug)]
pub struct Stats {
    /// Its name.
    pub name: String,
    /// Notices that wait.
    pub waiting: usize,
    /// What became of the others.
    pub counts: Counts,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Webhooks {
    /// Webhooks that are told of what happens in this topology.
    #[must_use]
    pub fn new(
        hooks: Vec<Hook>,
        patience: Patience,
        core: Arc<Core>,
        members: Arc<Membership>,
    ) -> Arc<Self> {
        let lines = hooks.into_iter().map(|hook| {
            Arc::new(Line {
                hook,
                queue: Mutex::new(Queue::new(millis(patience.give_up))),
                wake: Notify::new(),
            })
        });
        Arc::new(Self {
            core,
            members,
            patience,
            lines: lines.collect(),
            actions: AtomicU64::new(0),
            watched: AtomicU64::new(0),
        })
    }

    /// How each does.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        let stats = self.lines.iter().map(|line| {
            let queue = line.queue();
            Stats {
                name: line.hook.name.clone(),
                waiting: queue.len(),
                counts: queue.counts,
            }
        });
        stats.collect()
    }

    /// Containers that are remembered, to tell what of them is news.
    #[must_use]
    pub fn containers_watched(&self) -> u64 {
        self.watched.load(Ordering::Relaxed)
    }

    /// Somebody acted, and this is how it went.
    pub(crate) fn acted(&self, entry: &Entry) {
        if !self.wants(Kind::ControlAction) || READS.contains(&entry.action.as_str()) {
            return;
        }
        let number = self.actions.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell([Notice::of_control(entry, number, self.core.now_ms())]);
    }

    fn wants(&self, kind: Kind) -> bool {
        let mut hooks = self.lines.iter().map(|line| &line.hook);
        hooks.any(|hook| hook.kinds.contains(&kind))
    }

    fn tell(&self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            let notice = Arc::new(notice);
            for line in &self.lines {
                if line.hook.kinds.contains(&notice.kind) {
                    line.queue().push(notice.clone());
                    line.wake.notify_one();
                }
            }
        }
    }

    /// The same where each member sees it: the one that answers for the agent tells it.
    fn tell_once(&self, notices: Vec<Notice>) {
        let ours = |notice: &Notice| {
            let agent = notice.agent.as_ref();
            agent.is_none_or(|agent| self.members.answers_for(&agent.id))
        };
        self.tell(notices.into_iter().filter(ours));
    }

    /// Runs until the drain. What then waits is not told.
    ///
    /// # Errors
    /// None but a panic of one of its tasks.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for line in &self.lines {
            tasks.spawn(self.clone().deliver(line.clone()));
        }
        if !self.lines.is_empty() {
            // From now on: agents that connect after this are followed from their first word.
            let events = self.subscribe();
            tasks.spawn(self.clone().watch(events));
        }
        drain.cancelled().await;
        tasks.shutdown().await;
        for stats in self.stats().iter().filter(|stats| stats.waiting > 0) {
            let (webhook, notices) = (&stats.name, stats.waiting);
            tracing::warn!(webhook, notices, "not told before the end");
        }
        Ok(())
    }

    /// Events of containers, where they are wanted.
    fn subscribe(&self) -> Option<Subscription> {
        let of_containers = |kind: &Kind| kind.is_of_containers() && self.wants(*kind);
        Kind::ALL.iter().any(of_containers).then(|| {
            let kinds = [EventKind::Container, EventKind::Agent];
            let request = StreamEventsRequest {
                kinds: kinds.map(Into::into).to_vec(),
                ..Default::default()
            };
            let filter = Filter::new(request).unwrap_or_default();
            self.core.events().subscribe(filter)
        })
    }

    async fn watch(self: Arc<Self>, mut events: Option<Subscription>) {
        let mut watch = Watch::new(millis(self.patience.delay));
        let mut period = tokio::time::interval(LOOK_PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => self.look(&mut watch),
                Some(batch) = next(&mut events, &self.core) => {
                    for kept in &batch.events {
                        self.tell_once(heard(&mut watch, kept));
                    }
                    if batch.missed > 0 {
                        tracing::warn!(missed = batch.missed, "webhooks look at all containers anew");
                        for agent in self.core.read().standings() {
                            self.look_at_containers(&mut watch, &agent.id);
                        }
                    }
                }
            }
            let watched = u64::try_from(watch.containers()).unwrap_or(u64::MAX);
            self.watched.store(watched, Ordering::Relaxed);
        }
    }

    fn look(&self, watch: &mut Watch) {
        let standings = self.core.read().standings();
        let why = |agent_id: &str| self.missing(agent_id);
        let notices = watch.agents(&standings, why, self.core.now_ms());
        self.tell_once(notices);
    }

    /// What the map lacks of an agent, but for what its node can't do.
    fn missing(&self, agent_id: &str) -> Vec<String> {
        let lacks = |gap: &v1::Gap| gap.kind() != GapKind::Capability;
        let all = self.core.read().incomplete().into_iter();
        all.filter(|one| one.agent_id == agent_id && one.gap.as_ref().is_some_and(lacks))
            .map(|one| one.message)
            .collect()
    }

    fn look_at_containers(&self, watch: &mut Watch, agent_id: &str) {
        let (containers, hostname) = {
            let topology = self.core.read();
            let containers = topology.containers_told(agent_id);
            let agent = topology.agent(agent_id, self.core.now_ms());
            (containers, agent.map(|agent| agent.hostname))
        };
        if let (Some(containers), Some(hostname)) = (containers, hostname) {
            let now_ms = self.core.now_ms();
            self.tell_once(watch.all_containers(agent_id, &hostname, &containers, now_ms));
        }
    }

    async fn deliver(self: Arc<Self>, line: Arc<Line>) {
        loop {
            let step = line.queue().next(self.core.now_ms());
            match step {
                Step::Rest => line.wake.notified().await,
                Step::Wait { until_ms } => {
                    let wait_ms = until_ms.saturating_sub(self.core.now_ms()).max(1);
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                Step::Send(call) => {
                    let outcome = self.send(&line.hook, &call).await;
                    let now_ms = self.core.now_ms();
                    line.queue().went(outcome, now_ms, rand::random());
                }
            }
        }
    }

    async fn send(&self, hook: &Hook, call: &Call) -> Outcome {
        let webhook = &hook.name;
        let Ok((headers, body)) = request(hook, call, self.core.started_ms()) else {
            tracing::error!(
                webhook,
                id = call.notice.id,
                "a notice can't be written as JSON"
            );
            return Outcome::Refused;
        };
        match hook
            .target
            .post(&headers, body, self.patience.request)
            .await
        {
            Ok(answer) => {
                let outcome = outcome(&answer);
                if outcome != Outcome::Taken {
                    let (status, id) = (answer.status, &call.notice.id);
                    let said = answer.text.chars().take(200).collect::<String>();
                    tracing::warn!(
                        webhook,
                        status,
                        said,
                        id,
                        ?outcome,
                        "a webhook was not taken"
                    );
                }
                outcome
            }
            Err(error) => {
                tracing::warn!(webhook, %error, id = call.notice.id, "a webhook was not taken");
                Outcome::Failed {
                    retry_after_ms: None,
                }
            }
        }
    }
}

/// What an event tells of containers. One that has told all is compared as it was then: what comes
/// after has an event of its own.
fn heard(watch: &mut Watch, kept: &Kept) -> Vec<Notice> {
    let event = &*kept.event;
    let now_ms = event.time_unix_ns / 1_000_000;
    let (id, host) = (&event.agent_id, &event.hostname);
    if let Some(containers) = &kept.containers {
        return watch.all_containers(id, host, containers, now_ms);
    }
    match (event.kind(), &event.container) {
        (EventKind::Container, Some(container)) => watch.container(id, host, container, now_ms),
        _ => Vec::new(),
    }
}

async fn next(events: &mut Option<Subscription>, core: &Core) -> Option<Batch> {
    match events {
        Some(events) => events.next(core.events()).await,
        None => std::future::pending().await,
    }
}

/// What an answer means: what the receiver will never take is not sent again.
fn outcome(answer: &Answer) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Taken,
        408 | 425 | 429 | 500.. => Outcome::Failed {
            retry_after_ms: answer.retry_after_ms,
        },
        _ => Outcome::Refused,
    }
}

type Headers = Vec<(HeaderName, HeaderValue)>;

fn request(hook: &Hook, call: &Call, started_unix_ms: u64) -> anyhow::Result<(Headers, Bytes)> {
    let body = serde_json::to_vec(&Body {
        notice: &call.notice,
        sequence: call.sequence,
        started_unix_ms,
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let timestamp = now.as_secs().to_string();
    let signature = sign(&hook.secret, &timestamp, &body);
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ID, HeaderValue::from_str(&call.notice.id)?),
        (KIND, HeaderValue::from_static(kind_name(call.notice.kind))),
        (ATTEMPT, HeaderValue::from(call.attempt)),
        (TIMESTAMP, HeaderValue::from_str(&timestamp)?),
        (SIGNATURE, HeaderValue::from_str(&signature)?),
    ];
    Ok((headers, body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_refused_or_a_reason_to_come_back() {
        let answer = |status| Answer {
            status,
            retry_after_ms: Some(7),
            text: String::new(),
        };
        let later = Outcome::Failed {
            retry_after_ms: Some(7),
        };
        for (status, expected) in [
            (200, Outcome::Taken),
            (204, Outcome::Taken),
            // Redirects are not followed.
            (301, Outcome::Refused),
            (307, Outcome::Refused),
            (400, Outcome::Refused),
            (401, Outcome::Refused),
            (410, Outcome::Refused),
            (408, later),
            (429, later),
            (500, later),
            (503, later),
        ] {
            assert_eq!(outcome(&answer(status)), expected, "{status}");
        }
    }
}
