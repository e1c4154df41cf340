//! The stream to the aggregator: dials, redials, and carries messages that are encoded already.

use std::time::{Duration, Instant};

use mesoscope_proto::v1::AggregatorMessage;
use mesoscope_service::token::Bearer;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use rand::Rng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

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

/// How the aggregator is dialled.
#[derive(Debug, Clone)]
pub struct Dial {
    /// `http://` or `https://` with host and port.
    pub url: String,
    /// For `https://`.
    pub tls: Option<ClientTlsConfig>,
    /// Shown as `authorization`.
    pub bearer: Option<Bearer>,
}

/// What the uplink tells its owner.
#[derive(Debug)]
pub enum UplinkEvent {
    /// A stream is there; the first message that goes into it must be Hello.
    Connected(mpsc::Sender<Bytes>),
    /// The aggregator said something.
    Received(Box<AggregatorMessage>),
    /// The stream broke. The sender that came with it is of no use any more.
    Disconnected,
}

/// Dials for ever. Ends when the receiver of `events` is gone.
///
/// # Errors
/// When the URL or the TLS configuration can't be used at all.
pub fn endpoint(dial: &Dial) -> Result<Endpoint, tonic::transport::Error> {
    let mut endpoint = Endpoint::from_shared(dial.url.clone())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .user_agent(concat!("mesoscope-agent/", env!("CARGO_PKG_VERSION")))?;
    if let Some(tls) = &dial.tls {
        endpoint = endpoint.tls_config(tls.clone())?;
    }
    Ok(endpoint)
}

/// Dials for ever. Ends when the receiver of `events` is gone.
pub async fn run(endpoint: Endpoint, bearer: Option<Bearer>, events: mpsc::Sender<UplinkEvent>) {
    let mut backoff = BACKOFF_MIN;
    let mut last_error = String::new();
    let mut last_told: Option<Instant> = None;
    loop {
        let (error, lived) = match stream(&endpoint, bearer.as_ref(), &events).await {
            Ended::OwnerGone => return,
            Ended::Broken { error, lived } => (error, lived),
        };
        if lived {
            backoff = BACKOFF_MIN;
            last_told = None;
        }
        // Errors of a refusal may alternate; more than one line in a while tells no more.
        if error != last_error && last_told.is_none_or(|told| told.elapsed() > ERRORS_PAUSE) {
            last_told = Some(Instant::now());
            tracing::warn!(aggregator = %endpoint.uri(), %error, "no stream to the aggregator; trying again");
            last_error = error;
        }
        let wait = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = events.closed() => return,
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

enum Ended {
    OwnerGone,
    Broken { error: String, lived: bool },
}

async fn stream(
    endpoint: &Endpoint,
    bearer: Option<&Bearer>,
    events: &mpsc::Sender<UplinkEvent>,
) -> Ended {
    let broken = |error: String| Ended::Broken {
        error,
        lived: false,
    };
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return broken(chain(&error)),
    };
    let mut client = tonic::client::Grpc::new(channel);
    if let Err(error) = client.ready().await {
        return broken(chain(&error));
    }
    let (outbound, messages) = mpsc::channel(OUTBOUND_MAX);
    let mut request = Request::new(ReceiverStream::new(messages));
    if let Some(bearer) = bearer {
        request
            .metadata_mut()
            .insert("authorization", bearer.header());
    }
    // The aggregator may wait for Hello before it answers: the owner gets the sender first.
    if events.send(UplinkEvent::Connected(outbound)).await.is_err() {
        return Ended::OwnerGone;
    }
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/mesoscope.v1.Uplink/Report");
    let mut lived = false;
    let error = match client.streaming(request, path, RawCodec).await {
        Err(status) => status_text(&status),
        Ok(response) => {
            let mut inbound = response.into_inner();
            loop {
                match inbound.message().await {
                    Ok(Some(message)) => {
                        lived = true;
                        if events
                            .send(UplinkEvent::Received(Box::new(message)))
                            .await
                            .is_err()
                        {
                            return Ended::OwnerGone;
                        }
                    }
                    Ok(None) => break "the aggregator closed the stream".to_owned(),
                    Err(status) => break status_text(&status),
                }
            }
        }
    };
    if events.send(UplinkEvent::Disconnected).await.is_err() {
        return Ended::OwnerGone;
    }
    Ended::Broken { error, lived }
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
