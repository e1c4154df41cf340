//! The gRPC service that agents report to.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mesoscope_proto::v1::uplink_server::Uplink;
use mesoscope_proto::v1::{
    Ack, AgentMessage, AggregatorMessage, Members, Redirect, Resync, agent_message,
    aggregator_message,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use super::holders::{Hold, Holders};
use super::registry::{Registry, Session, Taken, message};
use super::reporters::Holder;
use crate::metrics::Metrics;

/// Largest message of an agent. Agents cut their snapshots into parts well below.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Acknowledgements are not sent more often.
const ACK_PERIOD: Duration = Duration::from_millis(250);
/// An agent says Hello at once.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// An agent that does not read for so long is cut off.
const SEND_DEADLINE: Duration = Duration::from_secs(30);
const OUTBOUND: usize = 8;

/// The agents' service.
#[derive(Debug, Clone)]
pub struct UplinkService {
    registry: Arc<Registry>,
    holders: Arc<Holders>,
    metrics: Arc<Metrics>,
    drain: CancellationToken,
}

type Outbound = mpsc::Sender<Result<AggregatorMessage, Status>>;

impl UplinkService {
    /// A service that hands its streams to this registry and ends them at the drain.
    #[must_use]
    pub fn new(registry: Arc<Registry>, metrics: Arc<Metrics>, drain: CancellationToken) -> Self {
        Self {
            registry,
            holders: Arc::default(),
            metrics,
            drain,
        }
    }

    /// With what each agent was let in.
    #[must_use]
    pub fn holders(&self) -> Arc<Holders> {
        self.holders.clone()
    }

    /// Takes the id that a stream begins with.
    fn hold(&self, first: &AgentMessage, holder: &Holder) -> Result<Option<Hold>, Status> {
        let Some(agent_message::Message::Hello(hello)) = &first.message else {
            return Ok(None);
        };
        let hold = self.holders.take(&hello.agent_id, holder);
        hold.map(Some).ok_or_else(|| {
            tracing::warn!(
                agent = hello.agent_id,
                "another token or certificate claims to be this agent, and was refused"
            );
            Status::permission_denied(format!(
                "the id {:?} belongs to an agent with another token or certificate: set --agent-id, or, \
                 where its credentials were replaced, wait a minute",
                hello.agent_id
            ))
        })
    }

    async fn follow(
        &self,
        holder: Holder,
        mut inbound: Streaming<AgentMessage>,
        outbound: Outbound,
    ) {
        let ended = async {
            let first = tokio::time::timeout(HELLO_DEADLINE, inbound.message())
                .await
                .map_err(|_| Status::deadline_exceeded("no Hello within 10 s"))?
                .map_err(|status| self.explain(status))?
                .ok_or_else(|| Status::invalid_argument("the stream ended before Hello"))?;
            if let Some(owner) = self.other_owner(&first) {
                let url = owner.to_string();
                self.metrics.members.redirects.inc();
                let redirect = aggregator_message::Message::Redirect(Redirect { url });
                return send(&outbound, redirect).await;
            }
            let mut hold = self.hold(&first, &holder)?;
            let (mut session, welcome) = self.registry.open(first, &holder)?;
            if let Some(hold) = &mut hold {
                hold.opened();
            }
            let resumed = welcome.resume;
            tracing::info!(agent = session.agent_id, resumed, "agent connected");
            send(&outbound, aggregator_message::Message::Welcome(welcome)).await?;
            let ended = self.serve(&mut session, inbound, &outbound).await;
            match &ended {
                Ok(()) => tracing::info!(agent = session.agent_id, "agent disconnected"),
                Err(status) => tracing::info!(
                    agent = session.agent_id,
                    code = ?status.code(),
                    reason = status.message(),
                    "agent disconnected"
                ),
            }
            ended
        };
        let status: Result<(), Status> = tokio::select! {
            ended = ended => ended,
            () = self.drain.cancelled() => {
                Err(Status::unavailable("the aggregator is shutting down"))
            }
        };
        if let Err(status) = status {
            // The agent may be gone; then nobody waits for the status.
            let _ = tokio::time::timeout(SEND_DEADLINE, outbound.send(Err(status))).await;
        }
    }

    /// The member that is to look after an agent, when it is another one.
    fn other_owner(&self, first: &AgentMessage) -> Option<Arc<str>> {
        match &first.message {
            Some(agent_message::Message::Hello(hello)) => {
                self.registry.members().other_owner(hello)
            }
            _ => None,
        }
    }

    async fn serve(
        &self,
        session: &mut Session,
        mut inbound: Streaming<AgentMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let mut acked = None;
        let mut ack_at = Instant::now();
        let mut ack_due = false;
        let mut members = self.registry.members().follow();
        let mut members_known = false;
        loop {
            if !members_known {
                members_known = true;
                let urls = members.borrow_and_update().clone();
                if !urls.is_empty() {
                    let members = aggregator_message::Message::Members(Members { urls });
                    send(outbound, members).await?;
                }
            }
            tokio::select! {
                biased;
                () = session.replaced.cancelled() => return Err(session.replaced_status()),
                () = tokio::time::sleep_until(ack_at), if ack_due => {
                    ack_due = false;
                    let sequence = session.acknowledged();
                    if sequence != acked && let Some(sequence) = sequence {
                        acked = Some(sequence);
                        ack_at = Instant::now() + ACK_PERIOD;
                        send(outbound, aggregator_message::Message::Ack(Ack { sequence })).await?;
                    }
                }
                Ok(()) = members.changed() => members_known = false,
                Some(told) = session.inbox.recv() => send_message(outbound, told).await?,
                received = inbound.message() => {
                    let Some(received) = received.map_err(|status| self.explain(status))? else {
                        return Ok(());
                    };
                    let Some(agent_message::Message::Batch(batch)) = received.message else {
                        self.metrics.ingest.refused.with_label_values(&["protocol"]).inc();
                        return Err(Status::invalid_argument("expected a batch after Hello"));
                    };
                    match session.take(batch)? {
                        Taken::Yes => ack_due = true,
                        Taken::Dropped => {}
                        Taken::Resync(reason) => {
                            tracing::info!(agent = session.agent_id, reason, "asking for a snapshot");
                            let resync = Resync { reason };
                            send(outbound, aggregator_message::Message::Resync(resync)).await?;
                        }
                    }
                }
            }
        }
    }

    /// Counts and explains what could not be decoded; a peer that goes away mid-stream is no such
    /// thing.
    fn explain(&self, status: Status) -> Status {
        let (kind, status) = match status.code() {
            Code::Internal if status.message().starts_with("failed to decode") => {
                let text = format!("the message is not an AgentMessage: {}", status.message());
                ("undecodable", Status::invalid_argument(text))
            }
            Code::OutOfRange => {
                let text = format!("a message has at most {MESSAGE_BYTES_MAX} bytes");
                ("oversized", Status::out_of_range(text))
            }
            _ => return status,
        };
        self.metrics
            .ingest
            .decode_errors
            .with_label_values(&[kind])
            .inc();
        status
    }
}

async fn send(outbound: &Outbound, told: aggregator_message::Message) -> Result<(), Status> {
    send_message(outbound, message(told)).await
}

async fn send_message(outbound: &Outbound, told: AggregatorMessage) -> Result<(), Status> {
    match tokio::time::timeout(SEND_DEADLINE, outbound.send(Ok(told))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the agent went away")),
        Err(_) => Err(Status::deadline_exceeded("the agent does not read")),
    }
}

#[tonic::async_trait]
impl Uplink for UplinkService {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<AggregatorMessage, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let service = self.clone();
        let holder = Holder::of_request(&request);
        tokio::spawn(async move {
            service.follow(holder, request.into_inner(), outbound).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}
