//! Tier 2 for one container, known by its cgroup alone: asked for before it is there, and kept when
//! it starts again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::{Agent, Aggregator, Heard};
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{AgentStatus, Configure};

const ID: &str = "7e57000000000000000000000000000000000000000000000000000000007e57";

/// A container's cgroup as an engine would make it; removed when dropped.
struct Cgroup {
    folders: [PathBuf; 2],
}

impl Cgroup {
    fn make(root: &Path) -> std::io::Result<Self> {
        let above = root.join(format!("mesoscope-tier2-{}", std::process::id()));
        let own = above.join(format!("docker-{ID}.scope"));
        std::fs::create_dir_all(&own)?;
        Ok(Self {
            folders: [own, above],
        })
    }

    /// What stopping and starting the container does to it.
    fn start_again(&self) {
        std::fs::remove_dir(&self.folders[0]).expect("nothing runs in it");
        std::fs::create_dir(&self.folders[0]).expect("it could be made before");
    }

    /// Runs a sender of datagrams in it.
    fn sender(&self, to: &str) -> Sender {
        let procs = self.folders[0].join("cgroup.procs");
        let script = format!(
            "echo $$ > {}; while :; do echo 0123456789 > /dev/udp/{to}; sleep 0.05; done",
            procs.display()
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).stdin(Stdio::null());
        Sender(command.spawn().expect("bash"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The next run has another name.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Its last `sleep` leaves the cgroup.
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn v2_root() -> Option<PathBuf> {
    let mut roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .map(PathBuf::from);
    roots.find(|root| root.join("cgroup.controllers").exists())
}

fn statuses(heard: &Heard) -> impl DoubleEndedIterator<Item = &AgentStatus> {
    heard
        .changes
        .iter()
        .filter_map(|(_, _, change)| match change {
            Kind::AgentStatus(status) => Some(status),
            _ => None,
        })
}

/// Waits for a status, after the first `skipped` ones, by which it is on for the container or off.
async fn switched(aggregator: &Aggregator, skipped: usize, on: bool) -> usize {
    let found = |heard: &Heard| {
        let wanted: &[&str] = if on { &[ID] } else { &[] };
        let mut later = statuses(heard).enumerate().skip(skipped);
        later
            .find(|(_, status)| status.tier2 == on && status.tier2_containers == wanted)
            .map(|(at, _)| at + 1)
    };
    aggregator.wait("tier 2 as it was asked for", found).await
}

/// Waits until bytes of a flow to this address are told that were not told before `from`.
async fn bytes_are_told(aggregator: &Aggregator, port: u16, from: usize) {
    let told = |heard: &Heard| {
        heard.changes[from..].iter().find_map(|(_, _, change)| {
            let Kind::Connection(connection) = change else {
                return None;
            };
            let remote = connection.remote.as_ref()?.socket_addr()?;
            (remote.port() == port && connection.bytes_sent >= 11).then_some(())
        })
    };
    aggregator.wait("bytes of a UDP flow", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_2_follows_a_container_that_comes_later_and_starts_again() {
    let Some(root) = v2_root().filter(|_| rustix::process::geteuid().is_root()) else {
        eprintln!("no cgroup v2, or not root: tier 2 of a container is not tested");
        return;
    };
    let (aggregator, port, _server) = Aggregator::start(None).await;
    aggregator.configure_next(Configure {
        tier2: false,
        tier2_containers: vec![ID.to_owned()],
    });
    let _agent = Agent::start(&format!("http://127.0.0.1:{port}"), &[]);
    let off = switched(&aggregator, 0, false).await;

    let cgroup = Cgroup::make(&root).expect("root may make cgroups");
    let mut seen = switched(&aggregator, off, true).await;
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = receiver.local_addr().expect("bound").port();
    for round in 0..2 {
        let from = aggregator.look(|heard| heard.changes.len());
        let sender = cgroup.sender(&format!("127.0.0.1/{to}"));
        bytes_are_told(&aggregator, to, from).await;
        drop(sender);
        if round == 0 {
            cgroup.start_again();
            // A status comes with each attempt.
            seen = switched(&aggregator, seen, true).await;
        }
    }
    drop(cgroup);
    switched(&aggregator, seen, false).await;
}
