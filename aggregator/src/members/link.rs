//! Follows another member: what its agents tell comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mesoscope_proto::v1::peers_client::PeersClient;
use mesoscope_proto::v1::relayed::Message;
use mesoscope_proto::v1::{
    RelayAsk, RelayHello, RelayResync, Relayed, RoutedAnswer, RoutedRequest, relay_ask,
};
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::Sharing;
use super::membership::{MemberClient, PATIENCE, Shown};
use super::service::MESSAGE_BYTES_MAX;
use crate::control::ROUTED_MAX;
use crate::ingest::Relayer;

/// What waits to be asked of the member.
const ASKS_MAX: usize = 16_384;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_millis(PATIENCE.silence_ms);

/// The streams of one connection.
struct Streams {
    relayed: Streaming<Relayed>,
    asks: mpsc::Sender<RelayAsk>,
    answers: Streaming<RoutedAnswer>,
    requests: mpsc::Sender<RoutedRequest>,
    client: MemberClient,
}

/// One other member.
#[derive(Debug)]
pub(super) struct Link {
    sharing: Sharing,
    member: Arc<str>,
}

/// Takes what a connection brought out of the map when it ends, however it does.
struct Relaying<'a> {
    link: &'a Link,
    relayer: Relayer,
}

impl Drop for Relaying<'_> {
    fn drop(&mut self) {
        let Link { sharing, member } = self.link;
        let registry = &sharing.registry;
        if registry.members().lost(member) {
            registry.count_loss();
        }
        registry.members().reach(member, None);
        sharing.control.unroute(&self.relayer);
        registry.relayer_lost(&self.relayer);
    }
}

impl Link {
    pub(super) fn new(sharing: Sharing, member: Arc<str>) -> Self {
        Self { sharing, member }
    }

    /// Dials for ever, until the drain.
    pub(super) async fn run(self, drain: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        let mut last_error = String::new();
        loop {
            let (status, lived) = tokio::select! {
                ended = self.follow() => ended,
                () = drain.cancelled() => return,
            };
            if lived {
                backoff = BACKOFF_MIN;
            }
            let error = status.message();
            if error != last_error {
                error.clone_into(&mut last_error);
                tracing::info!(member = %self.member, code = ?status.code(), error, "can't follow this aggregator; trying again");
            }
            let wait = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
            if drain
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// One connection, to its end; gives why it ended, and whether the member was there.
    async fn follow(&self) -> (Status, bool) {
        let opened = tokio::time::timeout(SILENCE, self.open()).await;
        let mut streams = match opened {
            Ok(Ok(streams)) => streams,
            Ok(Err(status)) => return (status, false),
            Err(_) => return (Status::deadline_exceeded("it does not answer"), false),
        };
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        let relaying = Relaying {
            link: self,
            relayer: Relayer {
                member: self.member.clone(),
                connection: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            },
        };
        let mut lived = false;
        let status = self
            .run_streams(&mut streams, &relaying.relayer, &mut lived)
            .await;
        (status, lived)
    }

    async fn run_streams(
        &self,
        streams: &mut Streams,
        relayer: &Relayer,
        welcomed: &mut bool,
    ) -> Status {
        let members = self.sharing.registry.members();
        // Set anew with each message of the relay: answers of agents are no beats.
        let silence = tokio::time::sleep(SILENCE);
        tokio::pin!(silence);
        loop {
            let received = tokio::select! {
                received = streams.relayed.message() => match received {
                    Ok(Some(received)) => received,
                    Ok(None) => return Status::unavailable("it closed the stream"),
                    Err(status) => return status,
                },
                answered = streams.answers.message() => {
                    let answered = match answered {
                        Ok(Some(answered)) => answered,
                        Ok(None) => return Status::unavailable("it closed the stream"),
                        Err(status) => return status,
                    };
                    if let Err(status) = self.sharing.control.answered(relayer, answered) {
                        return status;
                    }
                    continue;
                }
                () = &mut silence => return Status::deadline_exceeded("it has fallen silent"),
            };
            match self.take(received, relayer, &streams.requests, *welcomed) {
                Ok(resync) => {
                    if !std::mem::replace(welcomed, true) {
                        members.reach(&self.member, Some(streams.client.clone()));
                    }
                    members.heard(&self.member);
                    if let Some(resync) = resync
                        && !ask(&streams.asks, relay_ask::Ask::Resync(resync))
                    {
                        return Status::resource_exhausted("it does not read");
                    }
                }
                Err(status) => return status,
            }
            silence.as_mut().reset(Instant::now() + SILENCE);
        }
    }

    async fn open(&self) -> Result<Streams, Status> {
        let dial = &self.sharing.dial;
        let endpoint = dial.endpoint(&self.member);
        let endpoint = endpoint.map_err(Status::invalid_argument)?;
        let channel = endpoint.connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = PeersClient::with_interceptor(channel, Shown(dial.bearer().cloned()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let hello = RelayHello {
            member: dial.own().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        ask(&asks, relay_ask::Ask::Hello(hello));
        let (requests, requested) = mpsc::channel(ROUTED_MAX);
        let answers = client.route(ReceiverStream::new(requested)).await?;
        let relayed = client.relay(ReceiverStream::new(asked)).await?;
        Ok(Streams {
            relayed: relayed.into_inner(),
            asks,
            answers: answers.into_inner(),
            requests,
            client,
        })
    }

    fn take(
        &self,
        received: Relayed,
        relayer: &Relayer,
        requests: &mpsc::Sender<RoutedRequest>,
        welcomed: bool,
    ) -> Result<Option<RelayResync>, Status> {
        let Some(message) = received.message else {
            // Something of a newer version.
            return Ok(None);
        };
        if let Message::Welcome(welcome) = &message {
            if *welcome.member == *self.member {
                return Ok(None);
            }
            return Err(Status::failed_precondition(format!(
                "it calls itself {}: --peer and its --advertise must be the same",
                welcome.member
            )));
        }
        if !welcomed {
            return Err(Status::failed_precondition("it does not say who it is"));
        }
        let Sharing {
            registry, control, ..
        } = &self.sharing;
        match message {
            Message::Agent(told) => return registry.is_elsewhere(relayer, told),
            Message::Batch(batch) => return registry.relayed(relayer, &batch),
            Message::End(told) => registry.ended_elsewhere(relayer, &told),
            Message::Control(told) => control.route(relayer, told, requests),
            Message::Welcome(_) | Message::Beat(_) | Message::Setting(_) => {}
        }
        Ok(None)
    }
}

fn ask(asks: &mpsc::Sender<RelayAsk>, ask: relay_ask::Ask) -> bool {
    asks.try_send(RelayAsk { ask: Some(ask) }).is_ok()
}
