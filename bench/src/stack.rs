//! The real binaries, as a user would run them, on ports and in a folder of their own.

use anyhow::{Context, Result, bail, ensure};
use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_proto::v1::{AgentInfo, ListAgentsRequest};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Channel;

/// How long the binaries may take to come up, or to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `mesoscope-aggregator`.
    pub aggregator: PathBuf,
    /// `mesoscope-agent`.
    pub agent: PathBuf,
    /// `mesoscope-bench-actor`.
    pub actor: PathBuf,
    /// Where the logs of aggregator and agent are kept; None: nowhere.
    pub logs: Option<PathBuf>,
}

impl Programs {
    /// Those of `folder`.
    pub fn in_folder(folder: &Path, logs: Option<PathBuf>) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        Ok(Self {
            aggregator: folder.join("mesoscope-aggregator"),
            agent: folder.join("mesoscope-agent"),
            actor: folder.join("mesoscope-bench-actor"),
            logs,
        })
    }

    /// Says which is missing, and how to build it.
    fn check(&self) -> Result<()> {
        for path in [&self.aggregator, &self.agent, &self.actor] {
            if !path.is_file() {
                bail!(
                    "{} is not there: `cargo build --release --workspace`, or name its folder with --bin-dir",
                    path.display()
                );
            }
        }
        Ok(())
    }
}

/// An aggregator and an agent.
pub struct Stack {
    /// Scratch folder: logs, and what the actors write.
    pub folder: TempDir,
    programs: Programs,
    agent_options: Vec<String>,
    http_port: u16,
    grpc_port: u16,
    agent_port: u16,
    aggregator: Option<Child>,
    agent: Option<Child>,
}

impl Stack {
    /// Starts both and waits until the map is complete.
    pub async fn start(programs: &Programs, agent_options: &[&str]) -> Result<Self> {
        let mut stack = Self::new(programs, agent_options)?;
        stack.start_aggregator()?;
        stack.start_agent()?;
        stack.complete_within(PATIENCE).await?;
        Ok(stack)
    }

    /// Starts an aggregator without an agent and waits until it answers.
    pub async fn aggregator_only(programs: &Programs) -> Result<Self> {
        let mut stack = Self::new(programs, &[])?;
        stack.start_aggregator()?;
        let started = Instant::now();
        while stack.agent_info().await.is_err() {
            stack.aggregator_pid()?;
            ensure!(
                started.elapsed() < PATIENCE,
                "the aggregator does not answer after {PATIENCE:?}; {}",
                stack.log_tails()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(stack)
    }

    fn new(programs: &Programs, agent_options: &[&str]) -> Result<Self> {
        programs.check()?;
        Ok(Self {
            folder: tempfile::Builder::new().prefix("mb").tempdir()?,
            programs: programs.clone(),
            agent_options: agent_options
                .iter()
                .map(|&option| option.to_owned())
                .collect(),
            http_port: free_port()?,
            grpc_port: free_port()?,
            agent_port: free_port()?,
            aggregator: None,
            agent: None,
        })
    }

    /// Starts the aggregator.
    pub fn start_aggregator(&mut self) -> Result<()> {
        let mut command = Command::new(&self.programs.aggregator);
        command.args(["--host", "127.0.0.1"]);
        command.args([
            "--port",
            &self.http_port.to_string(),
            "--grpc-port",
            &self.grpc_port.to_string(),
        ]);
        self.aggregator = Some(self.spawn(command, "aggregator.log")?);
        Ok(())
    }

    /// Starts the agent.
    pub fn start_agent(&mut self) -> Result<()> {
        let mut command = Command::new(&self.programs.agent);
        command.args(["--aggregator", &self.grpc_url(), "--agent-id", "bench"]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.agent_port)]);
        command.args(&self.agent_options);
        self.agent = Some(self.spawn(command, "agent.log")?);
        Ok(())
    }

    fn spawn(&self, mut command: Command, log: &str) -> Result<Child> {
        let path = self.folder.path().join(log);
        let log = File::options().create(true).append(true).open(&path)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))
    }

    /// Ends the aggregator with SIGKILL.
    pub fn kill_aggregator(&mut self) -> Result<()> {
        end(&mut self.aggregator, Signal::KILL)
    }

    /// Ends the agent with SIGKILL.
    pub fn kill_agent(&mut self) -> Result<()> {
        end(&mut self.agent, Signal::KILL)
    }

    /// Pid of the agent; an error when it is not running.
    pub fn agent_pid(&mut self) -> Result<u32> {
        alive(&mut self.agent, "agent", self.folder.path())
    }

    /// Pid of the aggregator; an error when it is not running.
    pub fn aggregator_pid(&mut self) -> Result<u32> {
        alive(&mut self.aggregator, "aggregator", self.folder.path())
    }

    /// `http://ADDRESS` of gRPC.
    pub fn grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// `http://ADDRESS` of the page.
    pub fn page_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// WebSocket of a view that leaves nothing out.
    pub fn websocket_url(&self, view: &str) -> String {
        format!(
            "ws://127.0.0.1:{}/api/v1/ws?view={view}&unconnected=true&ended=true",
            self.http_port
        )
    }

    /// A client of Observe.
    pub async fn observe(&self) -> Result<ObserveClient<Channel>> {
        Ok(ObserveClient::connect(self.grpc_url())
            .await?
            .max_decoding_message_size(64 << 20))
    }

    /// The agent's `/metrics`.
    pub async fn agent_metrics(&self) -> Result<String> {
        metrics(self.agent_port).await
    }

    /// The aggregator's `/metrics`.
    pub async fn aggregator_metrics(&self) -> Result<String> {
        metrics(self.http_port).await
    }

    /// What the aggregator knows of our agent; None while it knows none.
    pub async fn agent_info(&self) -> Result<Option<AgentInfo>> {
        let answer = self
            .observe()
            .await?
            .list_agents(ListAgentsRequest {})
            .await?;
        Ok(answer
            .into_inner()
            .agents
            .into_iter()
            .find(|agent| agent.agent_id == "bench"))
    }

    /// The agent is connected and its map is complete.
    pub async fn is_complete(&self) -> bool {
        let asked = tokio::time::timeout(Duration::from_secs(1), self.agent_info()).await;
        matches!(asked, Ok(Ok(Some(agent))) if agent.connected && agent.complete)
    }

    /// Waits for that, and says how long it took.
    pub async fn complete_within(&mut self, limit: Duration) -> Result<Duration> {
        let started = Instant::now();
        while !self.is_complete().await {
            self.aggregator_pid()?;
            self.agent_pid()?;
            if started.elapsed() > limit {
                bail!(
                    "the map is not complete after {limit:?}; {}",
                    self.log_tails()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(started.elapsed())
    }

    /// Copies the logs to where they are wanted, and says aloud when a service has panicked.
    fn keep_logs(&self) -> Result<()> {
        for log in ["aggregator.log", "agent.log"] {
            let path = self.folder.path().join(log);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines().filter(|line| line.contains("panicked at")) {
                eprintln!("{log}: {line}");
            }
            if let Some(folder) = &self.programs.logs {
                std::fs::create_dir_all(folder)?;
                std::fs::write(folder.join(log), &text)
                    .with_context(|| format!("keeping {log} in {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// The last lines of both logs.
    pub fn log_tails(&self) -> String {
        ["aggregator.log", "agent.log"]
            .map(|log| tail(self.folder.path(), log))
            .join("\n")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for child in [&mut self.agent, &mut self.aggregator] {
            if let Err(error) = end(child, Signal::TERM) {
                eprintln!("{error:#}");
            }
        }
        if let Err(error) = self.keep_logs() {
            eprintln!("{error:#}");
        }
    }
}

fn end(slot: &mut Option<Child>, signal: Signal) -> Result<()> {
    let Some(mut child) = slot.take() else {
        return Ok(());
    };
    // An error means that it ended before: wait() tells.
    let _ = kill_process(pid_of(&child)?, signal);
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > PATIENCE {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn pid_of(child: &Child) -> Result<Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("a child has a pid")
}

fn alive(slot: &mut Option<Child>, name: &str, folder: &Path) -> Result<u32> {
    let child = slot
        .as_mut()
        .with_context(|| format!("the {name} is not running"))?;
    match child.try_wait()? {
        None => Ok(child.id()),
        Some(status) => bail!(
            "the {name} ended with {status}; {}",
            tail(folder, &format!("{name}.log"))
        ),
    }
}

fn tail(folder: &Path, log: &str) -> String {
    let text = std::fs::read_to_string(folder.join(log)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("{log}:\n{}", lines.join("\n"))
}

async fn metrics(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, page) = answer
        .split_once("\r\n\r\n")
        .context("the answer to GET /metrics has no end of its head")?;
    ensure!(head.contains(" 200 "), "GET /metrics: {head}");
    Ok(page.to_owned())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
