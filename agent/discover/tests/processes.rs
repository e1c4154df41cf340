//! Against the real procfs: this process and its children.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mesoscope_capture::event::ProcessId;
use mesoscope_discover::cgroups::CgroupTree;
use mesoscope_discover::paths::Paths;
use mesoscope_discover::processes::{ProcessReader, ProcessSampler, SamplerLimits};
use mesoscope_proto::v1::{Process, ProcessCause, ProcessMetrics};

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("coreutils"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been ended by the test.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn find(processes: &[Process], pid: u32) -> &Process {
    let mut processes = processes.iter();
    let found = processes.find(|process| process.key.is_some_and(|key| key.pid == pid));
    found.expect("in the snapshot")
}

fn id(process: &Process) -> ProcessId {
    let key = process.key.expect("set");
    ProcessId {
        pid: key.pid,
        start_boottime_ns: key.start_boottime_ns,
    }
}

#[test]
fn this_process_and_its_child() {
    let paths = Paths::default();
    let tree = CgroupTree::discover(&paths).expect("cgroups are mounted");
    let mut reader = ProcessReader::new(&paths);
    assert!(reader.capability().available, "run as root");
    let mut sleeper = Sleeper::start();
    // The child is a copy of this process until its exec.
    while reader
        .snapshot(&tree)
        .is_ok_and(|snapshot| find(&snapshot.processes, sleeper.0.id()).argv != ["sleep", "600"])
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let snapshot = reader.snapshot(&tree).expect("a procfs");
    assert_eq!(snapshot.malformed, 0);
    assert!(snapshot.without_details < snapshot.processes.len() / 2);
    let own = find(&snapshot.processes, std::process::id());
    let child = find(&snapshot.processes, sleeper.0.id());
    assert_eq!(child.parent, own.key);
    assert_eq!(child.cause(), ProcessCause::Snapshot);
    assert_eq!(
        (child.name.as_str(), child.user.as_str(), child.uid),
        ("sleep", "root", 0)
    );
    assert!(child.executable.ends_with("/sleep"), "{}", child.executable);
    assert_eq!(
        child.cwd,
        std::env::current_dir().expect("one").to_string_lossy()
    );
    assert_eq!(child.network_namespace, own.network_namespace);
    assert_eq!((child.cgroup_id, child.namespaced_pid), (own.cgroup_id, 0));
    assert!(child.cgroup_id != 0 && child.network_namespace != 0 && !child.kernel_thread);
    // A tick is 10 ms, and the boot time is known to some microseconds only.
    let age_ns = mesoscope_discover::time::unix_now_ns() - child.started_unix_ns;
    assert!(age_ns < 30_000_000_000, "{age_ns}");
    assert!(find(&snapshot.processes, 2).kernel_thread);
    assert_eq!(find(&snapshot.processes, 1).parent, None);

    let child = id(child);
    let details = reader.details(child, &tree).expect("it sleeps");
    assert_eq!(details.cause(), ProcessCause::Update);
    assert_eq!(details.argv, ["sleep", "600"]);
    assert_eq!(details.parent, own.key);
    sleeper.0.kill().expect("it sleeps");
    sleeper.0.wait().expect("killed");
    assert_eq!(reader.details(child, &tree), None);
}

fn sample(sampler: &mut ProcessSampler, ids: &[ProcessId]) -> Vec<ProcessMetrics> {
    let mut out = Vec::new();
    sampler.sample(ids.iter().copied(), &mut out);
    out
}

#[test]
fn work_memory_and_descriptors_are_seen() {
    let paths = Paths::default();
    let tree = CgroupTree::discover(&paths).expect("cgroups are mounted");
    let snapshot = ProcessReader::new(&paths)
        .snapshot(&tree)
        .expect("a procfs");
    let own = id(find(&snapshot.processes, std::process::id()));
    let gone = ProcessId {
        start_boottime_ns: own.start_boottime_ns - 10_000_000,
        ..own
    };
    let mut sampler = ProcessSampler::new(&paths.proc, SamplerLimits::default()).expect("a procfs");
    let first = sample(&mut sampler, &[own, gone]);
    assert_eq!(first.len(), 1);
    assert_eq!(sampler.stats().vanished_total, 1);
    let opened: Vec<_> = (0..50)
        .map(|_| std::fs::File::open("/dev/null").expect("it exists"))
        .collect();
    let memory = vec![1_u8; 64 << 20];
    let end = Instant::now() + Duration::from_millis(400);
    while Instant::now() < end {}
    let [then] = sample(&mut sampler, &[own])[..] else {
        panic!("this process lives");
    };
    // Other work of the machine leaves us some.
    assert!(then.cpu_cores_used > 0.05, "{then:?}");
    assert!(
        then.rss_bytes >= first[0].rss_bytes + memory.len() as u64 / 2,
        "{then:?}"
    );
    assert!(then.virtual_bytes > then.rss_bytes && then.threads >= 2);
    // The other test of this binary opens some for moments.
    let more = i64::from(then.open_files) - i64::from(first[0].open_files);
    assert!((40..=60).contains(&more), "{more}");
    drop((opened, memory));
    assert_eq!(sampler.stats().processes, 1);
    assert!(sample(&mut sampler, &[]).is_empty());
    assert_eq!(sampler.stats().processes, 0);
}

#[test]
fn more_processes_than_allowed_are_counted_and_left_out() {
    let paths = Paths::default();
    let tree = CgroupTree::discover(&paths).expect("cgroups are mounted");
    let snapshot = ProcessReader::new(&paths)
        .snapshot(&tree)
        .expect("a procfs");
    let ids: Vec<_> = snapshot.processes.iter().map(id).collect();
    let limits = SamplerLimits {
        processes_max: 3,
        ..SamplerLimits::default()
    };
    let mut sampler = ProcessSampler::new(&paths.proc, limits).expect("a procfs");
    assert!(sample(&mut sampler, &ids).len() <= 3);
    assert!(sampler.stats().over_limit_total > 0);
}
