//! Terminals in containers of the real engine on the usual socket. Fails where there is none: start
//! `dockerd`.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{TestContainer, docker};
use mesoscope_discover::docker::{
    ControlError, DockerControl, Terminal, TerminalAsked, TerminalOutput,
};

const SOCKET: &str = "/var/run/docker.sock";
const PATIENCE: Duration = Duration::from_secs(20);

async fn try_open(id: &str, asked: TerminalAsked) -> Result<Terminal, ControlError> {
    let control = DockerControl::new(PathBuf::from(SOCKET));
    control.terminal(id, asked).await
}

async fn open(id: &str, command: &[&str], tty: bool) -> Terminal {
    let asked = TerminalAsked {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        tty,
        interactive: true,
    };
    try_open(id, asked).await.expect("a terminal")
}

/// Reads until the output holds `text`, or to its end.
async fn until(output: &mut TerminalOutput, text: &str) -> String {
    let mut all = String::new();
    while text.is_empty() || !all.contains(text) {
        let next = tokio::time::timeout(PATIENCE, output.next()).await;
        match next.unwrap_or_else(|_| panic!("{text:?} does not come after {all:?}")) {
            Ok(Some(more)) => all.push_str(&String::from_utf8_lossy(&more)),
            Ok(None) => break,
            Err(error) => panic!("{error} after {all:?}"),
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_takes_what_is_typed_and_knows_its_window() {
    let container = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let mut terminal = open(&container.id, &["sh"], true).await;
    terminal.process.resize(100, 40).await;
    let typed = b"busybox stty size; echo $TERM; exit 7\r";
    terminal.input.write(typed).await.expect("typed");
    let all = until(&mut terminal.output, "").await;
    assert!(all.contains("40 100\r\nxterm-256color\r\n"), "{all:?}");
    assert_eq!(terminal.process.exit_code().await, Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_both_outputs_come_as_they_are_and_wait_for_their_reader() {
    let container = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let script = "dd if=/dev/zero bs=100000 count=30 2>/dev/null; echo err >&2; exit 3";
    let mut terminal = open(&container.id, &["sh", "-c", script], false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let all = until(&mut terminal.output, "").await;
    assert_eq!(all.matches('\0').count(), 3_000_000);
    assert_eq!(all.replace('\0', ""), "err\n");
    assert_eq!(terminal.process.exit_code().await, Some(3));

    let mut echo = open(&container.id, &["cat"], false).await;
    echo.input.write(b"typed\n").await.expect("typed");
    until(&mut echo.output, "typed\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_terminal_takes_its_process_with_it() {
    let container = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let script = "echo ready; exec sleep 599";
    for tty in [true, false] {
        let mut terminal = open(&container.id, &["sh", "-c", script], tty).await;
        until(&mut terminal.output, "ready").await;
        let runs = || docker(&["top", &container.id]).contains("sleep 599");
        assert!(runs());
        drop(terminal);
        let deadline = Instant::now() + PATIENCE;
        while runs() {
            assert!(Instant::now() < deadline, "it goes on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_process_of_a_container_is_attached_to_and_left_alone() {
    let container = TestContainer::run(&["--interactive", "--tty"], &["/bin/sh"]);
    let mut terminal = open(&container.id, &[], false).await;
    terminal.process.resize(90, 30).await;
    let typed = b"busybox stty size; echo sum $((20 + 3))\r";
    terminal.input.write(typed).await.expect("typed");
    let all = until(&mut terminal.output, "sum 23").await;
    assert!(all.contains("30 90"), "{all:?}");
    drop(terminal);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let state = docker(&["inspect", "--format", "{{.State.Status}}", &container.id]);
    assert_eq!(state, "running");

    let mut again = open(&container.id, &[], false).await;
    again.input.write(b"exit 4\r").await.expect("typed");
    until(&mut again.output, "").await;
    assert_eq!(again.process.exit_code().await, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_run_is_said() {
    let container = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let command = |name: &str| TerminalAsked {
        command: vec![name.to_owned()],
        tty: true,
        interactive: true,
    };
    // Newer engines refuse it, older ones say so in the terminal.
    if let Ok(mut terminal) = try_open(&container.id, command("/no/such/program")).await {
        let said = until(&mut terminal.output, "").await;
        assert!(said.contains("no such file"), "{said:?}");
        let code = terminal.process.exit_code().await;
        assert!(matches!(code, Some(126 | 127)), "{code:?}");
    }
    docker(&["pause", &container.id]);
    let paused = try_open(&container.id, command("sh")).await;
    docker(&["unpause", &container.id]);
    assert!(
        matches!(paused, Err(ControlError::Conflict(_))),
        "{paused:?}"
    );
    let missing = try_open(&"0".repeat(64), command("sh")).await;
    assert!(
        matches!(missing, Err(ControlError::NotFound(_))),
        "{missing:?}"
    );
}
