//! What the history costs: bytes an agent and hour, time on the way of ingest, and how long a moment of a
//! cluster takes. Agents are made up: containers with processes that listen, serve each other and start
//! short programs, one each second, each with a connection.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesoscope_history::{History, Inbox, Keeps, Limits, RESOLUTION_MS};
use mesoscope_proto::v1::{self, change::Change};

const START_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

fn limits(bytes_max: usize) -> Limits {
    Limits {
        keep_ms: HOUR_MS,
        bytes_max,
        keeps: Keeps {
            ended_ms: 15_000,
            agents_ms: HOUR_MS,
        },
    }
}

/// A host and what runs on it.
struct Host {
    number: u64,
    containers: u64,
    processes: u64,
    inbox: Inbox,
    /// For ports, process ids and what else differs from one to the next.
    random: u64,
}

impl Host {
    fn new(number: u64, containers: u64, processes: u64) -> Self {
        Self {
            number,
            containers,
            processes,
            inbox: Inbox::default(),
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn random(&mut self) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn id(&self) -> String {
        format!("agent-{:04}", self.number)
    }

    fn address(&self) -> Vec<u8> {
        let bytes = u32::try_from(self.number).unwrap_or(0).to_be_bytes();
        vec![10, bytes[1], bytes[2], bytes[3]]
    }

    fn container_id(&self, number: u64) -> String {
        let mixed = (self.number << 20 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let more = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
        format!("{mixed:016x}{more:016x}{:016x}{:016x}", !mixed, !more)
    }

    fn change(&mut self, change: Change, now_ms: u64) {
        let change = v1::Change {
            change: Some(change),
        };
        self.inbox.change(&change, now_ms);
    }

    fn process(&self, pid: u32, container: u64, at_ms: u64, random: u64) -> v1::Process {
        let programs = [
            "nginx",
            "redis-server",
            "postgres",
            "java",
            "python3",
            "node",
        ];
        let name = programs[usize::try_from(random % 6).unwrap_or(0)];
        v1::Process {
            key: Some(key(pid, at_ms)),
            cause: v1::ProcessCause::Exec.into(),
            time_unix_ns: at_ms * 1_000_000 + random % 1_000_000,
            parent: Some(key(1, START_MS)),
            name: name.to_owned(),
            argv: vec![
                format!("/usr/bin/{name}"),
                "--config".to_owned(),
                format!("/etc/{name}/{}.conf", random % 97),
            ],
            uid: 999,
            user: name.to_owned(),
            cwd: "/".to_owned(),
            executable: format!("/usr/bin/{name}"),
            cgroup_id: 10_000 + container,
            container_id: self.container_id(container),
            namespaced_pid: pid % 100,
            network_namespace: 4_026_532_000 + container,
            started_unix_ns: at_ms * 1_000_000 + random % 1_000_000,
            ..Default::default()
        }
    }

    /// The whole of it, as a snapshot.
    fn begin(&mut self, now_ms: u64) {
        let hello = v1::Hello {
            agent_id: self.id(),
            hostname: format!("node-{:04}.example", self.number),
            version: "0.1.0".to_owned(),
            generation: 1,
            ..Default::default()
        };
        self.inbox.connected(&hello, now_ms);
        self.inbox.snapshot_begins(now_ms);
        let host = v1::Host {
            hostname: hello.hostname,
            os: "Debian GNU/Linux 12".to_owned(),
            kernel: "6.18.0".to_owned(),
            cpu_cores: 8,
            memory_bytes: 32 << 30,
            interfaces: vec![v1::NetworkInterface {
                name: "eth0".to_owned(),
                addresses: vec![self.address()],
                up: true,
                ..Default::default()
            }],
            network_namespace: 4_026_531_840,
            ..Default::default()
        };
        self.change(Change::Host(host), now_ms);
        for number in 0..self.containers {
            let container = v1::Container {
                id: self.container_id(number),
                runtime: "docker".to_owned(),
                cgroup_id: 10_000 + number,
                cgroup_path: format!("/docker/{}", self.container_id(number)),
                name: format!("shop-{number}"),
                image: format!("registry.example/shop/service-{}:1.4.{number}", number % 5),
                state: v1::ContainerState::Running.into(),
                started_unix_ns: START_MS * 1_000_000,
                labels: ["app", "team", "version"]
                    .map(|key| v1::KeyValue {
                        key: format!("com.example.{key}"),
                        value: format!("{key}-{}", number % 5),
                    })
                    .to_vec(),
                environment: ["PATH=/usr/bin", "LANG=C.UTF-8", "PORT=8080"]
                    .map(|text| v1::KeyValue {
                        key: text.split('=').next().unwrap_or_default().to_owned(),
                        value: text.split('=').nth(1).unwrap_or_default().to_owned(),
                    })
                    .to_vec(),
                addresses: vec![vec![
                    172,
                    17,
                    0,
                    u8::try_from(number % 250).unwrap_or(0) + 2,
                ]],
                network_mode: "bridge".to_owned(),
                hostname: self.container_id(number)[..12].to_owned(),
                ..Default::default()
            };
            self.change(Change::Container(container), now_ms);
        }
        for number in 0..self.processes {
            let random = self.random();
            let pid = 1_000 + u32::try_from(number).unwrap_or(0);
            let process = self.process(pid, number % self.containers, START_MS, random);
            self.change(Change::Process(process), now_ms);
            let listener = v1::Listener {
                cookie: 100 + number,
                protocol: v1::Protocol::Tcp.into(),
                local: Some(endpoint(&[0, 0, 0, 0], 8_000 + number)),
                network_namespace: 4_026_532_000 + number % self.containers,
                process: Some(key(pid, START_MS)),
                container_id: self.container_id(number % self.containers),
                ..Default::default()
            };
            self.change(Change::Listener(listener), now_ms);
        }
        self.inbox.snapshot_ends(now_ms);
    }

    /// A second passes: a program starts and ends, and connects to another host.
    fn second(&mut self, second: u64, hosts: u64, now_ms: u64) {
        let random = self.random();
        let pid = 5_000 + u32::try_from(second % 60_000).unwrap_or(0);
        let container = random % self.containers;
        let mut process = self.process(pid, container, now_ms, random);
        self.change(Change::Process(process.clone()), now_ms);
        process.exit = Some(v1::ProcessExit {
            time_unix_ns: (now_ms + 120) * 1_000_000 + random % 1_000_000,
            rss_bytes_max: (random % 50_000) << 10,
            cpu_ns: random % 100_000_000,
            ..Default::default()
        });
        let to = u32::try_from(random % hosts).unwrap_or(0).to_be_bytes();
        let connection = v1::Connection {
            cookie: 1_000_000 + second,
            protocol: v1::Protocol::Tcp.into(),
            direction: v1::Direction::Outbound.into(),
            state: v1::ConnectionState::Closed.into(),
            local: Some(endpoint(&self.address(), 32_768 + random % 28_000)),
            remote: Some(endpoint(
                &[10, to[1], to[2], to[3]],
                8_000 + random % self.processes,
            )),
            network_namespace: 4_026_532_000 + container,
            process: process.key,
            cgroup_id: 10_000 + container,
            container_id: self.container_id(container),
            bytes_sent: random % 20_000,
            bytes_received: random % 300_000,
            rtt_us: 200 + u32::try_from(random % 300).unwrap_or(0),
            opened_unix_ns: (now_ms + 10) * 1_000_000 + random % 1_000_000,
            closed_unix_ns: (now_ms + 90) * 1_000_000 + random % 1_000_000,
            ..Default::default()
        };
        self.change(Change::Connection(connection), now_ms);
        self.change(Change::Process(process), now_ms);
    }
}

fn key(pid: u32, start_ms: u64) -> v1::ProcessKey {
    v1::ProcessKey {
        pid,
        start_boottime_ns: (start_ms - START_MS + 1_000_000) / 10 * 10_000_000,
    }
}

fn endpoint(address: &[u8], port: u64) -> v1::Endpoint {
    v1::Endpoint {
        address: address.to_vec(),
        port: u32::try_from(port).unwrap_or(0),
    }
}

/// Lets so many hosts work for so long.
fn worked(
    hosts: u64,
    containers: u64,
    processes: u64,
    seconds: u64,
    limits: Limits,
) -> (History, u64) {
    let mut history = History::new(limits, START_MS);
    let mut all: Vec<_> = (0..hosts)
        .map(|number| Host::new(number, containers, processes))
        .collect();
    let mut now_ms = START_MS;
    for host in &mut all {
        host.begin(now_ms);
    }
    for second in 0..seconds {
        now_ms += 1_000;
        for host in &mut all {
            host.second(second, hosts, now_ms);
        }
        if now_ms.is_multiple_of(RESOLUTION_MS) {
            for host in &mut all {
                history.take(&host.id(), &host.inbox.take(), now_ms);
            }
            history.sweep(now_ms);
        }
    }
    (history, now_ms)
}

fn bytes(criterion: &mut Criterion) {
    let begun = Instant::now();
    let (history, _) = worked(20, 20, 100, 3_600, limits(usize::MAX));
    let changes = 20.0 * 3.0 * 3_600.0;
    let took = begun.elapsed().as_secs_f64();
    let each = history.reach().bytes / 20;
    println!(
        "an agent and hour (20 containers, 100 processes, a program and a connection a second): {each} bytes"
    );
    println!(
        "all of it, with what made it up: {:.1} us a change",
        took / changes * 1e6
    );
    let (history, _) = worked(20, 20, 100, 4, limits(usize::MAX));
    println!(
        "an agent that has just come: {} bytes",
        history.reach().bytes / 20
    );
    // What ingest waits for.
    let mut host = Host::new(1, 20, 100);
    let mut group = criterion.benchmark_group("history");
    group.throughput(Throughput::Elements(3));
    let mut second = 0;
    group.bench_function("note (3 changes, made up too)", |bench| {
        bench.iter(|| {
            second += 1;
            host.second(second, 100, START_MS + second * 1_000);
            if host.inbox.len() > 1 << 20 {
                black_box(host.inbox.take());
            }
        });
    });
    group.finish();
}

fn moments(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("moment");
    group.sample_size(10);
    let (history, now_ms) = worked(1_000, 10, 20, 600, limits(usize::MAX));
    for (name, ago_ms) in [("now", 0), ("5 minutes ago", 300_000)] {
        group.bench_function(format!("1,000 hosts, 10,000 containers, {name}"), |bench| {
            bench.iter(|| {
                let past = history.at(now_ms - ago_ms, now_ms).expect("within reach");
                black_box(past.recall(mesoscope_topology::Limits::default()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bytes, moments);
criterion_main!(benches);
