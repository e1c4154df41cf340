//! An aggregator's end of the uplink, and the real agent as a child process.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message as Asked;
use mesoscope_proto::v1::control_server::{Control, ControlServer};
use mesoscope_proto::v1::uplink_server::{Uplink, UplinkServer};
use mesoscope_proto::v1::{
    Ack, AgentMessage, AggregatorMessage, Configure, ControlAnswer, ControlHello, ControlRequest,
    Hello, SnapshotPart, Welcome, agent_message, aggregator_message::Message as Answer,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Everything that agents told, in its order.
#[derive(Default)]
pub struct Heard {
    /// First messages.
    pub hellos: Vec<Hello>,
    /// Changes, each with the generation that told it and whether in a snapshot.
    pub changes: Vec<(u64, bool, Kind)>,
    /// Whole snapshots.
    pub snapshots: usize,
    /// `authorization` of the last stream.
    pub authorization: Option<String>,
    /// First messages of streams for control.
    pub controls: Vec<ControlHello>,
    /// What else came on these, by the request's number.
    pub answers: Vec<(u64, Said)>,
    /// Sequence numbers that were not the expected one.
    pub sequence_errors: usize,
}

type Asks = mpsc::Sender<Result<ControlRequest, Status>>;

/// A server of `Uplink` and `Control`.
#[derive(Clone, Default)]
pub struct Aggregator {
    heard: Arc<Mutex<Heard>>,
    configure: Arc<Mutex<Option<Configure>>>,
    asks: Arc<Mutex<Option<Asks>>>,
}

impl Aggregator {
    /// Listens on a port of its own; `tls` as the server's own.
    pub async fn start(tls: Option<ServerTlsConfig>) -> (Self, u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let aggregator = Self::default();
        let server = aggregator.clone().serve(listener, tls);
        (aggregator, port, server)
    }

    /// Serves on `listener`.
    pub fn serve(
        self,
        listener: TcpListener,
        tls: Option<ServerTlsConfig>,
    ) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            let mut server = Server::builder();
            if let Some(tls) = tls {
                server = server.tls_config(tls).expect("a valid TLS configuration");
            }
            let served = server
                .add_service(ControlServer::new(self.clone()))
                .add_service(UplinkServer::new(self))
                .serve_with_incoming(TcpListenerStream::new(listener));
            served.await.expect("served");
        })
    }

    /// Sent to the next agent that greets.
    pub fn configure_next(&self, configure: Configure) {
        *self
            .configure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(configure);
    }

    /// Asks the agent whose stream for control is open.
    pub async fn ask(&self, request: u64, message: Asked) {
        let asks = self
            .asks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let message = ControlRequest {
            request,
            message: Some(message),
        };
        let sent = asks.expect("an agent said hello").send(Ok(message)).await;
        sent.expect("the stream is there");
    }

    /// Looks at what was heard.
    pub fn look<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `look` finds what it looks for.
    pub async fn wait<T>(&self, what: &str, look: impl Fn(&Heard) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = self.look(&look) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "the agent did not tell of {what}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn hear(&self, message: AgentMessage, expected: &mut u64) -> Option<Answer> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match message.message? {
            agent_message::Message::Hello(hello) => {
                heard.hellos.push(hello);
                Some(Answer::Welcome(Welcome::default()))
            }
            agent_message::Message::Batch(batch) => {
                let part = batch.snapshot();
                if *expected != 0 && batch.sequence != *expected {
                    heard.sequence_errors += 1;
                }
                *expected = batch.sequence + 1;
                heard.snapshots +=
                    usize::from(matches!(part, SnapshotPart::Last | SnapshotPart::Whole));
                let of_snapshot = part != SnapshotPart::None;
                let changes = batch.changes.into_iter().filter_map(|change| change.change);
                heard
                    .changes
                    .extend(changes.map(|change| (batch.generation, of_snapshot, change)));
                Some(Answer::Ack(Ack {
                    sequence: batch.sequence,
                }))
            }
        }
    }
}

#[tonic::async_trait]
impl Uplink for Aggregator {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<AggregatorMessage, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let authorization = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .authorization = authorization;
        let mut messages = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        let this = self.clone();
        tokio::spawn(async move {
            let mut expected = 0;
            while let Some(Ok(message)) = messages.next().await {
                let answer = this.hear(message, &mut expected);
                let welcome = matches!(answer, Some(Answer::Welcome(_)));
                let configure = this
                    .configure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take_if(|_| welcome);
                for message in answer.into_iter().chain(configure.map(Answer::Configure)) {
                    let message = AggregatorMessage {
                        message: Some(message),
                    };
                    if answers.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

#[tonic::async_trait]
impl Control for Aggregator {
    type ServeStream = Pin<Box<dyn Stream<Item = Result<ControlRequest, Status>> + Send>>;

    async fn serve(
        &self,
        request: Request<Streaming<ControlAnswer>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let mut answers = request.into_inner();
        let (asks, stream) = mpsc::channel(16);
        *self.asks.lock().unwrap_or_else(PoisonError::into_inner) = Some(asks);
        let this = self.clone();
        tokio::spawn(async move {
            while let Some(Ok(answer)) = answers.next().await {
                let mut heard = this.heard.lock().unwrap_or_else(PoisonError::into_inner);
                match answer.answer {
                    Some(Said::Hello(hello)) => heard.controls.push(hello),
                    Some(said) => heard.answers.push((answer.request, said)),
                    None => {}
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// The agent's binary, killed when dropped.
pub struct Agent {
    child: Child,
}

impl Agent {
    /// Starts it against an aggregator at `url`, without a container runtime unless `extra` names one.
    pub fn start(url: &str, extra: &[&str]) -> Self {
        let runtime: &[&str] = if extra.contains(&"--docker-socket") {
            &[]
        } else {
            &["--docker-socket", "/nonexistent/docker.sock"]
        };
        let child = Command::new(binary())
            .args([
                "--aggregator",
                url,
                "--listen",
                "127.0.0.1:0",
                "--agent-id",
                "test-agent",
            ])
            .args(["--reverse-lookups", "false", "--log", "warn"])
            .args(runtime)
            .args(extra)
            .stdin(Stdio::null())
            .spawn()
            .expect("the agent's binary");
        Self { child }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill(1)");
        assert!(killed.success());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the agent does not end on SIGTERM"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The agent's binary of this build.
pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_mesoscope-agent").into()
}
