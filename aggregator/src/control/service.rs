//! The gRPC service that agents open to be asked.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesoscope_proto::v1::control_answer::Answer;
use mesoscope_proto::v1::{ControlAnswer, ControlHello, ControlRequest, control_server};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{Control, Link, OUTBOX, Requests, lock};
use crate::core::Core;
use crate::ingest::{Holder, Holders};

/// Largest answer of an agent: an inspection has 1 MiB at most.
pub const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// An agent says Hello at once.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// The agents' service.
#[derive(Debug, Clone)]
pub struct ControlService {
    control: Arc<Control>,
    core: Arc<Core>,
    holders: Arc<Holders>,
    drain: CancellationToken,
}

type Outbox = mpsc::Sender<Result<ControlRequest, Status>>;

impl ControlService {
    /// A service that gives its streams to `control`, of agents that report to `core` under ids of
    /// `holders`, until the drain.
    #[must_use]
    pub fn new(
        control: Arc<Control>,
        core: Arc<Core>,
        holders: Arc<Holders>,
        drain: CancellationToken,
    ) -> Self {
        Self {
            control,
            core,
            holders,
            drain,
        }
    }

    async fn follow(
        &self,
        holder: &Holder,
        mut inbound: Streaming<ControlAnswer>,
        outbox: &Outbox,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(HELLO_DEADLINE, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no ControlHello within 10 s"))??;
        let Some(Answer::Hello(hello)) = first.and_then(|first| first.answer) else {
            return Err(Status::invalid_argument(
                "the first message of a stream is ControlHello",
            ));
        };
        self.check(&hello, holder)?;
        let link = Arc::new(Link {
            generation: hello.generation,
            requests: Mutex::new(Requests::default()),
            outbox: super::Outbox::Agent(outbox.clone()),
            closed: CancellationToken::new(),
        });
        let before = lock(&self.control.links).insert(hello.agent_id.clone(), link.clone());
        if let Some(before) = before {
            before.closed.cancel();
        }
        tracing::info!(agent = hello.agent_id, "agent takes control requests");
        self.control.tell_members(&hello, true);
        let ended = self.serve(&link, inbound).await;
        let mut links = lock(&self.control.links);
        if links
            .get(&hello.agent_id)
            .is_some_and(|current| Arc::ptr_eq(current, &link))
        {
            links.remove(&hello.agent_id);
            self.control.tell_members(&hello, false);
        }
        drop(links);
        link.closed.cancel();
        lock(&link.requests).end();
        ended
    }

    /// An agent is asked only while it reports under the same id and start: what one does not know
    /// of another's start keeps it from taking its place.
    fn check(&self, hello: &ControlHello, holder: &Holder) -> Result<(), Status> {
        let agent = self.core.read().agent(&hello.agent_id, self.core.now_ms());
        let reports =
            agent.is_some_and(|agent| agent.connected && agent.generation == hello.generation);
        if reports && self.holders.is_held_by(&hello.agent_id, holder) {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "no such start of the agent reports here (mesoscope.v1.Uplink)",
        ))
    }

    async fn serve(
        &self,
        link: &Link,
        mut inbound: Streaming<ControlAnswer>,
    ) -> Result<(), Status> {
        loop {
            let answer = tokio::select! {
                () = self.drain.cancelled() => {
                    return Err(Status::unavailable("the aggregator is shutting down"));
                }
                () = link.closed.cancelled() => {
                    return Err(Status::unavailable("a newer stream took over, or this one was not read"));
                }
                answer = inbound.message() => answer?,
            };
            let Some(answer) = answer else {
                return Ok(());
            };
            lock(&link.requests)
                .take(answer)
                .map_err(|broken| Status::invalid_argument(broken.to_string()))?;
        }
    }
}

#[tonic::async_trait]
impl control_server::Control for ControlService {
    type ServeStream = Pin<Box<dyn Stream<Item = Result<ControlRequest, Status>> + Send>>;

    async fn serve(
        &self,
        request: Request<Streaming<ControlAnswer>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let (outbox, requests) = mpsc::channel(OUTBOX);
        let service = self.clone();
        let holder = Holder::of_request(&request);
        tokio::spawn(async move {
            if let Err(status) = service.follow(&holder, request.into_inner(), &outbox).await {
                tracing::debug!(reason = status.message(), "a stream for control ended");
                // The agent may be gone, or not read: then nobody waits for the reason.
                let _ = outbox.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(requests))))
    }
}
