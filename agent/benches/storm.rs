//! What a kernel event costs the agent in a storm, from the decoded event to the encoded batch.
//! `cargo bench -p mesoscope-agent`

#![allow(missing_docs)]

use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesoscope_agent::core::batch::Batcher;
use mesoscope_agent::core::node_state::{CgroupContainer, CgroupContainers, Limits, NodeState};
use mesoscope_capture::event::TcpEndKind;
use mesoscope_capture::{Clock, Event, EventKind, ProcessId, Protocol};

/// What 100 ms of a storm hold.
const BATCH: u64 = 4_096;
const NETNS: u64 = 4_026_531_840;
const CGROUP: u64 = 77;
const SERVER: &str = "127.0.0.9:8080";

struct OneContainer;

impl CgroupContainers for OneContainer {
    fn with_container_id(&self, cgroup_id: u64, use_it: &mut dyn FnMut(&str)) {
        if cgroup_id == CGROUP {
            use_it("b7f6e1f0c2d34a5b96877869504132233445566778899aabbccddeeff0011223");
        }
    }

    fn created(&mut self, _: u64, _: &str) -> Option<CgroupContainer> {
        None
    }

    fn removed(&mut self, _: u64) -> Option<CgroupContainer> {
        None
    }

    fn all(&self) -> Vec<CgroupContainer> {
        Vec::new()
    }

    fn refresh(&mut self) {}

    fn fill(&self) -> (usize, usize) {
        (1, 1)
    }
}

struct Storm {
    state: NodeState,
    now: u64,
    number: u64,
    sequence: u64,
    bytes: usize,
}

fn process(number: u64) -> ProcessId {
    ProcessId {
        pid: u32::try_from(number % 4_000_000).expect("a pid is small"),
        start_boottime_ns: number * 10_000_000,
    }
}

impl Storm {
    fn new() -> Self {
        let mut storm = Self {
            state: NodeState::new(Limits::default(), Clock::new(), Box::new(OneContainer)),
            now: 1_000_000_000,
            number: 1,
            sequence: 1,
            bytes: 0,
        };
        let server: SocketAddr = SERVER.parse().expect("an address");
        storm.start(process(1));
        storm.event(EventKind::Bind {
            cookie: 1,
            process: process(1),
            cgroup_id: CGROUP,
            network_namespace: NETNS,
            protocol: Protocol::Tcp,
            local: server,
        });
        storm
    }

    fn event(&mut self, kind: EventKind) {
        self.now += 1_000;
        self.state.event(Event {
            time: self.now,
            kind,
        });
    }

    fn start(&mut self, process: ProcessId) {
        self.event(EventKind::Exec {
            process,
            parent: ProcessId {
                pid: 1,
                start_boottime_ns: 0,
            },
            comm: "storm".into(),
            argv: vec!["/usr/bin/storm".into(), "--once".into()],
            argv_truncated: false,
            uid: 0,
            cgroup_id: CGROUP,
            network_namespace: NETNS,
            namespaced_pid: process.pid,
            executable_inode: 1,
            executable_device: 1,
        });
    }

    fn connection(&mut self) {
        self.number += 2;
        let port = 32_768 + u16::try_from(self.number % 28_000).expect("a port");
        let client = SocketAddr::new([127, 0, 0, 1].into(), port);
        let server = SERVER.parse().expect("an address");
        self.event(EventKind::Connect {
            cookie: self.number,
            process: process(1),
            cgroup_id: CGROUP,
            network_namespace: NETNS,
            protocol: Protocol::Tcp,
            remote: server,
        });
        for (cookie, local, remote) in [
            (self.number, client, server),
            (self.number + 1, server, client),
        ] {
            self.event(EventKind::TcpEnd {
                cookie,
                end: TcpEndKind::Destroyed,
                local,
                remote,
                network_namespace: NETNS,
                cgroup_id: CGROUP,
                uid: 0,
                bytes_sent: 64,
                bytes_received: 128,
                rtt_us: 20,
                retransmits: 0,
                error: 0,
            });
        }
    }

    fn program(&mut self) {
        self.number += 1;
        let id = process(self.number);
        self.event(EventKind::Fork {
            child: id,
            parent: process(1),
            comm: "sh".into(),
            uid: 0,
            cgroup_id: CGROUP,
            network_namespace: NETNS,
            namespaced_pid: id.pid,
        });
        self.start(id);
        self.event(EventKind::Exit {
            process: id,
            code: 0,
            signal: 0,
            oom: false,
            rss_bytes_max: 1 << 20,
            cpu_ns: 100_000,
            cgroup_id: CGROUP,
        });
    }

    fn flush(&mut self) {
        let bytes = &mut self.bytes;
        let mut push = |batch: mesoscope_agent::core::batch::Encoded| *bytes += batch.bytes.len();
        let mut batcher = Batcher::new(1, &mut self.sequence, 1, false, &mut push);
        self.state.flush(&mut |change| batcher.add(change));
        batcher.finish();
        self.state.tick(self.now);
    }
}

fn storms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("storm");
    group.throughput(Throughput::Elements(BATCH));
    let mut storm = Storm::new();
    group.bench_function("connections", |bencher| {
        bencher.iter(|| {
            (0..BATCH).for_each(|_| storm.connection());
            storm.flush();
        });
    });
    let mut storm = Storm::new();
    group.bench_function("processes", |bencher| {
        bencher.iter(|| {
            (0..BATCH).for_each(|_| storm.program());
            storm.flush();
        });
    });
    group.finish();
}

criterion_group!(benches, storms);
criterion_main!(benches);
