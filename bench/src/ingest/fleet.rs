//! Simulated agents: each has a connection and a stream of its own, as a real one has, and answers
//! what the aggregator says.

use super::node::{Node, Size};
use crate::latency::now;
use anyhow::{Context, Result, bail};
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{
    AgentMessage, AggregatorMessage, Batch, Change, Hello, SnapshotPart, agent_message,
    aggregator_message,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Changes of a batch at most: what a real agent keeps to.
const BATCH: usize = 1_000;
/// Agents that connect and send their snapshot at the same time.
const AT_ONCE: usize = 16;
/// A node measures this often.
const MEASURED_EVERY: u32 = 5;
const TICK: Duration = Duration::from_secs(1);
/// The steps of the history: what the series keep for an hour.
const STEP: Duration = Duration::from_secs(15);
const STEPS_PER_BATCH: u32 = 4;

/// What all agents together have done.
#[derive(Default, Debug)]
pub struct Counts {
    pub complete: AtomicU64,
    pub changes: AtomicU64,
    pub acknowledged: AtomicU64,
    pub resyncs: AtomicU64,
    pub ended: AtomicU64,
}

/// A running fleet; it ends when this is dropped.
pub struct Fleet {
    pub counts: Arc<Counts>,
    agents: Vec<JoinHandle<()>>,
    markers: Vec<mpsc::Sender<Vec<Change>>>,
}

impl Fleet {
    /// Starts `size.nodes` agents. Each first tells what it measured in so many minutes before, as an agent
    /// does whose aggregator was away.
    pub fn start(url: &str, size: Size, history_minutes: u32) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?;
        let counts = Arc::new(Counts::default());
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut markers = Vec::new();
        let agents = (0..size.nodes)
            .map(|number| {
                let (marker, extra) = mpsc::channel(1);
                markers.push(marker);
                let agent = Agent {
                    node: Node { number, size },
                    endpoint: endpoint.clone(),
                    counts: counts.clone(),
                    gate: gate.clone(),
                    history_minutes,
                };
                tokio::spawn(agent.run(extra))
            })
            .collect();
        Ok(Self {
            counts,
            agents,
            markers,
        })
    }

    /// Lets the first agent report something beside its own, at once.
    pub async fn mark(&self, changes: Vec<Change>) -> Result<()> {
        self.mark_at(0, changes).await
    }

    /// Lets an agent report something beside its own, at once.
    pub async fn mark_at(&self, number: u32, changes: Vec<Change>) -> Result<()> {
        let marker = self.markers.get(usize::try_from(number)?);
        let marker = marker.with_context(|| format!("there is no agent {number}"))?;
        let sent = marker.send(changes).await;
        sent.with_context(|| format!("agent {number} has ended"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for agent in &self.agents {
            agent.abort();
        }
    }
}

struct Agent {
    node: Node,
    endpoint: Endpoint,
    counts: Arc<Counts>,
    gate: Arc<Semaphore>,
    history_minutes: u32,
}

/// The stream of one agent, and what it has sent.
struct Stream {
    outbound: mpsc::Sender<AgentMessage>,
    inbound: Streaming<AggregatorMessage>,
    generation: u64,
    sequence: u64,
}

impl Agent {
    async fn run(self, extra: mpsc::Receiver<Vec<Change>>) {
        if let Err(error) = self.report(extra).await
            && self.counts.ended.fetch_add(1, Ordering::Relaxed) == 0
        {
            eprintln!("{}: {error:#}", self.node.name());
        }
    }

    async fn report(&self, mut extra: mpsc::Receiver<Vec<Change>>) -> Result<()> {
        let turn = self.gate.acquire().await?;
        let mut stream = self.connect().await?;
        self.snapshot(&mut stream).await?;
        self.history(&mut stream).await?;
        drop(turn);
        self.counts.complete.fetch_add(1, Ordering::Relaxed);
        // Spread over the second, as the clocks of real nodes are.
        let offset = TICK * (self.node.number % 1_000) / 1_000;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + offset, TICK);
        let mut seconds = self.node.number % MEASURED_EVERY;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    seconds += 1;
                    self.send(&mut stream, SnapshotPart::None, self.second(seconds)).await?;
                }
                Some(changes) = extra.recv() => {
                    self.send(&mut stream, SnapshotPart::None, changes).await?;
                }
                told = stream.inbound.message() => {
                    let Some(told) = told? else { bail!("the aggregator ended the stream") };
                    self.told(&mut stream, told).await?;
                }
            }
        }
    }

    async fn told(&self, stream: &mut Stream, told: AggregatorMessage) -> Result<()> {
        match told.message {
            Some(aggregator_message::Message::Ack(_)) => {
                self.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Some(aggregator_message::Message::Resync(_)) => {
                self.counts.resyncs.fetch_add(1, Ordering::Relaxed);
                self.snapshot(stream).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Stream> {
        let channel: Channel = self.endpoint.connect().await?;
        let (outbound, messages) = mpsc::channel(64);
        let generation = now();
        let hello = Hello {
            agent_id: self.node.name(),
            hostname: self.node.name(),
            version: "simulated".to_owned(),
            generation,
            // The history was made before; the snapshot is one batch, or a little more.
            sequence_next: if self.history_minutes == 0 {
                0
            } else {
                let snapshot = self.node.whole(0).len().div_ceil(BATCH);
                snapshot as u64 + u64::from(self.history_minutes)
            },
            ..Hello::default()
        };
        outbound
            .send(AgentMessage {
                message: Some(agent_message::Message::Hello(hello)),
            })
            .await?;
        let inbound = UplinkClient::new(channel)
            .report(ReceiverStream::new(messages))
            .await?
            .into_inner();
        Ok(Stream {
            outbound,
            inbound,
            generation,
            sequence: 0,
        })
    }

    async fn snapshot(&self, stream: &mut Stream) -> Result<()> {
        let mut whole = self.node.whole(now());
        let mut part = SnapshotPart::First;
        if whole.len() <= BATCH {
            return self.send(stream, SnapshotPart::Whole, whole).await;
        }
        while whole.len() > BATCH {
            let rest = whole.split_off(BATCH);
            self.send(stream, part, std::mem::replace(&mut whole, rest))
                .await?;
            part = SnapshotPart::Middle;
        }
        self.send(stream, SnapshotPart::Last, whole).await
    }

    /// What was measured before the stream began, a minute in each batch.
    async fn history(&self, stream: &mut Stream) -> Result<()> {
        let steps = self.history_minutes * STEPS_PER_BATCH;
        let began = Duration::from_nanos(now()).saturating_sub(STEP * steps);
        for minute in 0..self.history_minutes {
            let mut changes = Vec::new();
            for step in minute * STEPS_PER_BATCH..(minute + 1) * STEPS_PER_BATCH {
                let time = u64::try_from((began + STEP * step).as_nanos())?;
                changes.extend(self.node.measurements(step, time));
            }
            self.send(stream, SnapshotPart::None, changes).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        stream: &mut Stream,
        part: SnapshotPart,
        changes: Vec<Change>,
    ) -> Result<()> {
        let count = changes.len() as u64;
        let batch = Batch {
            generation: stream.generation,
            sequence: stream.sequence,
            snapshot: part.into(),
            time_unix_ns: now(),
            changes,
        };
        stream.sequence += 1;
        stream
            .outbound
            .send(AgentMessage {
                message: Some(agent_message::Message::Batch(batch)),
            })
            .await
            .context("the aggregator ended the stream")?;
        self.counts.changes.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// What happens on the node in a second: a process starts, the one before ends, a connection is
    /// made and closed; every five seconds all is measured.
    fn second(&self, seconds: u32) -> Vec<Change> {
        let (now, pid) = (now(), 100_000 + seconds);
        let mut changes = vec![
            self.node.start(pid, "cron-job", now),
            self.node.end(pid - 1, "cron-job", now),
            self.node.short_connection(u64::from(seconds), now),
        ];
        if seconds.is_multiple_of(MEASURED_EVERY) {
            changes.extend(self.node.measurements(seconds / MEASURED_EVERY, now));
        }
        changes
    }
}
