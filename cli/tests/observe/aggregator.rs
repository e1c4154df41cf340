//! The commands against the real aggregator, with an agent that reports what the test makes up.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::program::{self, run, text};
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{
    AgentMessage, AgentStatus, Batch, Change, Hello, Host, Process, ProcessCause, ProcessKey,
    SnapshotPart, agent_message, change,
};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The aggregator's binary lies beside ours; `cargo test -p mesoscope` alone does not build it.
fn binary() -> PathBuf {
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_mesoscope"));
    let path = ours.with_file_name("mesoscope-aggregator");
    if !path.is_file() {
        let status = std::process::Command::new(env!("CARGO"))
            .args(["build", "--locked", "-p", "mesoscope-aggregator"])
            .status()
            .expect("cargo runs");
        assert!(status.success() && path.is_file(), "no {}", path.display());
    }
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback")
        .port()
}

async fn aggregator() -> (Child, SocketAddr) {
    let grpc = free_port();
    let child = Command::new(binary())
        .args([
            "--port",
            &free_port().to_string(),
            "--grpc-port",
            &grpc.to_string(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the aggregator starts");
    let address = SocketAddr::from(([127, 0, 0, 1], grpc));
    let connected = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected)
        .await
        .expect("the aggregator listens");
    (child, address)
}

fn now_ns() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(now.as_nanos()).expect("before 2554")
}

fn process(pid: u32, argv: &[&str], cause: ProcessCause) -> Change {
    Change {
        change: Some(change::Change::Process(Process {
            key: Some(ProcessKey {
                pid,
                start_boottime_ns: 10_000_000,
            }),
            cause: cause.into(),
            time_unix_ns: now_ns(),
            name: argv[0].into(),
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            started_unix_ns: now_ns(),
            ..Process::default()
        })),
    }
}

fn batch(sequence: u64, snapshot: SnapshotPart, changes: Vec<Change>) -> AgentMessage {
    AgentMessage {
        message: Some(agent_message::Message::Batch(Batch {
            generation: 1,
            sequence,
            snapshot: snapshot.into(),
            time_unix_ns: now_ns(),
            changes,
        })),
    }
}

/// Repeats a command until its output holds `part`: what an agent sent takes a moment.
async fn until(address: SocketAddr, arguments: &[&str], part: &str) -> String {
    let asked = tokio::time::Instant::now();
    loop {
        let output = run(address, arguments).await;
        let shown = text(&output);
        if output.status.success() && shown.contains(part) {
            return shown;
        }
        assert!(asked.elapsed() < PATIENCE, "no {part:?} in {output:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_an_agent_reports_is_shown_by_every_command() {
    let (_aggregator, address) = aggregator().await;
    let (to_aggregator, messages) = mpsc::channel(8);
    let hello = Hello {
        agent_id: "agent-1".into(),
        hostname: "node-1".into(),
        version: "0.0.1".into(),
        generation: 1,
        sequence_first: 1,
        sequence_next: 1,
        ..Hello::default()
    };
    to_aggregator
        .send(AgentMessage {
            message: Some(agent_message::Message::Hello(hello)),
        })
        .await
        .expect("open");
    let host = Change {
        change: Some(change::Change::Host(Host {
            hostname: "node-1".into(),
            kernel: "6.1.0".into(),
            ..Host::default()
        })),
    };
    let status = Change {
        change: Some(change::Change::AgentStatus(AgentStatus {
            time_unix_ns: now_ns(),
            cpu_percent: 1.5,
            rss_bytes: 30_000_000,
            governor: "normal".into(),
            ..AgentStatus::default()
        })),
    };
    let server = process(42, &["postgres", "-D", "/data"], ProcessCause::Snapshot);
    to_aggregator
        .send(batch(1, SnapshotPart::Whole, vec![host, status, server]))
        .await
        .expect("open");
    let mut uplink = UplinkClient::connect(format!("http://{address}"))
        .await
        .expect("the aggregator answers");
    let mut answers = uplink
        .report(ReceiverStream::new(messages))
        .await
        .expect("the aggregator takes reports")
        .into_inner();
    answers.message().await.expect("open").expect("a welcome");

    let agents = until(address, &["agents"], "normal").await;
    assert!(
        agents.contains("node-1") && agents.contains("1.5 %"),
        "{agents}"
    );
    let top = until(address, &["top", "--once"], "postgres").await;
    assert!(top.contains("CPU %"), "{top}");
    until(
        address,
        &["topology", "--view", "hosts", "--unconnected"],
        "node-1",
    )
    .await;
    until(address, &["node", "processes", "42"], "postgres").await;

    let mut events = program::mesoscope(
        &format!("http://{address}"),
        &[
            "events",
            "--json",
            "-n",
            "1",
            "--kind",
            "exec",
            "--process",
            "needle",
        ],
    );
    let events = events.stdout(Stdio::piped()).spawn().expect("runs");
    let mut sequence = 2;
    let waiting = tokio::spawn(events.wait_with_output());
    let asked = tokio::time::Instant::now();
    // The stream begins now: when exactly, only its first event tells.
    while !waiting.is_finished() && asked.elapsed() < PATIENCE {
        let changes = vec![
            process(sequence_pid(sequence), &["hay"], ProcessCause::Exec),
            process(
                sequence_pid(sequence) + 1,
                &["sewing", "--needle"],
                ProcessCause::Exec,
            ),
        ];
        to_aggregator
            .send(batch(sequence, SnapshotPart::None, changes))
            .await
            .expect("open");
        sequence += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let output = waiting.await.expect("not cancelled").expect("runs");
    let event: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(event["kind"], "process_exec");
    assert_eq!(event["host"], "node-1");
    assert_eq!(event["argv"][1], "--needle");
}

fn sequence_pid(sequence: u64) -> u32 {
    1000 + 2 * u32::try_from(sequence).expect("few")
}
