//! The gRPC service by which other members follow this one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mesoscope_proto::v1::peers_server::Peers;
use mesoscope_proto::v1::relayed::Message;
use mesoscope_proto::v1::{
    RelayAsk, RelayBeat, RelayHello, RelayWelcome, Relayed, RoutedAnswer, RoutedRequest, SeriesAsk,
    SeriesTold, SeriesValues, relay_ask,
};
use mesoscope_series::{FINE_STEP_MS, Range};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::Sharing;
use crate::control::RouteServer;
use crate::core::Core;
use crate::ingest;

/// Largest message of a member: a batch of an agent, and what names it.
pub const MESSAGE_BYTES_MAX: usize = ingest::MESSAGE_BYTES_MAX + (64 << 10);
/// A member says Hello at once.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// One that is not told anything for so long is told that this one is alive.
const BEAT: Duration = Duration::from_millis(500);
/// A member that does not read for so long is cut off.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
const OUTBOUND: usize = 16;
/// Steps of values in one answer.
const STEPS_MAX: u64 = 10_001;

/// The members' service.
#[derive(Debug, Clone)]
pub struct PeersService {
    sharing: Sharing,
    core: Arc<Core>,
    drain: CancellationToken,
}

type Outbound<T> = mpsc::Sender<Result<T, Status>>;

impl PeersService {
    /// A service that shares this until the drain.
    #[must_use]
    pub fn new(sharing: Sharing, core: Arc<Core>, drain: CancellationToken) -> Self {
        Self {
            sharing,
            core,
            drain,
        }
    }

    async fn follow(
        &self,
        mut asks: Streaming<RelayAsk>,
        outbound: &Outbound<Relayed>,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(HELLO_DEADLINE, asks.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no RelayHello within 5 s"))??;
        let Some(relay_ask::Ask::Hello(hello)) = first.and_then(|first| first.ask) else {
            return Err(Status::invalid_argument(
                "the first message of a stream is RelayHello",
            ));
        };
        self.check(&hello)?;
        tracing::info!(
            member = hello.member,
            version = hello.version,
            "an aggregator follows the agents here"
        );
        let welcome = RelayWelcome {
            member: self.sharing.registry.members().own().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        send(outbound, Message::Welcome(welcome)).await?;
        let (outlet, mut relay) = self.sharing.registry.hub().listen();
        let sharing = self.sharing.clone();
        let announced = outlet.clone();
        // Waits for each agent's turn.
        tokio::task::spawn_blocking(move || {
            sharing.registry.announce(&announced);
            sharing.control.announce(&announced);
        });
        loop {
            tokio::select! {
                () = self.drain.cancelled() => {
                    return Err(Status::unavailable("the aggregator is shutting down"));
                }
                () = outlet.closed.cancelled() => {
                    return Err(Status::resource_exhausted("what was relayed was not read in time"));
                }
                asked = asks.message() => {
                    let Some(asked) = asked? else {
                        return Ok(());
                    };
                    if let Some(relay_ask::Ask::Resync(resync)) = asked.ask {
                        self.sharing.registry.ask_snapshot(resync);
                    }
                }
                told = tokio::time::timeout(BEAT, relay.next()) => match told {
                    Ok(Some(told)) => send_relayed(outbound, told).await?,
                    Ok(None) => return Ok(()),
                    Err(_) => send(outbound, Message::Beat(RelayBeat {})).await?,
                }
            }
        }
    }

    async fn serve_routes(
        &self,
        mut requests: Streaming<RoutedRequest>,
        outbound: &Outbound<RoutedAnswer>,
    ) -> Result<(), Status> {
        let (mut server, mut answers) = RouteServer::new(self.sharing.control.clone());
        let closed = server.closed.clone();
        loop {
            tokio::select! {
                () = self.drain.cancelled() => {
                    return Err(Status::unavailable("the aggregator is shutting down"));
                }
                () = closed.cancelled() => {
                    return Err(Status::resource_exhausted("answers were not read in time"));
                }
                request = requests.message() => {
                    let Some(request) = request? else {
                        return Ok(());
                    };
                    server.take(request);
                }
                Some(answer) = answers.recv() => {
                    server.answered(&answer);
                    let sent = tokio::time::timeout(SEND_DEADLINE, outbound.send(Ok(answer)));
                    if !matches!(sent.await, Ok(Ok(()))) {
                        return Err(Status::deadline_exceeded("the aggregator does not read"));
                    }
                }
            }
        }
    }

    /// Members know each other, or the map of one would lack what only the other is told.
    fn check(&self, hello: &RelayHello) -> Result<(), Status> {
        let members = self.sharing.registry.members();
        let known = members.members();
        if *hello.member != *members.own() && known.iter().any(|known| **known == *hello.member) {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "{:?} is not one of the aggregators that share the agents with {}: --peer must be the same \
             for all",
            hello.member,
            members.own()
        )))
    }
}

async fn send(outbound: &Outbound<Relayed>, message: Message) -> Result<(), Status> {
    let message = Relayed {
        message: Some(message),
    };
    send_relayed(outbound, message).await
}

async fn send_relayed(outbound: &Outbound<Relayed>, message: Relayed) -> Result<(), Status> {
    match tokio::time::timeout(SEND_DEADLINE, outbound.send(Ok(message))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the aggregator went away")),
        Err(_) => Err(Status::deadline_exceeded("the aggregator does not read")),
    }
}

#[tonic::async_trait]
impl Peers for PeersService {
    type RelayStream = Pin<Box<dyn Stream<Item = Result<Relayed, Status>> + Send>>;
    type RouteStream = Pin<Box<dyn Stream<Item = Result<RoutedAnswer, Status>> + Send>>;

    async fn relay(
        &self,
        request: Request<Streaming<RelayAsk>>,
    ) -> Result<Response<Self::RelayStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(status) = service.follow(request.into_inner(), &outbound).await {
                tracing::info!(reason = status.message(), "an aggregator follows no more");
                // It may be gone, or not read: then nobody waits for the reason.
                let _ = outbound.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn route(
        &self,
        request: Request<Streaming<RoutedRequest>>,
    ) -> Result<Response<Self::RouteStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(status) = service.serve_routes(request.into_inner(), &outbound).await {
                // It may be gone, or not read: then nobody waits for the reason.
                let _ = outbound.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn series(&self, request: Request<SeriesAsk>) -> Result<Response<SeriesTold>, Status> {
        let asked = request.into_inner();
        let limits = self.sharing.series.limits();
        let range = Range {
            from_ms: asked.from_unix_ms,
            to_ms: asked.to_unix_ms,
            step_ms: asked.step_ms,
        };
        let in_range = (FINE_STEP_MS..=limits.keep_ms).contains(&range.step_ms)
            && range.from_ms < range.to_ms
            && range.steps() <= STEPS_MAX;
        if !in_range {
            return Err(Status::invalid_argument("steps from 5s, 10,000 at most"));
        }
        let owner = self.core.read().agent_of_container(&asked.id);
        let now_ms = self.core.now_ms();
        let answer = self.sharing.series.query(&asked.id, owner, range, now_ms);
        let metrics = answer.map(|answer| {
            let metrics = answer.metrics.iter().zip(answer.values);
            let told = metrics.map(|(metric, values)| SeriesValues {
                key: metric.key.to_owned(),
                values: values
                    .into_iter()
                    .map(|value| value.unwrap_or(f64::NAN))
                    .collect(),
            });
            told.collect()
        });
        Ok(Response::new(SeriesTold {
            metrics: metrics.unwrap_or_default(),
        }))
    }
}
