//! The bound of bytes holds, and what it costs is said.

use mesoscope_history::{History, Inbox, Keeps, Limits, OutOfReach, RESOLUTION_MS};
use mesoscope_proto::v1::{self, change::Change};
use mesoscope_topology::{Options, View, ViewKind};

const START_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;
const AGENTS: u32 = 4;

struct Cluster {
    inboxes: Vec<Inbox>,
    history: History,
    now_ms: u64,
}

fn key(pid: u32) -> v1::ProcessKey {
    v1::ProcessKey {
        pid,
        start_boottime_ns: u64::from(pid) * 10_000_000,
    }
}

/// A process with a name that does not compress well.
fn process(agent: u32, pid: u32, ended: bool, now_ms: u64) -> Change {
    let mixed = (u64::from(agent) << 40 | u64::from(pid)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Change::Process(v1::Process {
        key: Some(key(pid)),
        cause: v1::ProcessCause::Exec.into(),
        time_unix_ns: now_ms * 1_000_000,
        name: "worker".to_owned(),
        argv: vec![
            format!("{mixed:016x}"),
            format!("{:016x}", mixed.wrapping_mul(mixed)),
        ],
        started_unix_ns: now_ms * 1_000_000,
        exit: ended.then_some(v1::ProcessExit {
            time_unix_ns: now_ms * 1_000_000,
            ..Default::default()
        }),
        ..Default::default()
    })
}

impl Cluster {
    fn new(bytes_max: usize) -> Self {
        let limits = Limits {
            keep_ms: HOUR_MS,
            bytes_max,
            keeps: Keeps {
                ended_ms: 15_000,
                agents_ms: HOUR_MS,
            },
        };
        let mut cluster = Self {
            inboxes: Vec::new(),
            history: History::new(limits, START_MS),
            now_ms: START_MS,
        };
        for agent in 0..AGENTS {
            cluster.inboxes.push(Inbox::default());
            cluster.connect(agent);
        }
        cluster
    }

    fn connect(&mut self, agent: u32) {
        let hello = v1::Hello {
            agent_id: format!("a{agent}"),
            hostname: format!("a{agent}.example"),
            generation: 1,
            ..Default::default()
        };
        let inbox = &mut self.inboxes[agent as usize];
        inbox.connected(&hello, self.now_ms);
        inbox.snapshot_begins(self.now_ms);
        inbox.snapshot_ends(self.now_ms);
    }

    fn tell(&mut self, agent: u32, change: Change) {
        let change = v1::Change {
            change: Some(change),
        };
        self.inboxes[agent as usize].change(&change, self.now_ms);
    }

    /// A step of the resolution passes.
    fn step(&mut self) {
        self.now_ms += RESOLUTION_MS;
        for (agent, inbox) in self.inboxes.iter_mut().enumerate() {
            self.history
                .take(&format!("a{agent}"), &inbox.take(), self.now_ms);
        }
        self.history.sweep(self.now_ms);
    }

    fn view(&self, at_ms: u64) -> v1::TopologyDiff {
        let past = self
            .history
            .at(at_ms, self.now_ms)
            .expect("within its reach");
        let moment = past.recall(mesoscope_topology::Limits::default());
        let options = v1::ViewOptions {
            unconnected: Some(true),
            ..Default::default()
        };
        let options = Options::new(ViewKind::Processes, &options);
        let mut diff = View::new(ViewKind::Processes, options)
            .diff(&moment.topology, moment.at_ms)
            .expect("the first is whole");
        diff.incomplete.extend(moment.incomplete);
        diff
    }
}

#[test]
fn when_it_is_full_it_reaches_less_far_back_and_says_so() {
    const BYTES_MAX: usize = 300_000;
    let mut cluster = Cluster::new(BYTES_MAX);
    let (mut pid, mut most) = (10, 0);
    for _ in 0..1_200 {
        for agent in 0..AGENTS {
            for one in 0..8 {
                cluster.tell(agent, process(agent, pid + one, true, cluster.now_ms));
            }
        }
        pid += 8;
        cluster.step();
        let bytes = cluster.history.reach().bytes;
        assert!(bytes <= BYTES_MAX, "{bytes}");
        most = most.max(bytes);
    }
    assert!(most > BYTES_MAX / 2, "the room is used: {most}");
    let reach = cluster.history.reach();
    assert!(reach.shortened && reach.agents_left_out == 0, "{reach:?}");
    assert!(reach.from_ms > START_MS + 60_000, "{reach:?}");
    assert!(reach.to_ms > reach.from_ms + 60_000, "{reach:?}");
    // What is within reach is there, whole.
    for at_ms in [
        reach.from_ms,
        (reach.from_ms + reach.to_ms) / 2,
        reach.to_ms,
    ] {
        let view = cluster.view(at_ms);
        assert!(
            view.nodes.len() >= 7 * 8 * AGENTS as usize,
            "{} at {at_ms}",
            view.nodes.len()
        );
        assert!(view.incomplete.is_empty(), "{:?}", view.incomplete);
    }
    let before = reach.from_ms - RESOLUTION_MS;
    let refused = cluster.history.at(before, cluster.now_ms).map(|_| ());
    assert_eq!(
        refused,
        Err(OutOfReach::TooOld {
            from_ms: reach.from_ms
        })
    );
}

#[test]
fn an_agent_without_room_is_named_and_comes_back_with_its_next_stream() {
    let mut cluster = Cluster::new(60_000);
    for pid in 10..4_000 {
        cluster.tell(0, process(0, pid, false, cluster.now_ms));
    }
    cluster.tell(1, process(1, 10, false, cluster.now_ms));
    for _ in 0..20 {
        cluster.step();
    }
    let reach = cluster.history.reach();
    assert!(reach.bytes <= 60_000 && reach.shortened, "{reach:?}");
    assert_eq!(reach.agents_left_out, 1);
    let view = cluster.view(reach.to_ms);
    assert_eq!(view.nodes.len(), 1, "of the others all is there");
    assert!(
        view.incomplete
            .iter()
            .any(|one| one.message.contains("a0.example")),
        "{view:#?}"
    );
    // It has shrunk, and connects again.
    cluster.connect(0);
    cluster.tell(0, process(0, 5_000, false, cluster.now_ms));
    for _ in 0..3 {
        cluster.step();
    }
    let reach = cluster.history.reach();
    let view = cluster.view(reach.to_ms);
    assert_eq!(view.nodes.len(), 2, "{view:#?}");
    assert!(view.incomplete.is_empty(), "{:?}", view.incomplete);
}

#[test]
fn a_quiet_cluster_takes_little_and_reaches_all_the_way() {
    let mut cluster = Cluster::new(usize::MAX);
    cluster.tell(0, process(0, 10, false, START_MS));
    for _ in 0..HOUR_MS / RESOLUTION_MS + 600 {
        cluster.step();
    }
    let reach = cluster.history.reach();
    assert!(!reach.shortened);
    assert!(reach.bytes < 20_000, "{}", reach.bytes);
    assert_eq!(reach.to_ms - reach.from_ms, HOUR_MS);
    assert_eq!(cluster.view(reach.from_ms).nodes.len(), 1);
    // Agents that are gone for long are forgotten.
    for agent in 0..AGENTS {
        let now_ms = cluster.now_ms;
        cluster.inboxes[agent as usize].disconnected(now_ms);
    }
    for _ in 0..2 * HOUR_MS / RESOLUTION_MS + 10 {
        cluster.step();
    }
    assert_eq!(cluster.history.reach().bytes, 0);
}
