//! An agent that goes where it is sent, and finds another aggregator when one dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{
    AgentMessage, Batch, Change, Hello, SnapshotPart, agent_message, aggregator_message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::agent::hello;

/// What the agent is like at the moment.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Where its stream is.
    pub at: Option<String>,
    pub snapshots: u32,
    pub connections: u64,
}

/// Runs until it is dropped.
pub struct Roamer {
    pub agent_id: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

struct Life {
    hello: Hello,
    changes: Vec<Change>,
    known: Vec<String>,
    failed: BTreeMap<String, Instant>,
    redirect: Option<String>,
    /// The next sequence number, and what was acknowledged.
    sequence: u64,
    acknowledged: Option<u64>,
    state: Arc<Mutex<State>>,
}

impl Roamer {
    /// Tells these changes as its snapshot, to one of these.
    pub fn start(agent_id: &str, known: &[String], changes: Vec<Change>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let life = Life {
            hello: Hello {
                moves: true,
                ..hello(agent_id, 1, 0)
            },
            changes,
            known: known.to_vec(),
            failed: BTreeMap::new(),
            redirect: None,
            sequence: 0,
            acknowledged: None,
            state: state.clone(),
        };
        Self {
            agent_id: agent_id.to_owned(),
            state,
            task: tokio::spawn(life.live()),
        }
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }
}

impl Drop for Roamer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Life {
    async fn live(mut self) {
        loop {
            let to = self.redirect.take().unwrap_or_else(|| {
                let known = self.known.iter();
                known
                    .min_by_key(|url| self.failed.get(*url))
                    .unwrap()
                    .clone()
            });
            let sent_on = self.stream(&to).await.unwrap_or(false);
            self.state.lock().unwrap().at = None;
            if !sent_on {
                self.failed.insert(to, Instant::now());
                tokio::time::sleep(Duration::from_millis(75)).await;
            }
        }
    }

    /// One stream; gives whether the agent was sent on.
    async fn stream(&mut self, to: &str) -> Option<bool> {
        let endpoint = Endpoint::from_shared(to.to_owned()).unwrap();
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(2))
            .http2_keep_alive_interval(Duration::from_secs(1))
            .keep_alive_timeout(Duration::from_secs(2))
            .keep_alive_while_idle(true);
        let mut client = UplinkClient::new(endpoint.connect().await.ok()?);
        self.hello.connection += 1;
        self.hello.sequence_first = self.acknowledged.map_or(0, |last| last + 1);
        self.hello.sequence_next = self.sequence;
        let recent = |at: &Instant| at.elapsed() < Duration::from_secs(30);
        let unreachable = self
            .failed
            .iter()
            .filter(|(url, at)| *url != to && recent(at));
        self.hello.unreachable = unreachable.map(|(url, _)| url.clone()).collect();
        let (outbound, messages) = mpsc::channel(64);
        let first = agent_message::Message::Hello(self.hello.clone());
        let message = Some(first);
        outbound.send(AgentMessage { message }).await.ok()?;
        let inbound = client.report(ReceiverStream::new(messages)).await;
        let mut inbound = inbound.ok()?.into_inner();
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let mut welcomed = false;
        loop {
            let received = tokio::select! {
                received = inbound.message() => received.ok()??,
                _ = tick.tick(), if welcomed => {
                    self.tell(&outbound, SnapshotPart::None).await?;
                    continue;
                }
            };
            match received.message? {
                aggregator_message::Message::Welcome(welcome) => {
                    welcomed = true;
                    self.failed.remove(to);
                    {
                        let mut state = self.state.lock().unwrap();
                        state.at = Some(to.to_owned());
                        state.connections += 1;
                    }
                    if welcome.resume {
                        // What is not there is told again: here, always nothing but beats.
                        self.sequence = welcome.sequence_expected;
                    } else {
                        self.tell(&outbound, SnapshotPart::Whole).await?;
                    }
                }
                aggregator_message::Message::Ack(ack) => self.acknowledged = Some(ack.sequence),
                aggregator_message::Message::Resync(_) => {
                    self.tell(&outbound, SnapshotPart::Whole).await?;
                }
                aggregator_message::Message::Members(members) => self.known = members.urls,
                aggregator_message::Message::Redirect(redirect) => {
                    self.redirect = Some(redirect.url);
                    return Some(true);
                }
                aggregator_message::Message::Configure(_) => {}
            }
        }
    }

    async fn tell(
        &mut self,
        outbound: &mpsc::Sender<AgentMessage>,
        part: SnapshotPart,
    ) -> Option<()> {
        let snapshot = part == SnapshotPart::Whole;
        if snapshot {
            self.state.lock().unwrap().snapshots += 1;
        }
        let batch = Batch {
            generation: self.hello.generation,
            sequence: self.sequence,
            snapshot: part.into(),
            time_unix_ns: 1,
            changes: if snapshot {
                self.changes.clone()
            } else {
                Vec::new()
            },
        };
        self.sequence += 1;
        let message = Some(agent_message::Message::Batch(batch));
        outbound.send(AgentMessage { message }).await.ok()
    }
}
