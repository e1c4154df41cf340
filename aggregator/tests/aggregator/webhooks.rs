//! Webhooks: what happens is told to a real HTTP server, signed and again until it is taken.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{Change, Container, ContainerState, SnapshotPart};
use mesoscope_service::listen::Listener;
use mesoscope_service::tls::{Server, ServerFiles};
use ring::hmac;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::agent::{self, Agent, hello};
use super::binary::{self, Aggregator, PATIENCE, eventually};

const SECRET: &str = "a secret that only the two know";

/// A server that takes what webhooks send.
struct Receiver {
    url: String,
    requests: mpsc::UnboundedReceiver<Request>,
    _stop: tokio_util::sync::DropGuard,
}

#[derive(Debug)]
struct Request {
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Clone)]
struct Desk {
    requests: mpsc::UnboundedSender<Request>,
    /// The first answers; all later ones are 204.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let _ = desk.requests.send(Request { headers, body });
    let answer = desk.answers.lock().expect("no panic").pop_front();
    let (status, location) = answer.unwrap_or((204, String::new()));
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::LOCATION, location)]).into_response()
}

impl Receiver {
    async fn start(answers: &[(u16, &str)], files: Option<ServerFiles>) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let answers = answers
            .iter()
            .map(|(status, to)| (*status, (*to).to_owned()));
        let desk = Desk {
            requests: sender,
            answers: Arc::new(Mutex::new(answers.collect())),
        };
        let scheme = if files.is_some() { "https" } else { "http" };
        let tls = files.map(|files| Server::load(files, &["http/1.1"]).expect("TLS"));
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(address, tls, 16).await.expect("a port");
        let url = format!("{scheme}://localhost:{}/hook", listener.address().port());
        let stop = CancellationToken::new();
        let router = Router::new().fallback(take).with_state(desk);
        tokio::spawn(mesoscope_service::http::serve(
            listener,
            router,
            stop.clone(),
        ));
        Self {
            url,
            requests,
            _stop: stop.drop_guard(),
        }
    }

    /// The next request, once its signature is found to be right.
    async fn next(&mut self) -> Told {
        let request = tokio::time::timeout(PATIENCE, self.requests.recv()).await;
        let request = request.expect("told in time").expect("it runs");
        let text = |name: &str| request.headers[name].to_str().expect("text").to_owned();
        let timestamp = text("mesoscope-timestamp");
        let signed = [timestamp.as_bytes(), b".", &request.body].concat();
        let signature = text("mesoscope-signature");
        let digits = signature.strip_prefix("v1=").expect("version 1");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
            .collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, &signed, &bytes).expect("it is signed with the secret");
        let json: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(json["id"], text("mesoscope-id"));
        assert_eq!(json["kind"], text("mesoscope-kind"));
        Told {
            attempt: text("mesoscope-attempt").parse().expect("a number"),
            json,
        }
    }

    fn is_quiet(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

struct Told {
    attempt: u32,
    json: Value,
}

/// A file with these webhooks: name, URL, and further lines.
fn file(hooks: &[(&str, &str, &str)]) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("scratch folder");
    let hooks = hooks.iter().map(|(name, url, more)| {
        format!("[[webhook]]\nname = {name:?}\nurl = {url:?}\nsecret = {SECRET:?}\n{more}\n")
    });
    let path = folder.path().join("webhooks.toml");
    std::fs::write(&path, hooks.collect::<String>()).expect("write");
    let path = path.to_str().expect("a path").to_owned();
    (folder, path)
}

fn start(file: &str) -> Aggregator {
    Aggregator::start(&["--webhooks-file", file, "--webhook-delay", "300ms"])
}

fn container(state: ContainerState, exit_code: i32, oom_kills: u64) -> Change {
    Change {
        change: Some(Kind::Container(Container {
            id: "1".repeat(64),
            name: "web".to_owned(),
            image: "shop/web:3".to_owned(),
            state: state.into(),
            exit_code,
            oom_kills,
            ..Container::default()
        })),
    }
}

#[tokio::test]
async fn an_agent_that_goes_away_is_told_again_until_it_is_taken_and_in_order() {
    let mut receiver = Receiver::start(&[(503, ""), (500, "")], None).await;
    let (_folder, file) = file(&[("pager", &receiver.url, "")]);
    let aggregator = start(&file);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    drop(agent);
    let first = receiver.next().await;
    assert_eq!(first.json["kind"], "agent.offline");
    assert_eq!(first.json["agent"]["id"], "a");
    assert_eq!(first.json["sequence"], 1);
    assert_eq!(first.attempt, 1);
    // While it is not taken, what follows waits behind it.
    let mut agent = Agent::with_snapshot_again(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    for attempt in 2..=3 {
        let again = receiver.next().await;
        assert_eq!((again.attempt, &again.json), (attempt, &first.json));
    }
    let second = receiver.next().await;
    assert_eq!(second.json["kind"], "agent.online");
    assert_eq!((&second.json["sequence"], second.attempt), (&2.into(), 1));
    eventually("the figures tell it", async || {
        let told = "mesoscope_webhook_notices_total{outcome=\"delivered\",webhook=\"pager\"}";
        let failed = "mesoscope_webhook_failures_total{webhook=\"pager\"}";
        let figures = (
            aggregator.metric(told).await,
            aggregator.metric(failed).await,
        );
        (figures == (2.0, 2.0)).then_some(())
    })
    .await;
    let limit = "mesoscope_webhook_queue_limit{webhook=\"pager\"}";
    assert!(aggregator.metric(limit).await > 1.0);
}

#[tokio::test]
async fn containers_that_die_are_told_to_those_who_want_it() {
    let mut all = Receiver::start(&[], None).await;
    let mut some = Receiver::start(&[], None).await;
    let (_folder, file) = file(&[
        ("all", &all.url, ""),
        ("some", &some.url, "kinds = [\"container.oom\"]"),
    ]);
    let aggregator = start(&file);
    let running = container(ContainerState::Running, 0, 0);
    let reported = vec![agent::host("a.example", "10.0.0.1"), running.clone()];
    let mut agent = Agent::with_snapshot(&aggregator, "a", reported).await;
    agent
        .send(
            SnapshotPart::None,
            vec![container(ContainerState::Running, 0, 1)],
        )
        .await;
    let oom = all.next().await.json;
    assert_eq!(oom["kind"], "container.oom");
    assert_eq!(oom["container"]["exit_code"], Value::Null, "it lives on");
    assert_eq!(some.next().await.json["id"], oom["id"]);
    agent
        .send(
            SnapshotPart::None,
            vec![container(ContainerState::Exited, 3, 1)],
        )
        .await;
    let died = all.next().await.json;
    assert_eq!(died["kind"], "container.died");
    assert_eq!(died["container"]["exit_code"], 3);
    assert_eq!(died["container"]["image"], "shop/web:3");
    assert_eq!(died["agent"]["hostname"], "a.example");
    // One that ends well, and one that ended while nobody looked, are no news and news.
    agent.send(SnapshotPart::None, vec![running.clone()]).await;
    agent
        .send(
            SnapshotPart::None,
            vec![container(ContainerState::Exited, 0, 0)],
        )
        .await;
    agent.send(SnapshotPart::None, vec![running]).await;
    let snapshot = vec![container(ContainerState::Exited, 4, 0)];
    agent.send(SnapshotPart::Whole, snapshot).await;
    let died = all.next().await.json;
    assert_eq!(died["container"]["exit_code"], 4);
    assert!(some.is_quiet());
}

#[tokio::test]
async fn incomplete_data_and_actions_are_told() {
    let mut receiver = Receiver::start(&[], None).await;
    let kinds = "kinds = [\"data.incomplete\", \"data.complete\", \"control.action\"]";
    let (_folder, file) = file(&[("chat", &receiver.url, kinds)]);
    let aggregator = start(&file);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 1, 0)).await;
    let told = receiver.next().await.json;
    assert_eq!(told["kind"], "data.incomplete");
    let why = told["incomplete"][0].as_str().expect("a reason");
    assert!(why.contains("snapshot"), "{why}");
    agent.send(SnapshotPart::Whole, agent::client_side()).await;
    assert_eq!(receiver.next().await.json["kind"], "data.complete");
    let json = [("content-type", "application/json")];
    let path = "/api/v1/agents/a/tier2";
    let answer = aggregator.post(path, &json, "{\"enabled\":true}").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let told = receiver.next().await.json;
    assert_eq!(told["kind"], "control.action");
    assert_eq!(told["control"]["action"], "agent.tier2");
    assert_eq!(told["control"]["target"], "a");
    assert_eq!(told["control"]["outcome"], "done");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = Receiver::start(&[], None).await;
    let mut receiver = Receiver::start(&[(307, &elsewhere.url)], None).await;
    let (_folder, file) = file(&[("pager", &receiver.url, "")]);
    let aggregator = start(&file);
    drop(Agent::with_snapshot(&aggregator, "a", agent::client_side()).await);
    assert_eq!(receiver.next().await.json["kind"], "agent.offline");
    let refused = "mesoscope_webhook_notices_total{outcome=\"refused\",webhook=\"pager\"}";
    eventually("it is counted", async || {
        (aggregator.metric(refused).await > 0.5).then_some(())
    })
    .await;
    assert!(elsewhere.is_quiet());
}

fn certificate(folder: &Path) -> ServerFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("hook.crt"), folder.join("hook.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("write");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("write");
    ServerFiles {
        certificate,
        key,
        client_ca: None,
        client_required: false,
    }
}

#[tokio::test]
async fn https_goes_only_to_whom_the_ca_vouches_for() {
    let certificates = tempfile::tempdir().expect("scratch folder");
    let files = certificate(certificates.path());
    let ca = format!("ca_file = {:?}", files.certificate);
    let mut receiver = Receiver::start(&[], Some(files)).await;
    let url = receiver.url.clone();
    let (_folder, file) = file(&[("known", &url, &ca), ("unknown", &url, "")]);
    let aggregator = start(&file);
    drop(Agent::with_snapshot(&aggregator, "a", agent::client_side()).await);
    assert_eq!(receiver.next().await.json["kind"], "agent.offline");
    let failed = "mesoscope_webhook_failures_total{webhook=\"unknown\"}";
    eventually("the other one fails", async || {
        (aggregator.metric(failed).await > 0.5).then_some(())
    })
    .await;
    assert!(receiver.is_quiet());
}

#[test]
fn webhooks_that_make_no_sense_are_refused_at_the_start() {
    let (_folder, file) = file(&[("pager", "http://hooks.example/x", "")]);
    let output = binary::run(&["--webhooks-file", &file], &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        text.contains("webhook \"pager\"") && text.contains("insecure = true"),
        "{text}"
    );
    assert!(!text.contains(SECRET), "{text}");
}
