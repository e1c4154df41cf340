//! Bytes that mean nothing.

use bytes::{Buf, BufMut, Bytes};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesoscope_proto::v1::SnapshotPart;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use super::agent::{self, Agent};
use super::binary::Aggregator;

const PATH: &str = "/mesoscope.v1.Uplink/Report";

/// Sends bytes as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

async fn report(aggregator: &Aggregator, messages: Vec<Vec<u8>>) -> Result<(), Status> {
    let mut grpc =
        Grpc::new(agent::channel(aggregator).await).max_encoding_message_size(usize::MAX);
    grpc.ready().await.expect("it listens");
    let request = Request::new(futures::stream::iter(messages));
    let mut stream = grpc
        .streaming(request, PathAndQuery::from_static(PATH), Raw)
        .await?
        .into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

async fn assert_unharmed(aggregator: &Aggregator) {
    assert_eq!(aggregator.json("/health").await["status"], "ok");
    let list = aggregator.json("/api/v1/agents/list").await;
    assert_eq!(
        list["agents"].as_array().expect("a list").len(),
        0,
        "{list}"
    );
}

#[tokio::test]
async fn random_messages_are_refused_and_counted() {
    let aggregator = Aggregator::start(&[]);
    let mut runner = TestRunner::deterministic();
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 1..200);
    for _ in 0..200 {
        let message = bytes.new_tree(&mut runner).expect("a strategy").current();
        let refused = report(&aggregator, vec![message.clone()]).await;
        let refused = refused.expect_err("random bytes are no Hello");
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{message:?}: {refused}"
        );
    }
    let name = "mesoscope_ingest_decode_errors_total{reason=\"undecodable\"}";
    assert!(aggregator.metric(name).await > 100.0);
    assert_unharmed(&aggregator).await;
}

#[tokio::test]
async fn an_oversized_message_is_refused_before_it_is_read() {
    let aggregator = Aggregator::start(&[]);
    let refused = report(&aggregator, vec![vec![0; 17 << 20]])
        .await
        .expect_err("17 MiB");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(refused.message().contains("16777216"), "{refused}");
    let name = "mesoscope_ingest_decode_errors_total{reason=\"oversized\"}";
    assert!((aggregator.metric(name).await - 1.0).abs() < 0.1);
    assert_unharmed(&aggregator).await;
}

/// A message whose length promises more than comes.
#[tokio::test]
async fn a_truncated_message_is_refused() {
    let aggregator = Aggregator::start(&[]);
    let stream = TcpStream::connect(aggregator.grpc)
        .await
        .expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::post(format!("http://{}{PATH}", aggregator.grpc))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(&[0, 0, 0, 0, 100, 10, 1, 2])))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let collected = answer.into_body().collect().await.expect("a body");
    let status = collected
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status").cloned());
    let status = status.expect("a status in the trailers");
    assert_ne!(status, "0");
    assert_unharmed(&aggregator).await;
}

#[tokio::test]
async fn bytes_of_another_protocol_harm_nobody() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    for address in [aggregator.http, aggregator.grpc] {
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\x00"[..],
            b"\0\0\0\0\0\0\0\0\0\0",
            b"GET",
        ] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let _ = stream.write_all(garbage).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    agent.send(SnapshotPart::None, Vec::new()).await;
    agent.acknowledged().await;
}
