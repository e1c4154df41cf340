//! What the agent could not see is told as a gap.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{Gap, GapKind, Process};

use super::observes::{greeted, has_events, pid, processes};
use super::support::{Agent, Aggregator, Heard};

fn gaps(heard: &Heard, kind: GapKind) -> impl DoubleEndedIterator<Item = &Gap> {
    heard
        .changes
        .iter()
        .filter_map(move |(_, _, change)| match change {
            Kind::Gap(gap) if gap.kind() == kind => Some(gap),
            _ => None,
        })
}

async fn storm(lives: u32) {
    let storm = tokio::task::spawn_blocking(move || {
        for _ in 0..lives {
            Command::new("/bin/true").status().expect("true(1)");
        }
    });
    storm.await.expect("stormed");
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.expect("kill(1)").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_is_a_gap_until_the_world_was_read_again() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let agent = Agent::start(&url, &["--ring-bytes", "64KiB"]);
    greeted(&aggregator).await;
    if !has_events(&aggregator) {
        return;
    }
    let mut ends_unseen = Command::new("sleep").arg("603").spawn().expect("sleep(1)");
    let known = |wanted: u32| {
        move |heard: &Heard| {
            processes(heard)
                .find(|process| pid(process) == wanted)
                .map(|_| ())
        }
    };
    aggregator.wait("a process", known(ends_unseen.id())).await;
    // While it stands still the kernel has nowhere to put the events.
    signal(agent.pid(), "-STOP");
    storm(1_000).await;
    ends_unseen.kill().expect("our child");
    ends_unseen.wait().expect("our child");
    let mut begins_unseen = Command::new("sleep").arg("604").spawn().expect("sleep(1)");
    signal(agent.pid(), "-CONT");
    let goes_on = SystemTime::now();
    let closed = |heard: &Heard| {
        gaps(heard, GapKind::Lost)
            .find(|gap| gap.what == "process" && gap.until_unix_ns != 0)
            .cloned()
    };
    let gap = aggregator.wait("the end of a gap", closed).await;
    assert!(
        gap.count > 100 && gap.since_unix_ns < gap.until_unix_ns,
        "{gap:?}"
    );
    let goes_on = goes_on.duration_since(UNIX_EPOCH).expect("after 1970");
    let took = Duration::from_nanos(gap.until_unix_ns).saturating_sub(goes_on);
    assert!(took < Duration::from_secs(2), "{took:?}");
    aggregator
        .wait("what began unseen", known(begins_unseen.id()))
        .await;
    let gone = ends_unseen.id();
    let inferred = |heard: &Heard| {
        let ended = |process: &&Process| {
            pid(process) == gone && process.exit.is_some_and(|exit| exit.inferred)
        };
        processes(heard).find(ended).map(|_| ())
    };
    aggregator.wait("what ended unseen", inferred).await;
    begins_unseen.kill().expect("our child");
    begins_unseen.wait().expect("our child");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cgroup_that_storms_is_named() {
    let (aggregator, port, _server) = Aggregator::start(None).await;
    let url = format!("http://127.0.0.1:{port}");
    let _agent = Agent::start(&url, &["--event-rate-cap", "100"]);
    greeted(&aggregator).await;
    if !has_events(&aggregator) {
        return;
    }
    storm(1_000).await;
    let open = |heard: &Heard| {
        gaps(heard, GapKind::Throttled)
            .find(|gap| gap.count > 0 && gap.cgroup_id != 0)
            .cloned()
    };
    let gap = aggregator.wait("a throttled cgroup", open).await;
    assert!(gap.detail.contains("--event-rate-cap"), "{gap:?}");
}
