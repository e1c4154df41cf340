use mesoscope_topology::Topology;

use super::*;

const START_MS: u64 = 1_700_000_010_000;
const STEP_MS: u64 = mesoscope_series::COARSE_STEP_MS;
const KEEP_MS: u64 = 3_600_000;

/// Agents of one topology, and what is recorded of them.
struct Fixture {
    recorder: Recorder,
    topology: Topology,
    now_ms: u64,
}

impl Fixture {
    fn new(bytes_max: usize) -> Self {
        let keep_ms = KEEP_MS;
        Self {
            recorder: Recorder::new(Limits { keep_ms, bytes_max }),
            topology: Topology::new(mesoscope_topology::Limits::default()),
            now_ms: START_MS,
        }
    }

    fn connect(&mut self, agent_id: &str) -> AgentKey {
        let hello = v1::Hello {
            agent_id: agent_id.to_owned(),
            generation: 1,
            ..Default::default()
        };
        let connected = self
            .topology
            .connect_agent(&hello, self.now_ms, &mut Vec::new());
        let agent = connected.expect("there is room");
        self.recorder.connect(agent, agent_id, self.now_ms);
        agent
    }

    /// A batch that was made by an agent whose clock is right.
    fn tell(&self, agent: AgentKey, changes: impl IntoIterator<Item = Change>) {
        let agent_ns = self.now_ms * NS_PER_MS;
        self.tell_made(agent, changes, Made::Now { agent_ns });
    }

    fn tell_made(&self, agent: AgentKey, changes: impl IntoIterator<Item = Change>, made: Made) {
        let read = |change| {
            let change = Some(change);
            self.recorder.read(agent, &v1::Change { change })
        };
        let told = changes.into_iter().filter_map(read).collect();
        self.recorder.take(agent, told, made, self.now_ms);
    }

    fn sweep(&self) {
        let known = |key, id: &str| self.topology.find_agent(id) == Some(key);
        self.recorder.sweep(self.now_ms, known);
    }

    fn answer(&self, id: &str, owner: Option<AgentKey>) -> Option<Answer> {
        let range = Range {
            from_ms: self.now_ms - 4 * STEP_MS,
            to_ms: self.now_ms + 1,
            step_ms: STEP_MS,
        };
        self.recorder.query(id, owner, range, self.now_ms)
    }

    /// CPU, in tenths of a core, of the last five steps.
    fn cpu(&self, id: &str) -> Option<Vec<Option<u32>>> {
        let answer = self.answer(id, None)?;
        let tenths = |value: &Option<f64>| {
            let tenths = (*value)? * 10.0;
            (0..10_000).find(|whole| (f64::from(*whole) - tenths).abs() < 0.1)
        };
        Some(answer.values[0].iter().map(tenths).collect())
    }
}

fn host(cpu: f64, time_ms: u64) -> Change {
    Change::HostMetrics(v1::HostMetrics {
        cpu_cores_used: cpu,
        time_unix_ns: time_ms * NS_PER_MS,
        ..Default::default()
    })
}

fn container(id: &str, cpu: f64) -> Change {
    Change::ContainerMetrics(v1::ContainerMetrics {
        container_id: id.to_owned(),
        cpu_cores_used: cpu,
        ..Default::default()
    })
}

fn key(pid: u32) -> Option<v1::ProcessKey> {
    Some(v1::ProcessKey {
        pid,
        start_boottime_ns: 10_000_000,
    })
}

fn process(pid: u32, cpu: f64) -> Change {
    Change::ProcessMetrics(v1::ProcessMetrics {
        key: key(pid),
        cpu_cores_used: cpu,
        ..Default::default()
    })
}

fn exit(pid: u32, time_ms: u64) -> Change {
    Change::Process(v1::Process {
        key: key(pid),
        exit: Some(v1::ProcessExit {
            time_unix_ns: time_ms * NS_PER_MS,
            ..Default::default()
        }),
        ..Default::default()
    })
}

#[test]
fn hosts_containers_and_processes_are_found_by_their_ids() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    let told = [host(0.1, START_MS), container("c", 0.2), process(7, 0.3)];
    fixture.tell(agent, told);
    for (id, tenths) in [
        ("host;a", 1),
        ("container;c", 2),
        ("container;c;a", 2),
        ("process;a;7;10000000", 3),
    ] {
        let wanted = [None, None, None, None, Some(tenths)];
        assert_eq!(fixture.cpu(id).as_deref(), Some(&wanted[..]), "{id}");
    }
    for unknown in [
        "",
        "host",
        "host;b",
        "container;d",
        "process;a;8;10000000",
        "process;a;7;x",
        "process;7",
        "pseudo;internet;in",
    ] {
        assert!(fixture.cpu(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn a_wrong_clock_of_an_agent_changes_nothing() {
    for clock_ms in [1_000, START_MS - 7_200_000, START_MS, START_MS * 2] {
        let mut fixture = Fixture::new(1 << 20);
        let agent = fixture.connect("a");
        let made = Made::Now {
            agent_ns: clock_ms * NS_PER_MS,
        };
        let of_ages = [(0.1, 30_000), (0.2, 15_000), (0.3, 0)];
        let told = of_ages.map(|(cpu, age_ms)| host(cpu, clock_ms.saturating_sub(age_ms)));
        fixture.tell_made(agent, told, made);
        let last = *fixture.cpu("host;a").expect("known").last().unwrap();
        if clock_ms > 30_000 {
            let wanted = [None, None, Some(1), Some(2), Some(3)];
            assert_eq!(fixture.cpu("host;a").as_deref(), Some(&wanted[..]));
        } else {
            assert!(last.is_some(), "a clock at 1970 knows no ages");
        }
    }
}

#[test]
fn a_clock_that_jumps_back_leaves_no_gap() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    for (cpu, jump_ms) in [(0.1, 0), (0.2, 900_000), (0.3, 900_000)] {
        fixture.now_ms += STEP_MS;
        let clock_ms = fixture.now_ms - jump_ms;
        let made = Made::Now {
            agent_ns: clock_ms * NS_PER_MS,
        };
        fixture.tell_made(agent, [host(cpu, clock_ms)], made);
    }
    let wanted = [None, None, Some(1), Some(2), Some(3)];
    assert_eq!(fixture.cpu("host;a").as_deref(), Some(&wanted[..]));
    assert_eq!(fixture.recorder.stats().late, 0);
}

#[test]
fn what_was_kept_while_the_aggregator_was_away_is_put_in_its_place() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    let told = [45_000, 30_000].map(|ago| host(0.4, START_MS - ago));
    fixture.tell_made(agent, told, Made::Before);
    let wanted = [None, Some(4), Some(4), Some(4), Some(4)];
    assert_eq!(fixture.cpu("host;a").as_deref(), Some(&wanted[..]));
    // Older than is kept.
    let old = [host(0.9, START_MS - 2 * KEEP_MS)];
    fixture.tell_made(agent, old, Made::Before);
    assert_eq!(fixture.recorder.stats().late, 10);
}

#[test]
fn an_agent_can_tell_nothing_of_the_nodes_of_another() {
    let mut fixture = Fixture::new(1 << 20);
    let honest = fixture.connect("a");
    let liar = fixture.connect("b");
    fixture.tell(honest, [container("c", 0.1), process(7, 0.1)]);
    fixture.tell(liar, [container("c", 0.9), process(7, 0.9), host(0.9, 0)]);
    let of = |id: &str, owner| {
        let answer = fixture.answer(id, owner).expect("known");
        let last = answer.values[0].last().copied().flatten();
        last.expect("told")
    };
    assert!(of("container;c", Some(honest)) < 0.11);
    assert!(of("process;a;7;10000000", None) < 0.11);
    assert!(of("container;c;b", None) > 0.89);
    assert!(fixture.answer("host;a", None).is_none());
    // Nobody knows whose it was: no guess.
    assert!(fixture.answer("container;c", None).is_none());
}

#[test]
fn bad_values_are_counted_and_not_kept() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        fixture.tell(agent, [container("c", bad)]);
    }
    let count = u64::try_from(CONTAINER.metrics.len()).expect("few");
    assert_eq!(fixture.recorder.stats().malformed, 3 * count);
    assert!(fixture.cpu("container;c").is_none());
    fixture.tell(agent, [container("c", f64::MAX)]);
    let answer = fixture.answer("container;c", None).expect("known");
    assert!(answer.values[0].iter().flatten().all(|cpu| cpu.is_finite()));
}

#[test]
fn nothing_is_known_while_an_agent_is_away_and_it_is_forgotten_with_it() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    fixture.tell(agent, [host(0.5, 0)]);
    fixture.recorder.disconnect(agent, fixture.now_ms + 1);
    fixture.now_ms += 3 * STEP_MS;
    fixture.recorder.connect(agent, "a", fixture.now_ms);
    fixture.now_ms += STEP_MS;
    let wanted = [Some(5), None, None, Some(5), Some(5)];
    assert_eq!(fixture.cpu("host;a").as_deref(), Some(&wanted[..]));

    fixture.recorder.disconnect(agent, fixture.now_ms);
    fixture.topology = Topology::new(mesoscope_topology::Limits::default());
    fixture.sweep();
    assert!(fixture.cpu("host;a").is_none());
    // What a stream of it still tells while it ends is for nobody.
    fixture.tell(agent, [host(0.5, 0)]);
    fixture.recorder.disconnect(agent, fixture.now_ms);
    fixture.now_ms += KEEP_MS + STEP_MS;
    fixture.sweep();
    let stats = fixture.recorder.stats();
    assert_eq!((stats.things, stats.series, stats.chunk_bytes), (0, 0, 0));
}

#[test]
fn series_end_with_their_node_and_stay_for_the_retention() {
    let mut fixture = Fixture::new(1 << 20);
    let agent = fixture.connect("a");
    fixture.tell(agent, [process(1, 0.1), process(2, 0.2), process(3, 0.3)]);
    fixture.tell(agent, [exit(1, fixture.now_ms)]);
    // A whole account without the second.
    fixture.now_ms += 2 * STEP_MS;
    fixture.recorder.begin_snapshot(agent, fixture.now_ms);
    let there = v1::Process {
        key: key(3),
        ..Default::default()
    };
    fixture.tell(agent, [Change::Process(there)]);
    fixture.recorder.end_snapshot(agent);
    fixture.sweep();
    fixture.now_ms += 2 * STEP_MS;
    for (pid, wanted) in [
        (1, [Some(1), None, None, None, None]),
        (2, [Some(2), Some(2), Some(2), None, None]),
        (3, [Some(3); 5]),
    ] {
        let id = format!("process;a;{pid};10000000");
        assert_eq!(fixture.cpu(&id).as_deref(), Some(&wanted[..]), "{id}");
    }
    fixture.now_ms += KEEP_MS;
    fixture.sweep();
    assert_eq!(fixture.recorder.stats().things, 1);
}

#[test]
fn memory_stays_within_its_bound_and_the_living_keep_theirs() {
    let bytes_max = 1 << 20;
    let mut fixture = Fixture::new(bytes_max);
    let agent = fixture.connect("a");
    for pid in 1..=20_000 {
        fixture.tell(agent, [process(pid, 0.1)]);
        if pid > 100 {
            fixture.tell(agent, [exit(pid, fixture.now_ms)]);
        }
        assert!(fixture.recorder.stats().bytes <= bytes_max);
    }
    let stats = fixture.recorder.stats();
    assert!(stats.evicted > 10_000, "{stats:?}");
    assert_eq!((stats.refused, stats.cramped), (0, 0), "{stats:?}");
    assert!(fixture.cpu("process;a;1;10000000").is_some());
    assert!(fixture.cpu("process;a;20000;10000000").is_some());
}
