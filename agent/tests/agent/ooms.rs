//! Containers whose processes the kernel kills for want of memory, by the real engine.

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{Container as Told, ContainerState};

use super::engine::{self, Container};
use super::observes::{greeted, has_events};
use super::support::{Agent, Aggregator};

const LITTLE: [&str; 4] = ["--memory", "16m", "--memory-swap", "16m"];
const HUNGRY: [&str; 4] = ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M"];

/// The last that was told of a container, once `wanted` accepts it.
async fn told(
    aggregator: &Aggregator,
    what: &str,
    container: &Container,
    wanted: impl Fn(&Told) -> bool,
) -> Told {
    let look = |heard: &super::support::Heard| {
        let mut changes = heard.changes.iter().rev();
        let last = changes.find_map(|(_, _, change)| match change {
            Kind::Container(told) if told.id == container.id => Some(told),
            _ => None,
        });
        last.filter(|told| wanted(told)).cloned()
    };
    aggregator.wait(what, look).await
}

fn run(command: &'static [&'static str]) -> tokio::task::JoinHandle<Container> {
    tokio::task::spawn_blocking(|| Container::run(&LITTLE, command))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_main_process_killed_at_once_is_told_whatever_the_engine_says() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--docker-socket", engine::SOCKET]);
    greeted(&aggregator).await;
    if !has_events(&aggregator) {
        return;
    }
    let container = run(&HUNGRY).await.expect("it ran");
    let ended = told(&aggregator, "the container's end", &container, |told| {
        told.state() == ContainerState::Exited && !told.name.is_empty()
    })
    .await;
    assert!(ended.oom_killed, "{ended:?}");
    assert_eq!((ended.oom_kills, ended.exit_code), (1, 137), "{ended:?}");
    assert!(ended.last_oom_kill_unix_ns <= ended.finished_unix_ns);
    assert!(ended.last_oom_kill_unix_ns > ended.created_unix_ns);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_runtime_a_kill_within_is_not_the_end_and_the_main_ones_is() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let _agent = Agent::start(&format!("http://127.0.0.1:{port}"), &[]);
    greeted(&aggregator).await;
    if !has_events(&aggregator) {
        return;
    }
    let lives_on = run(&[
        "/bin/sh",
        "-c",
        "/bin/dd if=/dev/zero of=/dev/null bs=64M; sleep 600",
    ])
    .await
    .expect("it ran");
    let now = told(&aggregator, "a kill within", &lives_on, |told| {
        told.oom_kills > 0
    })
    .await;
    assert_eq!(
        (now.state(), now.oom_killed, now.oom_kills),
        (ContainerState::Running, false, 1),
        "{now:?}"
    );
    let ends = run(&HUNGRY).await.expect("it ran");
    let gone = told(&aggregator, "the end of the other", &ends, |told| {
        told.state() == ContainerState::Removed
    })
    .await;
    assert_eq!(
        (gone.oom_killed, gone.oom_kills, gone.exit_code),
        (true, 1, 137),
        "{gone:?}"
    );
}
