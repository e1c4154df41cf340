//! Values written for a longer history: to a real Prometheus, and to a server that takes them badly.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{
    Change, Container, ContainerMetrics, ContainerState, HostMetrics, SnapshotPart,
};
use tokio::net::TcpStream;

use super::agent::{self, Agent};
use super::binary::{self, Aggregator, eventually, exchange};

/// The one that `cargo xtask` fetched, else the system's.
fn program() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/prometheus");
    if fetched.is_file() {
        fetched
    } else {
        PathBuf::from("prometheus")
    }
}

/// Killed when dropped.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("scratch folder");
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").expect("write");
        let port = {
            // Given up again before Prometheus takes it.
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("bound").port()
        };
        let child = Command::new(program())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("run `cargo xtask setup test` first: it installs Prometheus");
        let prometheus = Self {
            child,
            port,
            _folder: folder,
        };
        eventually("Prometheus is ready", async || {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            let answer = exchange(stream, "GET", "/-/ready", &[], "").await;
            (answer.status == 200).then_some(())
        })
        .await;
        prometheus
    }

    /// Labels and value of each series that has one now.
    async fn query(&self, query: &str) -> Vec<serde_json::Value> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        let path = format!("/api/v1/query?query={query}");
        let answer = exchange(stream.expect("it listens"), "GET", &path, &[], "").await;
        let found = answer.json()["data"]["result"].take();
        found.as_array().expect("a vector").clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn changed(change: Kind) -> Change {
    Change {
        change: Some(change),
    }
}

fn measured() -> Vec<Change> {
    vec![
        agent::host("a.example", "10.0.0.1"),
        changed(Kind::HostMetrics(HostMetrics {
            cpu_cores_used: 1.5,
            memory_used_bytes: 4_096,
            ..HostMetrics::default()
        })),
        changed(Kind::Container(Container {
            id: "1".repeat(64),
            name: "web".to_owned(),
            image: "shop/web:3".to_owned(),
            state: ContainerState::Running.into(),
            ..Container::default()
        })),
        changed(Kind::ContainerMetrics(ContainerMetrics {
            container_id: "1".repeat(64),
            cpu_cores_used: 0.25,
            ..ContainerMetrics::default()
        })),
    ]
}

fn start(url: &str) -> Aggregator {
    Aggregator::start(&["--remote-write-url", url, "--remote-write-interval", "1s"])
}

#[tokio::test]
async fn a_real_prometheus_has_the_values_until_their_agent_goes_away() {
    let prometheus = Prometheus::start().await;
    let aggregator = start(&format!(
        "http://127.0.0.1:{}/api/v1/write",
        prometheus.port
    ));
    let mut agent = Agent::with_snapshot(&aggregator, "a", measured()).await;
    agent.acknowledged().await;
    let container = eventually("the container's value is there", async || {
        let found = prometheus.query("mesoscope_container_cpu_cores").await;
        found.into_iter().next()
    })
    .await;
    assert_eq!(container["value"][1], "0.25", "{container:#}");
    let labels = &container["metric"];
    assert_eq!(
        (&labels["container"], &labels["host"]),
        (&"web".into(), &"a.example".into())
    );
    assert_eq!(labels["container_id"], "1".repeat(64));
    let host = prometheus.query("mesoscope_host_memory_bytes").await;
    assert_eq!(host[0]["value"][1], "4096", "{host:#?}");
    agent.send(SnapshotPart::None, Vec::new()).await;
    drop(agent);
    // Not five minutes later: the end of a series is written.
    eventually("the series end", async || {
        let found = prometheus.query("mesoscope_host_cpu_cores").await;
        found.is_empty().then_some(())
    })
    .await;
    let sent = "mesoscope_remote_write_samples_total{outcome=\"sent\"}";
    assert!(aggregator.metric(sent).await > 5.0);
    assert!(
        aggregator
            .metric("mesoscope_remote_write_failures_total")
            .await
            < 0.5
    );
}

async fn take(State(requests): State<Arc<AtomicUsize>>, headers: HeaderMap) -> StatusCode {
    assert_eq!(headers[header::CONTENT_ENCODING], "snappy");
    match requests.fetch_add(1, Ordering::SeqCst) {
        0 => StatusCode::SERVICE_UNAVAILABLE,
        1 => StatusCode::BAD_REQUEST,
        _ => StatusCode::NO_CONTENT,
    }
}

#[tokio::test]
async fn what_fails_is_sent_again_and_what_is_refused_is_dropped() {
    let requests = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().fallback(take).with_state(requests.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let aggregator = start(&format!("http://{address}/write"));
    let mut agent = Agent::with_snapshot(&aggregator, "a", measured()).await;
    agent.acknowledged().await;
    let samples =
        |outcome| format!("mesoscope_remote_write_samples_total{{outcome=\"{outcome}\"}}");
    eventually("some were refused and then sent", async || {
        let refused = aggregator.metric(&samples("refused")).await;
        let sent = aggregator.metric(&samples("sent")).await;
        (refused > 0.5 && sent > 0.5).then_some(())
    })
    .await;
    let failed = aggregator
        .metric("mesoscope_remote_write_failures_total")
        .await;
    assert!((failed - 2.0).abs() < 0.1, "{failed}");
    let limit = "mesoscope_remote_write_queue_limit_bytes";
    assert!(aggregator.metric(limit).await > 1e6);
}

#[test]
fn a_receiver_that_others_could_listen_to_is_refused_at_the_start() {
    let url = "http://metrics.example/api/v1/write";
    let output = binary::run(&["--remote-write-url", url], &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        text.contains("--remote-write-url") && text.contains("https"),
        "{text}"
    );
    let missing = [
        "--remote-write-url",
        "https://a.example/",
        "--remote-write-token-file",
        "/no.token",
    ];
    let output = binary::run(&missing, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no.token"));
}
