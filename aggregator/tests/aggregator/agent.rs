//! An agent that reports what a test tells it to.

use std::net::{IpAddr, SocketAddr};

use mesoscope_proto::address;
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{
    AgentMessage, Batch, Change, Connection, ConnectionState, Direction, Endpoint, Hello, Host,
    NetworkInterface, Process, ProcessCause, ProcessKey, Protocol, SnapshotPart, Welcome,
    agent_message, aggregator_message, change,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::binary::{Aggregator, PATIENCE};

pub type Told = aggregator_message::Message;

/// A connected agent.
pub struct Agent {
    outbound: mpsc::Sender<AgentMessage>,
    inbound: Streaming<mesoscope_proto::v1::AggregatorMessage>,
    pub generation: u64,
    pub sequence: u64,
}

pub fn hello(agent_id: &str, generation: u64, sequence: u64) -> Hello {
    Hello {
        agent_id: agent_id.to_owned(),
        hostname: format!("{agent_id}.example"),
        version: "test".to_owned(),
        generation,
        sequence_first: sequence,
        sequence_next: sequence,
        ..Hello::default()
    }
}

pub async fn channel(aggregator: &Aggregator) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", aggregator.grpc)).expect("a URI");
    endpoint.connect().await.expect("it listens")
}

impl Agent {
    /// Connects with a new generation 1 and reports `changes` as its snapshot.
    pub async fn with_snapshot(
        aggregator: &Aggregator,
        agent_id: &str,
        changes: Vec<Change>,
    ) -> Self {
        let (mut agent, welcome) = Self::connect(aggregator, hello(agent_id, 1, 0)).await;
        assert!(!welcome.resume, "nothing is known of a new agent");
        agent.send(SnapshotPart::Whole, changes).await;
        agent
    }

    /// Connects with its next generation and reports `changes` as its snapshot.
    pub async fn with_snapshot_again(
        aggregator: &Aggregator,
        agent_id: &str,
        changes: Vec<Change>,
    ) -> Self {
        let (mut agent, _) = Self::connect(aggregator, hello(agent_id, 2, 0)).await;
        agent.send(SnapshotPart::Whole, changes).await;
        agent
    }

    pub async fn connect(aggregator: &Aggregator, hello: Hello) -> (Self, Welcome) {
        let client = UplinkClient::new(channel(aggregator).await);
        Self::open(client, hello).await.expect("welcome")
    }

    pub async fn open<T>(
        mut client: UplinkClient<T>,
        hello: Hello,
    ) -> Result<(Self, Welcome), Status>
    where
        T: tonic::client::GrpcService<tonic::body::Body>,
        T::Error: Into<tonic::codegen::StdError>,
        T::ResponseBody: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
        <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
    {
        let (outbound, messages) = mpsc::channel(64);
        let (generation, sequence) = (hello.generation, hello.sequence_next);
        let first = AgentMessage {
            message: Some(agent_message::Message::Hello(hello)),
        };
        outbound.send(first).await.expect("there is room");
        let inbound = client
            .report(ReceiverStream::new(messages))
            .await?
            .into_inner();
        let mut agent = Self {
            outbound,
            inbound,
            generation,
            sequence,
        };
        match agent.receive().await? {
            Told::Welcome(welcome) => Ok((agent, welcome)),
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    /// Sends the next batch.
    pub async fn send(&mut self, part: SnapshotPart, changes: Vec<Change>) {
        let batch = self.batch(self.sequence, part, changes);
        self.sequence += 1;
        self.send_raw(batch).await;
    }

    pub fn batch(&self, sequence: u64, part: SnapshotPart, changes: Vec<Change>) -> Batch {
        Batch {
            generation: self.generation,
            sequence,
            snapshot: part.into(),
            time_unix_ns: 1,
            changes,
        }
    }

    pub async fn send_raw(&mut self, batch: Batch) {
        let message = AgentMessage {
            message: Some(agent_message::Message::Batch(batch)),
        };
        // When the stream has ended, receiving tells why.
        let _ = self.outbound.send(message).await;
    }

    pub async fn receive(&mut self) -> Result<Told, Status> {
        let received = tokio::time::timeout(PATIENCE, self.inbound.message());
        let message = received.await.expect("the aggregator answers")?;
        let message = message.ok_or_else(|| Status::cancelled("the stream ended"))?;
        Ok(message.message.expect("not empty"))
    }

    /// Waits until everything sent so far is acknowledged.
    pub async fn acknowledged(&mut self) {
        loop {
            if let Told::Ack(ack) = self.receive().await.expect("an acknowledgement")
                && ack.sequence + 1 == self.sequence
            {
                return;
            }
        }
    }
}

fn changed(change: change::Change) -> Change {
    Change {
        change: Some(change),
    }
}

pub fn host(hostname: &str, ip: &str) -> Change {
    let address: IpAddr = ip.parse().expect("an address");
    changed(change::Change::Host(Host {
        hostname: hostname.to_owned(),
        interfaces: vec![NetworkInterface {
            name: "eth0".to_owned(),
            addresses: vec![address::to_bytes(address)],
            up: true,
            ..Default::default()
        }],
        network_namespace: 1,
        ..Default::default()
    }))
}

pub fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start_boottime_ns: u64::from(pid) * 10_000_000,
    }
}

pub fn process(pid: u32, name: &str) -> Change {
    changed(change::Change::Process(Process {
        key: Some(key(pid)),
        cause: ProcessCause::Exec.into(),
        time_unix_ns: 1,
        parent: Some(key(1)),
        name: name.to_owned(),
        argv: vec![format!("/usr/bin/{name}"), "--verbose".to_owned()],
        network_namespace: 1,
        started_unix_ns: 1,
        ..Default::default()
    }))
}

/// One end of a TCP connection.
pub fn connection(
    cookie: u64,
    pid: u32,
    direction: Direction,
    local: &str,
    remote: &str,
) -> Change {
    let endpoint = |text: &str| Endpoint::from(text.parse::<SocketAddr>().expect("an endpoint"));
    changed(change::Change::Connection(Connection {
        cookie,
        protocol: Protocol::Tcp.into(),
        direction: direction.into(),
        state: ConnectionState::Open.into(),
        local: Some(endpoint(local)),
        remote: Some(endpoint(remote)),
        network_namespace: 1,
        process: Some(key(pid)),
        bytes_sent: 1_000,
        bytes_received: 2_000,
        opened_unix_ns: 1,
        ..Default::default()
    }))
}

/// What the connecting side of the tests' one connection reports.
pub fn client_side() -> Vec<Change> {
    let end = connection(7, 100, Direction::Outbound, "10.0.0.1:40000", "10.0.0.2:80");
    vec![
        host("client.example", "10.0.0.1"),
        process(100, "curl"),
        end,
    ]
}

/// And its listening side.
pub fn server_side() -> Vec<Change> {
    let end = connection(9, 200, Direction::Inbound, "10.0.0.2:80", "10.0.0.1:40000");
    vec![
        host("server.example", "10.0.0.2"),
        process(200, "nginx"),
        end,
    ]
}
