//! Agents that lie, and disks that are full. What is only malformed is in `garbage.rs` and
//! `schema.rs`.

use std::time::Duration;

use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_client::ControlClient;
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{ControlAnswer, ControlHello, ControlResult, SnapshotPart};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Status};

use super::agent::{Agent, channel, hello, host, process};
use super::binary::{Aggregator, eventually};
use super::control::{self, Control, container, id};
use super::settings::Disk;

const TOKENS: [&str; 2] = ["the-token-of-the-first-agent", "the-token-of-the-other-one"];

fn bearer(token: &str) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    let value: MetadataValue<Ascii> = format!("Bearer {token}").parse().expect("a token");
    move |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("authorization", value.clone());
        Ok(request)
    }
}

async fn agent(
    aggregator: &Aggregator,
    token: &str,
    id: &str,
    generation: u64,
) -> Result<Agent, Status> {
    let client = UplinkClient::with_interceptor(channel(aggregator).await, bearer(token));
    let opened = Agent::open(client, hello(id, generation, 0)).await;
    opened.map(|(agent, _)| agent)
}

/// Why a stream for control ended, which begins with this.
async fn control_refused(aggregator: &Aggregator, token: &str, agent_id: &str) -> Status {
    let (answers, answered) = mpsc::channel(4);
    let hello = ControlHello {
        agent_id: agent_id.to_owned(),
        generation: 1,
    };
    let first = ControlAnswer {
        request: 0,
        answer: Some(Said::Hello(hello)),
    };
    answers.send(first).await.expect("room");
    let mut client = ControlClient::with_interceptor(channel(aggregator).await, bearer(token));
    let opened = client.serve(ReceiverStream::new(answered)).await;
    let mut requests = opened.expect("let in").into_inner();
    requests.message().await.expect_err("refused")
}

#[tokio::test]
async fn an_agent_that_claims_to_be_another_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("scratch folder");
    let tokens = folder.path().join("agents.tokens");
    std::fs::write(&tokens, TOKENS.join("\n")).expect("write");
    let users = folder.path().join("users.tokens");
    std::fs::write(&users, "the-token-of-somebody").expect("write");
    let text = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let (tokens, users) = (text(&tokens), text(&users));
    let args = ["--agent-token-file", &tokens, "--user-token-file", &users];
    let aggregator = Aggregator::start(&args);
    let mut first = agent(&aggregator, TOKENS[0], "a", 1).await.expect("let in");
    let snapshot = vec![host("a.example", "10.0.0.1"), process(100, "nginx")];
    first.send(SnapshotPart::Whole, snapshot).await;
    first.acknowledged().await;
    let view = async || {
        let headers = [("authorization", "Bearer the-token-of-somebody")];
        let path = "/api/topology?view=processes&unconnected=true";
        let mut view = aggregator.request("GET", path, &headers, "").await.json();
        let nodes = view["nodes"].take();
        let labels = nodes
            .as_array()
            .expect("nodes")
            .iter()
            .map(|node| node["label"].clone());
        labels.collect::<Vec<_>>()
    };
    assert_eq!(view().await, ["nginx"]);
    let refused = agent(&aggregator, TOKENS[1], "a", 2)
        .await
        .err()
        .expect("another's id");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("--agent-id"), "{refused}");
    let control = control_refused(&aggregator, TOKENS[1], "a").await;
    assert_eq!(control.code(), Code::FailedPrecondition, "{control}");
    let bearer = format!("Bearer {}", TOKENS[1]);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let report = json!({"agent_id": "a", "hostname": "evil", "generation": 9}).to_string();
    let reported = aggregator.post("/api/v1/reports", &headers, &report).await;
    assert_eq!(reported.status, 409, "{reported:?}");
    // The first one's stream has gone on, and may begin anew.
    first
        .send(SnapshotPart::None, vec![process(101, "redis")])
        .await;
    first.acknowledged().await;
    assert_eq!(view().await.len(), 2);
    drop(first);
    let refused = agent(&aggregator, TOKENS[1], "a", 3)
        .await
        .err()
        .expect("still another's");
    assert_eq!(refused.code(), Code::PermissionDenied);
    agent(&aggregator, TOKENS[0], "a", 4)
        .await
        .expect("its own");
    agent(&aggregator, TOKENS[1], "b", 1)
        .await
        .expect("one of its own");
}

#[tokio::test]
async fn a_container_that_another_agent_claims_too_is_asked_of_who_reported_it_first() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut honest) = control::connected(&aggregator).await;
    let mut liars = Vec::new();
    for name in ["0", "z"] {
        let snapshot = vec![host(&format!("{name}.example"), "10.0.0.9"), container('1')];
        let mut liar = Agent::with_snapshot(&aggregator, name, snapshot).await;
        liar.acknowledged().await;
        liars.push((liar, Control::open(&aggregator, name, 1).await));
    }
    eventually("all three take requests", async || {
        let agents = aggregator.json("/api/v1/agents/list").await;
        (agents["agents"].as_array()?.len() == 3).then_some(())
    })
    .await;
    for typed in [
        id('1'),
        id('1')[..12].to_owned(),
        format!("container%3B{}", id('1')),
    ] {
        let path = format!("/api/containers/{typed}/stop");
        let (answer, ()) = tokio::join!(aggregator.post(&path, &[], ""), async {
            let (request, _) = honest.asked().await.expect("it is asked");
            honest.end(request, ControlResult::Done, "").await;
        });
        assert_eq!(answer.status, 204, "{typed}: {answer:?}");
    }
}

#[tokio::test]
async fn on_a_full_disk_an_action_is_refused_and_its_agent_is_not_even_asked() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let Some(disk) = Disk::mount(scratch.path()) else {
        eprintln!("no file system can be mounted here: a full disk is not tested");
        return;
    };
    let data = format!("--data-dir={}", scratch.path().display());
    let aggregator = Aggregator::start(&[&data]);
    let (_agent, mut control) = control::connected(&aggregator).await;
    disk.fill();
    let stop = format!("/api/containers/{}/stop", id('1'));
    // The last page of the audit's file may have room for a few more lines.
    let refused = eventually("there is no room", async || {
        let (answer, asked) = tokio::join!(aggregator.post(&stop, &[], ""), async {
            let asked = tokio::time::timeout(Duration::from_millis(500), control.asked()).await;
            if let Ok(Ok((request, _))) = &asked {
                control.end(*request, ControlResult::Done, "").await;
            }
            asked.is_ok()
        });
        assert_eq!(answer.status == 507, !asked, "{answer:?}");
        (!asked).then_some(answer)
    })
    .await;
    assert!(
        refused.body.contains("audit can't be written"),
        "{refused:?}"
    );
    assert!(refused.body.contains("No space left"), "{refused:?}");
    assert!(aggregator.metric("mesoscope_audit_errors_total").await > 0.5);
    disk.make_room();
    let (answer, ()) = tokio::join!(aggregator.post(&stop, &[], ""), async {
        let (request, _) = control.asked().await.expect("it is asked again");
        control.end(request, ControlResult::Done, "").await;
    });
    assert_eq!(answer.status, 204, "{answer:?}");
    let audit = aggregator.json("/api/v1/audit").await;
    assert_eq!(audit["entries"][0]["outcome"], "done", "{audit:#}");
}
