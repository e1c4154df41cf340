//! What people do to containers: asked over REST, carried out by an agent's own stream.

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_client::ControlClient;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    Change, Container, ContainerState, ContainerVerb, ControlAnswer, ControlHello, ControlOutcome,
    ControlRequest, ControlResult, LogChunk,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::agent::{Agent, channel, hello, host};
use super::binary::{Aggregator, Answer, PATIENCE, eventually};

pub fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

pub fn container(digit: char) -> Change {
    Change {
        change: Some(Kind::Container(Container {
            id: id(digit),
            name: format!("web-{digit}"),
            state: ContainerState::Running.into(),
            ..Container::default()
        })),
    }
}

/// An agent's stream for control.
pub struct Control {
    answers: mpsc::Sender<ControlAnswer>,
    pub requests: Streaming<ControlRequest>,
}

impl Control {
    pub async fn open(aggregator: &Aggregator, agent_id: &str, generation: u64) -> Self {
        let (answers, answered) = mpsc::channel(1_024);
        let control = ControlHello {
            agent_id: agent_id.to_owned(),
            generation,
        };
        let first = ControlAnswer {
            request: 0,
            answer: Some(Said::Hello(control)),
        };
        answers.send(first).await.expect("room");
        let mut client = ControlClient::new(channel(aggregator).await);
        let opened = client.serve(ReceiverStream::new(answered)).await;
        let requests = opened.expect("opened").into_inner();
        Self { answers, requests }
    }

    pub async fn asked(&mut self) -> Result<(u64, Message), Status> {
        let request = tokio::time::timeout(PATIENCE, self.requests.message()).await;
        let request = request.expect("asked in time")?;
        let request = request.ok_or_else(|| Status::cancelled("the stream ended"))?;
        Ok((request.request, request.message.expect("not empty")))
    }

    pub async fn say(&self, request: u64, said: Said) {
        let answer = ControlAnswer {
            request,
            answer: Some(said),
        };
        self.answers
            .send(answer)
            .await
            .expect("the stream is there");
    }

    pub async fn end(&self, request: u64, result: ControlResult, message: &str) {
        let outcome = ControlOutcome {
            result: result.into(),
            message: message.to_owned(),
            inspection: "{\"Id\":\"x\"}".to_owned(),
            ..ControlOutcome::default()
        };
        self.say(request, Said::Outcome(outcome)).await;
    }

    pub async fn chunk(&self, request: u64, data: &[u8], bytes_left_out: u64) {
        let data = data.to_vec();
        let chunk = LogChunk {
            data,
            bytes_left_out,
        };
        self.say(request, Said::Log(chunk)).await;
    }
}

/// An agent that reports a container and can be asked.
pub async fn connected(aggregator: &Aggregator) -> (Agent, Control) {
    let reported = vec![host("a.example", "10.0.0.1"), container('1')];
    let mut agent = Agent::with_snapshot(aggregator, "a", reported).await;
    agent.acknowledged().await;
    let control = Control::open(aggregator, "a", 1).await;
    let path = format!("/api/topology/containers/container%3B{}", id('1'));
    eventually("the container can be controlled", async || {
        let details = aggregator.json(&path).await;
        (details["control"]["available"] == true).then_some(())
    })
    .await;
    (agent, control)
}

async fn post(aggregator: &Aggregator, id: &str, verb: &str) -> Answer {
    let path = format!("/api/containers/{id}/{verb}");
    aggregator.post(&path, &[], "").await
}

#[tokio::test]
async fn each_action_is_carried_out_by_the_agent_and_its_outcome_told() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let node = format!("container%3B{}", id('1'));
    for (verb, expected) in [
        ("start", ContainerVerb::Start),
        ("stop", ContainerVerb::Stop),
        ("restart", ContainerVerb::Restart),
        ("pause", ContainerVerb::Pause),
        ("unpause", ContainerVerb::Unpause),
        ("kill", ContainerVerb::Kill),
    ] {
        let carried_out = async {
            let (number, message) = control.asked().await.expect("asked");
            let Message::Action(action) = message else {
                panic!("{message:?}");
            };
            assert_eq!(
                (action.container_id.as_str(), action.verb()),
                (&*id('1'), expected)
            );
            control.end(number, ControlResult::Done, "").await;
        };
        let (answer, ()) = tokio::join!(post(&aggregator, &node, verb), carried_out);
        assert_eq!(answer.status, 204, "{verb}: {answer:?}");
    }
    for (result, status) in [
        (ControlResult::NotFound, 404),
        (ControlResult::Conflict, 409),
        (ControlResult::Busy, 503),
        (ControlResult::Unavailable, 503),
        (ControlResult::Failed, 502),
    ] {
        // By the first digits of its id, too.
        let path = format!("/api/containers/{}?force=true", &id('1')[..12]);
        let removed = aggregator.request("DELETE", &path, &[], "");
        let refused = async {
            let (number, message) = control.asked().await.expect("asked");
            assert!(
                matches!(&message, Message::Action(action) if action.force && action.verb() == ContainerVerb::Remove),
                "{message:?}"
            );
            control.end(number, result, "in the engine's words").await;
        };
        let (answer, ()) = tokio::join!(removed, refused);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains("in the engine's words"), "{answer:?}");
    }
    let path = format!("/api/containers/{}/inspect", id('1'));
    let inspected = async {
        let (number, message) = control.asked().await.expect("asked");
        assert!(matches!(message, Message::Inspect(_)), "{message:?}");
        control.end(number, ControlResult::Done, "").await;
    };
    let (answer, ()) = tokio::join!(aggregator.get(&path), inspected);
    assert_eq!(answer.json()["Id"], "x");
}

#[tokio::test]
async fn what_can_not_be_asked_is_said() {
    let aggregator = Aggregator::start(&[]);
    let (agent, mut control) = connected(&aggregator).await;
    for (path, status) in [
        (format!("{}/stop", id('2')), 404),
        (format!("{}/stop", "11111"), 404),
        (format!("{}/dance", id('1')), 404),
    ] {
        let answer = aggregator
            .post(&format!("/api/containers/{path}"), &[], "")
            .await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let path = format!("/api/containers/{}/logs?tail=some", id('1'));
    assert_eq!(aggregator.get(&path).await.status, 400);
    // A page of another site can't ask in somebody's name.
    let foreign = [("origin", "http://evil.example")];
    let path = format!("/api/containers/{}/stop", id('1'));
    assert_eq!(aggregator.post(&path, &foreign, "").await.status, 403);

    // It goes away with a request in its hands.
    let id = id('1');
    let gone = async {
        control.asked().await.expect("asked");
        drop(control);
    };
    let (answer, ()) = tokio::join!(post(&aggregator, &id, "stop"), gone);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.body.contains("went away"), "{answer:?}");
    let answer = eventually("no stream is left", async || {
        let answer = post(&aggregator, &id, "stop").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(answer.body.contains("--control off"), "{answer:?}");
    drop(agent);
    let node = format!("container%3B{id}");
    eventually("nobody is there to be asked", async || {
        let answer = post(&aggregator, &node, "stop").await;
        (answer.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_takes_the_place_of_an_agent_whose_start_is_not_known() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    for (agent_id, generation) in [("a", 2), ("b", 1), ("", 0)] {
        let mut liar = Control::open(&aggregator, agent_id, generation).await;
        let refused = liar.asked().await.expect_err("refused");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    }
    // The real one is still asked.
    let id = id('1');
    let carried_out = async {
        let (number, _) = control.asked().await.expect("asked");
        control.end(number, ControlResult::Done, "").await;
    };
    let (answer, ()) = tokio::join!(post(&aggregator, &id, "start"), carried_out);
    assert_eq!(answer.status, 204, "{answer:?}");
    // Nor does one that starts anew leave requests to the one before.
    let (_again, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    let answer = eventually("the start before is not asked", async || {
        let answer = post(&aggregator, &id, "start").await;
        (answer.status != 204).then_some(answer)
    })
    .await;
    assert!([404, 503].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn a_log_comes_as_text_and_no_faster_than_it_is_read() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let path = format!(
        "/api/containers/{}/logs?tail=7&since=10m&timestamps=true",
        id('1')
    );
    let read = async {
        let (number, message) = control.asked().await.expect("asked");
        let Message::Logs(asked) = message else {
            panic!("{message:?}");
        };
        assert_eq!(
            (asked.follow, asked.tail, asked.timestamps),
            (false, Some(7), true)
        );
        assert!(asked.since_unix_s > 1_600_000_000);
        let window = usize::try_from(asked.window_bytes).expect("small");
        control.chunk(number, b"", 0).await;
        // Four windows: the agent waits for each to be taken.
        let chunk = vec![b'x'; window / 4];
        let mut credit = window;
        for _ in 0..16 {
            while credit < chunk.len() {
                match control.asked().await.expect("credit") {
                    (of, Message::Credit(more)) if of == number => {
                        credit += usize::try_from(more.bytes).expect("small");
                    }
                    other => panic!("{other:?}"),
                }
            }
            credit -= chunk.len();
            control.chunk(number, &chunk, 0).await;
        }
        // The last byte, too.
        control.asked().await.expect("credit");
        control.chunk(number, b"\n", 5).await;
        control.end(number, ControlResult::Done, "").await;
        window * 4
    };
    let (answer, bytes) = tokio::join!(aggregator.get(&path), read);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let log: usize = answer.body.matches('x').count();
    assert_eq!(log, bytes);
    let said =
        "x\n[mesoscope: 5 bytes are left out here: they came faster than they were read]\n\n";
    assert!(
        answer.body.ends_with(said),
        "{:?}",
        &answer.body[bytes - 1..]
    );

    let path = format!("/api/containers/{}/logs", id('1'));
    let missing = async {
        let (number, _) = loop {
            let asked = control.asked().await.expect("asked");
            if matches!(asked.1, Message::Logs(_)) {
                break asked;
            }
        };
        control
            .end(number, ControlResult::NotFound, "no such container")
            .await;
    };
    let (answer, ()) = tokio::join!(aggregator.get(&path), missing);
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[tokio::test]
async fn who_follows_a_log_sees_each_line_and_the_agent_hears_when_he_goes() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let mut reader = TcpStream::connect(aggregator.http)
        .await
        .expect("it listens");
    let path = format!("/api/containers/{}/logs?follow=true&tail=0", id('1'));
    // As browsers ask.
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip, br\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("taken");
    let (number, message) = control.asked().await.expect("asked");
    assert!(matches!(message, Message::Logs(asked) if asked.follow && asked.tail == Some(0)));
    control.chunk(number, b"", 0).await;
    let mut seen = String::new();
    for line in ["first line\n", "second line\n"] {
        control.chunk(number, line.as_bytes(), 0).await;
        let mut bytes = [0; 4_096];
        while !seen.contains(line) {
            let read = tokio::time::timeout(PATIENCE, reader.read(&mut bytes)).await;
            let read = read.expect("each line at once").expect("it is read");
            seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
    assert_eq!(
        aggregator
            .metric("mesoscope_bound_used{bound=\"control_logs\"}")
            .await,
        1.0
    );
    drop(reader);
    // It is noticed when something is written.
    loop {
        control.chunk(number, b"nobody reads this\n", 0).await;
        match control.asked().await.expect("asked") {
            (of, Message::Cancel(_)) if of == number => break,
            (_, Message::Credit(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    eventually("no log is under way", async || {
        let used = aggregator
            .metric("mesoscope_bound_used{bound=\"control_logs\"}")
            .await;
        (used == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_sign_in_nobody_controls_what_others_reach() {
    let aggregator = Aggregator::start(&["--host", "0.0.0.0", "--insecure-listen"]);
    let reported = vec![host("a.example", "10.0.0.1"), container('1')];
    let mut agent = Agent::with_snapshot(&aggregator, "a", reported).await;
    agent.acknowledged().await;
    let _control = Control::open(&aggregator, "a", 1).await;
    let path = |rest: &str| format!("/api/containers/{}{rest}", id('1'));
    for (method, path) in [
        ("POST", path("/stop")),
        ("DELETE", path("")),
        ("GET", path("/logs")),
        ("GET", path("/inspect")),
        ("GET", path("/exec")),
        ("GET", path("/attach")),
        ("POST", path("/exec")),
    ] {
        let answer = aggregator.request(method, &path, &[], "").await;
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_recorded_is_not_done() {
    let folder = tempfile::tempdir().expect("a folder");
    // In the place of the audit's folder.
    std::fs::write(folder.path().join("audit"), "no folder").expect("written");
    let data_dir = folder.path().to_str().expect("UTF-8");
    let aggregator = Aggregator::start(&["--data-dir", data_dir]);
    let (_agent, mut control) = connected(&aggregator).await;
    let answer = post(&aggregator, &id('1'), "kill").await;
    assert_eq!(answer.status, 507, "{answer:?}");
    let path = format!("/api/containers/{}/logs", id('1'));
    assert_eq!(aggregator.get(&path).await.status, 507);
    let asked = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        control.requests.message(),
    );
    assert!(asked.await.is_err(), "the agent was asked");
}
