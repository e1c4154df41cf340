//! Control through the real agent and the real Docker engine: an aggregator's end asks, the agent does
//! it and streams the log, and the map goes on beside a flood.

use std::time::{Duration, Instant};

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::control_answer::Answer as Said;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ContainerAction, ContainerInspect, ContainerLogs, ContainerState, ContainerVerb, ControlCancel,
    ControlResult, LogCredit, TerminalInput, TerminalOpen, TerminalSize,
};

use super::engine::{Container, SOCKET};
use super::support::{Agent, Aggregator};

const WINDOW: u32 = 64 << 10;

async fn asked(aggregator: &Aggregator, request: u64, message: Message) {
    aggregator.ask(request, message).await;
}

async fn outcome(aggregator: &Aggregator, request: u64) -> (ControlResult, String, String) {
    let find = move |answers: &[(u64, Said)]| {
        answers.iter().find_map(|(number, said)| match said {
            Said::Outcome(outcome) if *number == request => Some((
                outcome.result(),
                outcome.message.clone(),
                outcome.inspection.clone(),
            )),
            _ => None,
        })
    };
    aggregator
        .wait("an outcome", move |heard| find(&heard.answers))
        .await
}

/// Bytes of a log so far, and those that were left out.
fn log(aggregator: &Aggregator, request: u64) -> (Vec<u8>, u64) {
    aggregator.look(|heard| {
        let mut all = (Vec::new(), 0);
        for (number, said) in &heard.answers {
            if let (true, Said::Log(chunk)) = (*number == request, said) {
                all.0.extend_from_slice(&chunk.data);
                all.1 += chunk.bytes_left_out;
            }
        }
        all
    })
}

fn logs(container: &Container, follow: bool) -> Message {
    Message::Logs(ContainerLogs {
        container_id: container.id.clone(),
        follow,
        window_bytes: WINDOW,
        ..ContainerLogs::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_controlled_and_their_logs_read_through_the_agent() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--rung", "none", "--docker-socket", SOCKET]);
    let speaks = ["/bin/sh", "-c", "echo hello; sleep 600"];
    let container = Container::run(&["--stop-timeout", "0"], &speaks);
    let hello = aggregator
        .wait("control", |heard| heard.controls.last().cloned())
        .await;
    let generation = aggregator.look(|heard| heard.hellos.last().map(|hello| hello.generation));
    assert_eq!(
        (hello.agent_id.as_str(), Some(hello.generation)),
        ("test-agent", generation)
    );

    asked(&aggregator, 1, logs(&container, false)).await;
    assert_eq!(outcome(&aggregator, 1).await.0, ControlResult::Done);
    assert_eq!(log(&aggregator, 1), (b"hello\n".to_vec(), 0));

    let inspect = ContainerInspect {
        container_id: container.id.clone(),
    };
    asked(&aggregator, 2, Message::Inspect(inspect)).await;
    let (result, _, inspection) = outcome(&aggregator, 2).await;
    assert_eq!(result, ControlResult::Done);
    assert!(inspection.contains(&container.id));

    let stop = |container_id: String| {
        Message::Action(ContainerAction {
            container_id,
            verb: ContainerVerb::Stop.into(),
            force: false,
        })
    };
    asked(&aggregator, 3, stop(container.id.clone())).await;
    assert_eq!(outcome(&aggregator, 3).await.0, ControlResult::Done);
    let id = container.id.clone();
    aggregator
        .wait("the container's end", move |heard| {
            let mut told = heard.changes.iter().rev();
            told.find_map(|(_, _, change)| match change {
                Kind::Container(told) if told.id == id => {
                    (told.state() == ContainerState::Exited).then_some(())
                }
                _ => None,
            })
        })
        .await;
    asked(&aggregator, 4, stop("0".repeat(64))).await;
    assert_eq!(outcome(&aggregator, 4).await.0, ControlResult::NotFound);
    // Nor does an id lead to another path of the engine.
    asked(&aggregator, 5, stop("../../info?".to_owned())).await;
    assert_eq!(outcome(&aggregator, 5).await.0, ControlResult::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_a_log_is_bounded_and_the_map_goes_on() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--rung", "none", "--docker-socket", SOCKET]);
    let shouts = "while :; do echo 0123456789012345678901234567890123456789; done";
    let options = [
        "--cpus",
        "0.3",
        "--log-opt",
        "max-size=8m",
        "--log-opt",
        "max-file=1",
    ];
    let container = Container::run(&options, &["/bin/sh", "-c", shouts]);
    aggregator
        .wait("control", |heard| {
            (!heard.controls.is_empty()).then_some(())
        })
        .await;
    asked(&aggregator, 1, logs(&container, true)).await;
    // Nobody takes anything: no more comes than the window.
    aggregator
        .wait("the window", |heard| {
            let bytes: usize = heard.answers.iter().map(|(_, said)| bytes(said)).sum();
            (bytes + (16 << 10) > usize::try_from(WINDOW).expect("small")).then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (held, _) = log(&aggregator, 1);
    assert!(
        held.len() <= usize::try_from(WINDOW).expect("small"),
        "{}",
        held.len()
    );

    // Meanwhile the map has gone on.
    let before = aggregator.look(|heard| heard.changes.len());
    let began = Instant::now();
    let other = Container::run(&[], &["/bin/sleep", "600"]);
    let id = other.id.clone();
    aggregator
        .wait("another container", move |heard| {
            let mut told = heard.changes[before..].iter();
            told.any(|(_, _, change)| matches!(change, Kind::Container(told) if told.id == id))
                .then_some(())
        })
        .await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );

    // Who begins to take again is told what he missed.
    asked(&aggregator, 1, Message::Credit(LogCredit { bytes: WINDOW })).await;
    aggregator
        .wait("what was left out", |heard| {
            let mut logs = heard.answers.iter();
            logs.any(|(_, said)| matches!(said, Said::Log(chunk) if chunk.bytes_left_out > 0))
                .then_some(())
        })
        .await;
    asked(&aggregator, 1, Message::Cancel(ControlCancel {})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (taken, _) = log(&aggregator, 1);
    asked(&aggregator, 1, Message::Credit(LogCredit { bytes: WINDOW })).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log(&aggregator, 1).0.len(), taken.len(), "it was cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_is_sat_before_through_the_agent_and_typing_is_bounded() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--rung", "none", "--docker-socket", SOCKET]);
    let container = Container::run(&[], &["/bin/sleep", "600"]);
    aggregator
        .wait("control", |heard| {
            (!heard.controls.is_empty()).then_some(())
        })
        .await;
    let open = |command: &[&str]| {
        Message::Terminal(TerminalOpen {
            container_id: container.id.clone(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            tty: true,
            interactive: true,
            size: Some(TerminalSize {
                columns: 90,
                rows: 33,
            }),
            window_bytes: WINDOW,
        })
    };
    let there = async |request| {
        let credit = move |(number, said): &(u64, Said)| match said {
            Said::Typing(credit) if *number == request => usize::try_from(credit.bytes).ok(),
            _ => None,
        };
        aggregator
            .wait("a terminal", move |heard| {
                heard.answers.iter().find_map(credit)
            })
            .await
    };
    let types = |data: &[u8]| {
        Message::Input(TerminalInput {
            data: data.to_vec(),
        })
    };
    asked(&aggregator, 1, open(&["sh"])).await;
    there(1).await;
    asked(&aggregator, 1, types(b"busybox stty size; exit 7\r")).await;
    assert_eq!(outcome(&aggregator, 1).await.0, ControlResult::Done);
    let (output, exit_code) = aggregator.look(|heard| {
        let mut all = (Vec::new(), None);
        for (_, said) in heard.answers.iter().filter(|(number, _)| *number == 1) {
            match said {
                Said::Terminal(output) => all.0.extend_from_slice(&output.data),
                Said::Outcome(outcome) => all.1 = outcome.exit_code,
                _ => {}
            }
        }
        all
    });
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(output.contains("33 90"), "{output:?}");
    assert_eq!(exit_code, Some(7));

    // More than was allowed, into a process that takes nothing.
    asked(&aggregator, 2, open(&["sleep", "600"])).await;
    let allowed = there(2).await;
    asked(&aggregator, 2, types(&vec![b'x'; allowed + 1])).await;
    let (result, message, _) = outcome(&aggregator, 2).await;
    assert_eq!(result, ControlResult::Failed);
    assert!(message.contains("more was typed"), "{message}");
}

fn bytes(said: &Said) -> usize {
    match said {
        Said::Log(chunk) => chunk.data.len(),
        _ => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_told_so_does_not_open_the_stream() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--rung", "none", "--control", "off"]);
    aggregator
        .wait("a snapshot", |heard| (heard.snapshots > 0).then_some(()))
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(aggregator.look(|heard| heard.controls.is_empty()));
}
