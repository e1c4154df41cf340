//! Control of containers against the real engine on the usual socket. Fails where there is none: start
//! `dockerd`.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{TestContainer, docker, docker_output};
use mesoscope_discover::docker::{ControlError, DockerControl, LogStream, LogsAsked};
use mesoscope_proto::v1::ContainerVerb;

const SOCKET: &str = "/var/run/docker.sock";

fn control() -> DockerControl {
    DockerControl::new(PathBuf::from(SOCKET))
}

async fn act(id: &str, verb: ContainerVerb) {
    let done = control().act(id, verb, false).await;
    done.unwrap_or_else(|error| panic!("{verb:?}: {error}"));
}

fn state(id: &str) -> String {
    docker(&["inspect", "--format", "{{.State.Status}}", id])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_led_through_all_its_states() {
    let container = TestContainer::run(&["--stop-timeout", "0"], &["/bin/sleep", "600"]);
    let id = &container.id;
    act(id, ContainerVerb::Pause).await;
    assert_eq!(state(id), "paused");
    let again = control().act(id, ContainerVerb::Pause, false).await;
    assert!(matches!(again, Err(ControlError::Conflict(_))), "{again:?}");
    act(id, ContainerVerb::Unpause).await;
    assert_eq!(state(id), "running");
    let refused = control().act(id, ContainerVerb::Remove, false).await;
    assert!(
        matches!(refused, Err(ControlError::Conflict(_))),
        "{refused:?}"
    );
    let first = container.pid();
    act(id, ContainerVerb::Restart).await;
    assert_eq!(state(id), "running");
    assert_ne!(container.pid(), first);
    act(id, ContainerVerb::Stop).await;
    assert_eq!(state(id), "exited");
    // What is so already is done.
    act(id, ContainerVerb::Stop).await;
    act(id, ContainerVerb::Start).await;
    act(id, ContainerVerb::Start).await;
    assert_eq!(state(id), "running");
    act(id, ContainerVerb::Kill).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while state(id) != "exited" {
        assert!(Instant::now() < deadline, "killed, and {}", state(id));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let killed = control().act(id, ContainerVerb::Kill, false).await;
    assert!(
        matches!(killed, Err(ControlError::Conflict(_))),
        "{killed:?}"
    );
    act(id, ContainerVerb::Remove).await;
    assert!(!docker_output(&["inspect", id]).status.success());
    let gone = control().act(id, ContainerVerb::Start, false).await;
    assert!(matches!(gone, Err(ControlError::NotFound(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_runs_is_removed_by_force_only() {
    let container = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let removed = control()
        .act(&container.id, ContainerVerb::Remove, true)
        .await;
    assert_eq!(removed, Ok(()));
    assert!(!docker_output(&["inspect", &container.id]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inspection_is_what_the_engine_knows() {
    let container = TestContainer::run(&["--env", "GREETING=hello"], &["/bin/sleep", "600"]);
    let inspection = control().inspect(&container.id).await.expect("inspected");
    let inspection: serde_json::Value = serde_json::from_str(&inspection).expect("JSON");
    assert_eq!(inspection["Id"], container.id);
    assert_eq!(inspection["State"]["Status"], "running");
    assert!(
        inspection["Config"]["Env"]
            .to_string()
            .contains("GREETING=hello")
    );
    let missing = control().inspect(&"0".repeat(64)).await;
    assert!(
        matches!(missing, Err(ControlError::NotFound(_))),
        "{missing:?}"
    );
}

/// Reads to the end, or until there is as much as `enough`.
async fn text(mut log: LogStream, enough: usize) -> String {
    let mut all = Vec::new();
    while all.len() < enough {
        let next = tokio::time::timeout(Duration::from_secs(20), log.next()).await;
        match next.expect("something comes").expect("a log") {
            Some(more) => all.extend_from_slice(&more),
            None => break,
        }
    }
    String::from_utf8(all).expect("UTF-8")
}

async fn logs(id: &str, asked: LogsAsked) -> LogStream {
    control().logs(id, asked).await.expect("a log")
}

/// Both outputs, with a pause before the last line.
const SPEAKS: [&str; 3] = [
    "/bin/sh",
    "-c",
    "echo one; echo two >&2; echo three; sleep 3; echo four; sleep 600",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_read_by_its_end_whole_and_as_it_is_written() {
    let container = TestContainer::run(&[], &SPEAKS);
    let followed = LogsAsked {
        follow: true,
        ..LogsAsked::default()
    };
    let all = text(logs(&container.id, followed).await, 19).await;
    let mut lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.pop(), Some("four"), "{all:?}");
    // Of two outputs, only the order in each is certain.
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);

    let last = LogsAsked {
        tail: Some(1),
        timestamps: true,
        ..LogsAsked::default()
    };
    let last = text(logs(&container.id, last).await, usize::MAX).await;
    let (time, line) = last.split_once(' ').expect("a time and a line");
    assert_eq!(line, "four\n");
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");

    let in_future = LogsAsked {
        since_unix_s: i64::from(u32::MAX),
        ..LogsAsked::default()
    };
    assert_eq!(
        text(logs(&container.id, in_future).await, usize::MAX).await,
        ""
    );
    let missing = control().logs(&"0".repeat(64), followed).await;
    assert!(
        matches!(missing, Err(ControlError::NotFound(_))),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_terminal_has_no_frames_and_lines_of_any_length() {
    let script = "dd if=/dev/zero bs=100000 count=3 2>/dev/null; echo end; sleep 600";
    let container = TestContainer::run(&["--tty"], &["/bin/sh", "-c", script]);
    let followed = LogsAsked {
        follow: true,
        ..LogsAsked::default()
    };
    let all = text(logs(&container.id, followed).await, 300_005).await;
    assert_eq!(all.trim_end().len(), 300_003);
    assert!(all.trim_end().ends_with("\0end"), "{:?}", &all[300_000..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_without_a_log_says_so() {
    let container = TestContainer::run(&["--log-driver", "none"], &["/bin/sleep", "600"]);
    let asked = control().logs(&container.id, LogsAsked::default()).await;
    let Err(error) = asked else {
        panic!("there is no log");
    };
    assert!(error.to_string().contains("log"), "{error}");
}
