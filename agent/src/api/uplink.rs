//! The stream to the aggregator: dials, redials, and carries messages that are encoded already.

use std::time::{Duration, Instant};

use mesoscope_proto::v1::AggregatorMessage;
use mesoscope_proto::v1::aggregator_message::Message as Told;
use mesoscope_service::token::Bearer;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use rand::Rng;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::config::MayDial;
use crate::core::route::Route;

/// Messages that wait for the transport at most; more stay in the spool.
const OUTBOUND_MAX: usize = 4;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// An aggregator that returns is found within this time, and the map is right soon after.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Between two lines in the log about a stream that can't be had.
const ERRORS_PAUSE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// With the interval, a dead peer is noticed within five seconds.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// The same where there are others to go to: they have the agent within five seconds.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(2);
const HURRIED_INTERVAL: Duration = Duration::from_secs(1);

/// How the aggregators are dialled.
#[derive(Debug, Clone)]
pub struct Dial {
    /// `http://` or `https://` with host and port; one at least.
    pub urls: Vec<String>,
    /// Which others an aggregator may name.
    pub may_dial: MayDial,
    /// For `https://`.
    pub tls: Option<ClientTlsConfig>,
    /// Shown as `authorization`.
    pub bearer: Option<Bearer>,
}

/// What Hello says of the way to the aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTheWay {
    /// The agent goes where it is sent.
    pub moves: bool,
    /// Aggregators that could not be had a short while ago.
    pub unreachable: Vec<String>,
}

/// What the uplink tells its owner.
#[derive(Debug)]
pub enum UplinkEvent {
    /// A stream is there.
    Connected {
        /// The first message that goes into it must be Hello.
        outbound: mpsc::Sender<Bytes>,
        /// For this Hello.
        route: OnTheWay,
    },
    /// The aggregator said something.
    Received(Box<AggregatorMessage>),
    /// The stream broke. The sender that came with it is of no use any more.
    Disconnected,
}

impl Dial {
    /// What dials this aggregator. With others to go to, one that is dead is noticed sooner.
    ///
    /// # Errors
    /// When it may not be dialled, or the URL or the TLS configuration can't be used at all.
    pub fn endpoint(&self, url: &str, has_others: bool) -> Result<Endpoint, String> {
        self.may_dial.check(url)?;
        let build = || {
            let (connect, interval, timeout) = if has_others {
                (HURRIED_TIMEOUT, HURRIED_INTERVAL, HURRIED_TIMEOUT)
            } else {
                (CONNECT_TIMEOUT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT)
            };
            let mut endpoint = Endpoint::from_shared(url.to_owned())?
                .connect_timeout(connect)
                .http2_keep_alive_interval(interval)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true)
                .user_agent(concat!("mesoscope-agent/", env!("CARGO_PKG_VERSION")))?;
            if let Some(tls) = self.tls.as_ref().filter(|_| url.starts_with("https://")) {
                endpoint = endpoint.tls_config(tls.clone())?;
            }
            Ok(endpoint)
        };
        build().map_err(|error: tonic::transport::Error| format!("aggregator {url}: {error}"))
    }
}

/// Dials for ever. `in_use` is told where the stream is while there is one. Ends when the receiver of
/// `events` is gone.
pub async fn run(
    dial: Dial,
    events: mpsc::Sender<UplinkEvent>,
    in_use: watch::Sender<Option<Endpoint>>,
) {
    let mut route = Route::new(dial.urls.clone());
    let mut backoff = BACKOFF_MIN;
    let mut last_error = String::new();
    let mut last_told: Option<Instant> = None;
    loop {
        let url = route.dial();
        let ended = match dial.endpoint(&url, route.has_others()) {
            Ok(endpoint) => {
                let stream = Uplink {
                    endpoint,
                    bearer: dial.bearer.as_ref(),
                    events: &events,
                    in_use: &in_use,
                };
                stream.run(&mut route).await
            }
            Err(error) => Ended::Broken {
                error,
                lived: false,
            },
        };
        in_use.send_replace(None);
        let (error, lived) = match ended {
            Ended::OwnerGone => return,
            Ended::Redirected(to) if route.moves() => {
                tracing::info!(from = url, to, "another aggregator looks after this agent");
                route.redirected(&to);
                continue;
            }
            Ended::Redirected(to) => {
                let error = format!("it sends this agent on to {to}, though it was asked not to");
                (error, false)
            }
            Ended::Broken { error, lived } => (error, lived),
        };
        let all_failed = route.failed(Instant::now());
        if lived {
            backoff = BACKOFF_MIN;
            last_told = None;
        }
        // Errors of a refusal may alternate; more than one line in a while tells no more.
        if error != last_error && last_told.is_none_or(|told| told.elapsed() > ERRORS_PAUSE) {
            last_told = Some(Instant::now());
            tracing::warn!(aggregator = url, %error, "no stream to the aggregator; trying again");
            last_error = error;
        }
        let wait = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = events.closed() => return,
        }
        if all_failed {
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

enum Ended {
    OwnerGone,
    Redirected(String),
    Broken { error: String, lived: bool },
}

/// One stream, or the attempt at one.
struct Uplink<'a> {
    endpoint: Endpoint,
    bearer: Option<&'a Bearer>,
    events: &'a mpsc::Sender<UplinkEvent>,
    in_use: &'a watch::Sender<Option<Endpoint>>,
}

impl Uplink<'_> {
    async fn run(self, route: &mut Route) -> Ended {
        let broken = |error: String| Ended::Broken {
            error,
            lived: false,
        };
        let channel = match self.endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => return broken(chain(&error)),
        };
        let mut client = tonic::client::Grpc::new(channel);
        if let Err(error) = client.ready().await {
            return broken(chain(&error));
        }
        let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
        let mut request = Request::new(ReceiverStream::new(messages));
        if let Some(bearer) = self.bearer {
            request
                .metadata_mut()
                .insert("authorization", bearer.header());
        }
        // The aggregator may wait for Hello before it answers: the owner gets the sender first.
        let connected = UplinkEvent::Connected {
            outbound,
            route: OnTheWay {
                moves: route.moves(),
                unreachable: route.unreachable(Instant::now()),
            },
        };
        if self.events.send(connected).await.is_err() {
            return Ended::OwnerGone;
        }
        let path =
            tonic::codegen::http::uri::PathAndQuery::from_static("/mesoscope.v1.Uplink/Report");
        let ended = match client.streaming(request, path, RawCodec).await {
            Err(status) => broken(status_text(&status)),
            Ok(response) => self.follow(response.into_inner(), route).await,
        };
        if self.events.send(UplinkEvent::Disconnected).await.is_err() {
            return Ended::OwnerGone;
        }
        ended
    }

    async fn follow(&self, mut inbound: Streaming<AggregatorMessage>, route: &mut Route) -> Ended {
        let mut lived = false;
        loop {
            let received = match inbound.message().await {
                Ok(Some(received)) => received,
                Ok(None) => {
                    let error = "the aggregator closed the stream".to_owned();
                    return Ended::Broken { error, lived };
                }
                Err(status) => {
                    let error = status_text(&status);
                    return Ended::Broken { error, lived };
                }
            };
            match received.message {
                Some(Told::Redirect(redirect)) => return Ended::Redirected(redirect.url),
                Some(Told::Members(members)) => route.learned(&members.urls),
                _ => {
                    if let Some(Told::Welcome(_)) = received.message {
                        route.welcomed();
                        self.in_use.send_replace(Some(self.endpoint.clone()));
                    }
                    lived = true;
                    let told = UplinkEvent::Received(Box::new(received));
                    if self.events.send(told).await.is_err() {
                        return Ended::OwnerGone;
                    }
                }
            }
        }
    }
}

fn status_text(status: &Status) -> String {
    format!("{:?}: {}", status.code(), chain(status))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Sends bytes that are an `AgentMessage` already: what waits in the spool is encoded once.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = AggregatorMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = AggregatorMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<AggregatorMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        AggregatorMessage::decode(bytes).map(Some).map_err(|error| {
            Status::internal(format!("malformed message of the aggregator: {error}"))
        })
    }
}
