//! Terminals in containers, over WebSockets, and commands that are waited for.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message as Asked;
use mesoscope_proto::v1::{
    ControlOutcome, ControlResult, TerminalCredit, TerminalOpen, TerminalOutput,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, http};

use super::agent::{Agent, host};
use super::binary::{Aggregator, Answer, PATIENCE, eventually};
use super::control::{Control, connected, container, id};

const JSON: (&str, &str) = ("content-type", "application/json");
/// What the scripted agent takes of what is typed.
const TYPING: u32 = 1_000;

/// Whoever sits before a terminal.
struct Seat(WebSocketStream<TcpStream>);

impl Seat {
    async fn take(
        aggregator: &Aggregator,
        rest: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let url = format!("ws://localhost/api/containers/{}/{rest}", id('1'));
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            let value = value.parse().expect("a value");
            request.headers_mut().insert(name, value);
        }
        let stream = TcpStream::connect(aggregator.http).await;
        let opened = tokio_tungstenite::client_async(request, stream.expect("it listens")).await;
        Ok(Self(opened?.0))
    }

    async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let next = next.expect("a message in time").expect("not closed");
            match next.expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn told(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    /// Output, until there is so much of it.
    async fn output(&mut self, bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < bytes {
            match self.next().await {
                Message::Binary(more) => all.extend_from_slice(&more),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    async fn say(&mut self, message: Message) {
        self.0.send(message).await.expect("it listens");
    }
}

async fn opened(control: &mut Control) -> (u64, TerminalOpen) {
    let (number, message) = asked(control).await;
    let Asked::Terminal(open) = message else {
        panic!("{message:?}");
    };
    let there = TerminalCredit { bytes: TYPING };
    control.say(number, Said::Typing(there)).await;
    (number, open)
}

async fn writes(control: &Control, number: u64, data: &[u8]) {
    let data = data.to_vec();
    control
        .say(number, Said::Terminal(TerminalOutput { data }))
        .await;
}

async fn exits(control: &Control, number: u64, code: i32) {
    let outcome = ControlOutcome {
        result: ControlResult::Done.into(),
        exit_code: Some(code),
        ..ControlOutcome::default()
    };
    control.say(number, Said::Outcome(outcome)).await;
}

/// The next request that is no credit.
async fn asked(control: &mut Control) -> (u64, Asked) {
    loop {
        let asked = control.asked().await.expect("asked");
        if !matches!(asked.1, Asked::Credit(_)) {
            return asked;
        }
    }
}

/// Entries about containers, oldest first.
async fn audit(aggregator: &Aggregator) -> Vec<Value> {
    let answer = aggregator.json("/api/v1/audit").await;
    let entries = answer["entries"].as_array().expect("a list").iter().rev();
    let of_containers = |entry: &&Value| {
        let action = entry["action"].as_str().expect("an action");
        action.starts_with("container.")
    };
    entries.filter(of_containers).cloned().collect()
}

async fn run(aggregator: &Aggregator, body: Value) -> Answer {
    let path = format!("/api/containers/{}/exec", id('1'));
    aggregator.post(&path, &[JSON], &body.to_string()).await
}

#[tokio::test]
async fn a_shell_is_sat_before_and_both_its_ends_are_recorded() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let seat = Seat::take(&aggregator, "exec?columns=100&rows=40", &[]).await;
    let mut seat = seat.expect("open");
    let (number, open) = opened(&mut control).await;
    assert_eq!(open.container_id, id('1'));
    assert_eq!(open.command[..2], ["sh", "-c"]);
    assert!(open.command[2].contains("exec bash || exec sh"));
    assert!(open.tty && open.interactive);
    let size = open.size.expect("a size");
    assert_eq!((size.columns, size.rows), (100, 40));
    assert_eq!(seat.told().await, json!({ "opened": true }));
    assert_eq!(audit(&aggregator).await.len(), 1, "recorded before");
    let fill = "mesoscope_bound_used{bound=\"control_terminals\"}";
    assert_eq!(aggregator.metric(fill).await, 1.0);

    writes(&control, number, b"\x1b[1m# \xff").await;
    assert_eq!(seat.output(7).await, b"\x1b[1m# \xff");
    seat.say(Message::binary(&b"ls\r"[..])).await;
    let (of, typed) = asked(&mut control).await;
    assert!(matches!(typed, Asked::Input(input) if of == number && input.data == b"ls\r"));
    let resize = json!({ "resize": { "columns": 120, "rows": 50 } });
    seat.say(Message::text(resize.to_string())).await;
    let (_, resized) = asked(&mut control).await;
    assert!(
        matches!(resized, Asked::Resize(size) if (size.columns, size.rows) == (120, 50)),
        "{resized:?}"
    );
    seat.say(Message::text("{\"columns\": 1}")).await;
    assert!(seat.told().await["hint"].is_string());

    writes(&control, number, b"bye").await;
    exits(&control, number, 130).await;
    assert_eq!(seat.output(3).await, b"bye");
    let ended = json!({ "ended": { "exit_code": 130, "reason": "" } });
    assert_eq!(seat.told().await, ended);
    assert!(matches!(seat.next().await, Message::Close(_)));
    let entries = audit(&aggregator).await;
    let [before, after] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!(
        (&before["action"], &before["outcome"]),
        (&json!("container.exec"), &json!("started"))
    );
    assert_eq!(before["parameters"]["command"][0], "sh");
    assert_eq!(after["outcome"], "done");
    assert_eq!(after["parameters"]["exit_code"], 130);
    assert!(after["parameters"]["duration_ms"].is_u64());
    assert_eq!(aggregator.metric(fill).await, 0.0);
}

#[tokio::test]
async fn a_terminal_that_stands_idle_closes_and_says_so() {
    let aggregator = Aggregator::start(&["--terminal-idle", "2s"]);
    let (_agent, mut control) = connected(&aggregator).await;
    let mut seat = Seat::take(&aggregator, "exec", &[]).await.expect("open");
    let (number, _) = opened(&mut control).await;
    seat.told().await;
    let began = std::time::Instant::now();
    // What is written keeps it open, and so does what is typed.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        writes(&control, number, b".").await;
        seat.output(1).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    seat.say(Message::binary(&b"x"[..])).await;
    let (_, typed) = asked(&mut control).await;
    assert!(matches!(typed, Asked::Input(_)), "{typed:?}");
    let ended = seat.told().await;
    let reason = ended["ended"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("--terminal-idle"), "{reason}");
    assert!(began.elapsed() > Duration::from_millis(2_800 + 2_000 - 100));
    assert!(matches!(seat.next().await, Message::Close(_)));
    // The agent hears of it, so that what ran there is hung up.
    let (of, cancelled) = asked(&mut control).await;
    assert!(of == number && matches!(cancelled, Asked::Cancel(_)));
    let entries = audit(&aggregator).await;
    let closed = entries[1]["parameters"]["closed"].to_string();
    assert!(closed.contains("nothing was typed"), "{closed}");
}

#[tokio::test]
async fn both_ways_are_no_faster_than_the_other_side_takes_it() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let mut seat = Seat::take(&aggregator, "attach", &[]).await.expect("open");
    let (number, open) = opened(&mut control).await;
    assert!(open.command.is_empty(), "the container's own process");
    seat.told().await;
    // Five windows of output, each no sooner than the one before was taken.
    let window = usize::try_from(open.window_bytes).expect("small");
    let chunk = vec![b'x'; window / 4];
    let flood = async {
        let mut credit = window;
        for _ in 0..20 {
            while credit < chunk.len() {
                match control.asked().await.expect("credit") {
                    (_, Asked::Credit(more)) => {
                        credit += usize::try_from(more.bytes).expect("small")
                    }
                    other => panic!("{other:?}"),
                }
            }
            credit -= chunk.len();
            writes(&control, number, &chunk).await;
        }
    };
    let (output, ()) = tokio::join!(seat.output(window * 5), flood);
    assert_eq!(output.len(), window * 5);

    // More is typed than the agent takes: it comes in parts, in order.
    let typed: Vec<u8> = (0..4_000u32).flat_map(u32::to_le_bytes).collect();
    seat.say(Message::binary(typed.clone())).await;
    let mut taken = Vec::new();
    while taken.len() < typed.len() {
        let (_, Asked::Input(input)) = asked(&mut control).await else {
            panic!("no input");
        };
        assert!(input.data.len() <= usize::try_from(TYPING).expect("small"));
        let bytes = u32::try_from(input.data.len()).expect("small");
        taken.extend(input.data);
        control
            .say(number, Said::Typing(TerminalCredit { bytes }))
            .await;
    }
    assert_eq!(taken, typed);
    // Whoever leaves is not waited for.
    drop(seat);
    let (of, left) = asked(&mut control).await;
    assert!(matches!(left, Asked::Cancel(_)) && of == number, "{left:?}");
    eventually("its end is recorded", async || {
        let entries = audit(&aggregator).await;
        let last = entries.last()?;
        let closed = last["parameters"]["closed"] == "by whoever sat before it";
        (entries.len() == 2 && last["outcome"] == "done" && closed).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_before_the_upgrade_or_in_it() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    for (rest, headers, status) in [
        ("exec?tty=maybe", &[][..], 400),
        ("attach?command=ls", &[], 400),
        ("exec", &[("origin", "http://evil.example")], 403),
    ] {
        match Seat::take(&aggregator, rest, headers).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), status, "{rest}"),
            other => panic!("{rest}: {}", other.is_ok()),
        }
    }
    // Without an upgrade, the reason can be read.
    let path = format!("/api/containers/{}/exec", id('2'));
    assert_eq!(aggregator.get(&path).await.status, 404);

    let mut seat = Seat::take(&aggregator, "exec", &[]).await.expect("open");
    let (number, _) = control.asked().await.expect("asked");
    control
        .end(number, ControlResult::Conflict, "it is paused")
        .await;
    assert!(
        seat.told().await["error"]
            .as_str()
            .expect("why")
            .contains("it is paused")
    );

    let mut seat = Seat::take(&aggregator, "exec", &[]).await.expect("open");
    opened(&mut control).await;
    seat.told().await;
    drop(control);
    let ended = seat.told().await;
    assert_eq!(ended["ended"]["reason"], "the agent went away");
    let entries = audit(&aggregator).await;
    assert_eq!(
        entries.last().expect("an entry")["outcome"]["failed"],
        "the agent went away"
    );
}

#[tokio::test]
async fn a_command_is_run_to_its_end_within_bounds() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = connected(&aggregator).await;
    let ends = async {
        let (number, open) = opened(&mut control).await;
        assert_eq!(open.command, ["sh", "-c", "ls | wc -l"]);
        assert!(!open.tty && !open.interactive);
        writes(&control, number, b"12\n\xff").await;
        exits(&control, number, 3).await;
    };
    let (answer, ()) = tokio::join!(run(&aggregator, json!({ "command": "ls | wc -l" })), ends);
    assert_eq!(answer.status, 200, "{answer:?}");
    let ran = json!({ "exit_code": 3, "output": "12\n\u{fffd}", "incomplete": "" });
    assert_eq!(answer.json(), ran);

    let floods = async {
        let (number, open) = opened(&mut control).await;
        assert_eq!(open.command, ["yes"]);
        let mut credit = open.window_bytes;
        loop {
            if credit >= 65_536 {
                credit -= 65_536;
                writes(&control, number, &[b'y'; 65_536]).await;
                continue;
            }
            match control.asked().await.expect("asked") {
                (_, Asked::Credit(more)) => credit += more.bytes,
                (of, Asked::Cancel(_)) if of == number => break,
                other => panic!("{other:?}"),
            }
        }
    };
    let (answer, ()) = tokio::join!(run(&aggregator, json!({ "command": ["yes"] })), floods);
    let ran = answer.json();
    assert_eq!(ran["output"].as_str().expect("text").len(), 1 << 20);
    assert_eq!(ran["exit_code"], Value::Null);
    assert!(ran["incomplete"].as_str().expect("text").contains("1 MiB"));

    for nonsense in [
        json!({ "command": "" }),
        json!({ "command": "x".repeat(3_000) }),
    ] {
        assert_eq!(run(&aggregator, nonsense).await.status, 400);
    }
    assert_eq!(run(&aggregator, json!({})).await.status, 422);
    let outcomes: Vec<Value> = audit(&aggregator)
        .await
        .iter()
        .map(|entry| entry["parameters"]["exit_code"].clone())
        .collect();
    assert_eq!(outcomes, [Value::Null, json!(3), Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_terminal_and_a_log_end_when_their_token_is_revoked() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let data = format!("--data-dir={}", scratch.path().display());
    let aggregator = Aggregator::start(&["--require-sign-in", &data]);
    let admin = std::fs::read_to_string(scratch.path().join("initial-admin-token"));
    let admin = format!("Bearer {}", admin.expect("a first token").trim());
    let admin = [("authorization", admin.as_str()), JSON];
    let reported = vec![host("a.example", "10.0.0.1"), container('1')];
    let mut agent = Agent::with_snapshot(&aggregator, "a", reported).await;
    agent.acknowledged().await;
    let mut control = Control::open(&aggregator, "a", 1).await;
    let token = async |role: &str| {
        let body = json!({ "name": role, "role": role, "expires_in": "1h" }).to_string();
        let made = aggregator
            .post("/api/v1/tokens", &admin, &body)
            .await
            .json();
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        (text("id"), format!("Bearer {}", text("token")))
    };
    let (_, viewer) = token("viewer").await;
    let refused = Seat::take(&aggregator, "exec", &[("authorization", &viewer)]).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 403));

    let (token_id, operator) = token("operator").await;
    let shown = [("authorization", operator.as_str())];
    let mut seat = eventually("the agent can be asked", async || {
        let mut seat = Seat::take(&aggregator, "exec", &shown).await.expect("open");
        let asked = tokio::time::timeout(Duration::from_millis(500), control.asked()).await;
        let (number, _) = asked.ok()?.expect("asked");
        control
            .say(number, Said::Typing(TerminalCredit { bytes: TYPING }))
            .await;
        seat.told().await;
        Some(seat)
    })
    .await;
    let path = format!("/api/containers/{}/logs?follow=true", id('1'));
    let follows = async {
        let (number, _) = control.asked().await.expect("asked");
        control.say(number, Said::Log(Default::default())).await;
        let revoked = aggregator
            .request("DELETE", &format!("/api/v1/tokens/{token_id}"), &admin, "")
            .await;
        assert_eq!(revoked.status, 204);
    };
    let (log, ()) = tokio::join!(aggregator.request("GET", &path, &shown, ""), follows);
    let why = "what was signed in with has ended";
    assert!(
        log.body.contains(&format!("the log ends here: {why}")),
        "{log:?}"
    );
    assert_eq!(seat.told().await["ended"]["reason"], why);
    assert!(matches!(seat.next().await, Message::Close(_)));
}
