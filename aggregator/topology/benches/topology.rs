//! Cost of a change at 10,000 processes and 17,000 connections, ingest rate, and memory.
//! `cargo bench -p mesoscope-topology`

#![allow(missing_docs)]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mesoscope_proto::v1::{self, change::Change};
use mesoscope_topology::{AgentKey, Limits, Options, Topology, View, ViewKind};

const HOSTS: u32 = 250;
const PROCESSES: u32 = 10_000;
const CONNECTIONS: u32 = 17_000;
const NOW_MS: u64 = 1_800_000_000_000;

/// Every connection is between another pair.
fn peer_of(number: u32) -> u32 {
    1 + (number * 7_919 + 13 + number / PROCESSES) % PROCESSES
}

struct Bench {
    topology: Topology,
    agents: Vec<AgentKey>,
    events: Vec<v1::Event>,
}

fn key(pid: u32) -> v1::ProcessKey {
    v1::ProcessKey {
        pid,
        start_boottime_ns: u64::from(pid) * 10_000_000,
    }
}

fn process(pid: u32) -> v1::Process {
    v1::Process {
        key: Some(key(pid)),
        cause: v1::ProcessCause::Exec.into(),
        time_unix_ns: NOW_MS * 1_000_000,
        parent: Some(key(1)),
        name: format!("worker-{pid}"),
        argv: vec!["/usr/bin/worker".into(), "--shard".into(), pid.to_string()],
        user: "app".into(),
        uid: 1_000,
        cwd: "/srv/app".into(),
        executable: "/usr/bin/worker".into(),
        container_id: format!("{:064x}", pid % 2_500),
        network_namespace: 1,
        started_unix_ns: NOW_MS * 1_000_000,
        ..Default::default()
    }
}

fn address(host: u32) -> IpAddr {
    let [_, _, high, low] = (host + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

/// The two ends of a connection from one process to another, with their hosts.
fn ends(number: u32, from: u32, to: u32, closed: bool) -> [(u32, v1::Connection); 2] {
    let port = u16::try_from(1_024 + number % 60_000).expect("in range");
    let local = SocketAddr::new(address(from % HOSTS), port);
    let remote = SocketAddr::new(
        address(to % HOSTS),
        8_000 + u16::try_from(to % 1_000).expect("in range"),
    );
    let end =
        |pid: u32, side: u64, direction: v1::Direction, local: SocketAddr, remote: SocketAddr| {
            v1::Connection {
                cookie: u64::from(number) * 2 + side,
                protocol: v1::Protocol::Tcp.into(),
                direction: direction.into(),
                state: if closed {
                    v1::ConnectionState::Closed
                } else {
                    v1::ConnectionState::Open
                }
                .into(),
                local: Some(local.into()),
                remote: Some(remote.into()),
                network_namespace: 1,
                process: Some(key(pid)),
                bytes_sent: 1_000,
                bytes_received: 2_000,
                rtt_us: 300,
                opened_unix_ns: NOW_MS * 1_000_000,
                closed_unix_ns: u64::from(closed) * NOW_MS * 1_000_000,
                application: "http".into(),
                ..Default::default()
            }
        };
    [
        (
            from % HOSTS,
            end(from, 2, v1::Direction::Outbound, local, remote),
        ),
        (
            to % HOSTS,
            end(to, 3, v1::Direction::Inbound, remote, local),
        ),
    ]
}

impl Bench {
    fn hosts() -> Self {
        let mut topology = Topology::new(Limits::default());
        let mut events = Vec::new();
        let agents: Vec<_> = (0..HOSTS)
            .map(|host| {
                let id = format!("host-{host}");
                let hello = v1::Hello {
                    agent_id: id.clone(),
                    hostname: id,
                    ..Default::default()
                };
                let agent = topology
                    .connect_agent(&hello, NOW_MS, &mut events)
                    .expect("within the bound");
                topology.begin_snapshot(agent);
                topology.end_snapshot(agent, NOW_MS, &mut events);
                agent
            })
            .collect();
        let mut bench = Self {
            topology,
            agents,
            events,
        };
        for host in 0..HOSTS {
            let interface = v1::NetworkInterface {
                addresses: vec![mesoscope_proto::address::to_bytes(address(host))],
                ..Default::default()
            };
            bench.apply(
                host,
                Change::Host(v1::Host {
                    interfaces: vec![interface],
                    network_namespace: 1,
                    ..Default::default()
                }),
            );
        }
        bench.topology.collect_events(false);
        bench
    }

    fn filled() -> Self {
        let mut bench = Self::hosts();
        bench.fill_processes();
        bench.fill_connections();
        bench
    }

    fn fill_processes(&mut self) {
        for pid in 1..=PROCESSES {
            self.apply(pid % HOSTS, Change::Process(process(pid)));
        }
    }

    fn fill_connections(&mut self) {
        for number in 0..CONNECTIONS {
            let (from, to) = (1 + number % PROCESSES, peer_of(number));
            for (host, end) in ends(number, from, to, false) {
                self.apply(host, Change::Connection(end));
            }
        }
    }

    fn apply(&mut self, host: u32, change: Change) {
        let agent = self.agents[host as usize];
        let change = v1::Change {
            change: Some(change),
        };
        self.topology
            .apply(agent, change, NOW_MS, &mut self.events)
            .expect("within the bounds");
    }
}

fn view() -> View {
    let all = v1::ViewOptions {
        unconnected: Some(true),
        ..Default::default()
    };
    View::new(ViewKind::Processes, Options::new(ViewKind::Processes, &all))
}

fn one_percent(criterion: &mut Criterion) {
    let mut bench = Bench::filled();
    let mut view = view();
    let first = Instant::now();
    let whole = view.diff(&bench.topology, NOW_MS).expect("the first");
    println!(
        "whole view: {} nodes, {} edges in {:.1} ms",
        whole.nodes.len(),
        whole.edges.len(),
        first.elapsed().as_secs_f64() * 1_000.0
    );
    let mut round = 0;
    criterion.bench_function(
        "1 % of 10,000 processes and 17,000 connections: apply + diff",
        |bencher| {
            bencher.iter_batched(
                || {
                    round += 1;
                    let mut changes = Vec::new();
                    for index in 0..PROCESSES / 100 {
                        let pid = 1 + (round * 100 + index) % PROCESSES;
                        let mut process = process(pid);
                        process.time_unix_ns += u64::from(round);
                        process.name = format!("worker-{round}");
                        changes.push((pid % HOSTS, Change::Process(process)));
                    }
                    for index in 0..CONNECTIONS / 100 {
                        let number = (round * 170 + index) % CONNECTIONS;
                        let (from, to) = (1 + number % PROCESSES, peer_of(number));
                        for (host, mut end) in ends(number, from, to, false) {
                            end.bytes_sent += u64::from(round) * 1_000;
                            end.bytes_received += u64::from(round) * 1_000;
                            changes.push((host, Change::Connection(end)));
                        }
                    }
                    changes
                },
                |changes| {
                    for (host, change) in changes {
                        bench.apply(host, change);
                    }
                    view.diff(&bench.topology, NOW_MS)
                        .map(|diff| diff.nodes.len())
                },
                BatchSize::PerIteration,
            );
        },
    );
}

/// Short processes, each with one short connection to a server: exec, two closed ends, exit.
fn ingest(criterion: &mut Criterion) {
    const LIVES: u32 = 2_500;
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(u64::from(LIVES) * 4));
    for events in [false, true] {
        let mut bench = Bench::hosts();
        bench.topology.collect_events(events);
        bench.apply(0, Change::Process(process(250)));
        let mut next = 1_000u32;
        let mut now_ms = NOW_MS;
        let name = if events {
            "changes, with events"
        } else {
            "changes"
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut changes = Vec::new();
                    for _ in 0..LIVES {
                        next += 1;
                        let host = next % HOSTS;
                        let start = process(next);
                        let mut exit = start.clone();
                        exit.exit = Some(v1::ProcessExit {
                            time_unix_ns: NOW_MS * 1_000_000,
                            ..Default::default()
                        });
                        changes.push((host, Change::Process(start)));
                        changes.extend(
                            ends(next, next, 250, true)
                                .map(|(host, end)| (host, Change::Connection(end))),
                        );
                        changes.push((host, Change::Process(exit)));
                    }
                    changes
                },
                |changes| {
                    for (host, change) in changes {
                        bench.apply(host, change);
                    }
                    now_ms += 200;
                    bench.topology.advance(now_ms, &mut bench.events);
                    bench.events.clear();
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    kib.unwrap_or(0.0) * 1_024.0
}

fn memory(_: &mut Criterion) {
    let mut bench = Bench::hosts();
    let empty = resident_bytes();
    bench.fill_processes();
    let processes = resident_bytes();
    bench.fill_connections();
    let connections = resident_bytes();
    println!(
        "memory: {:.0} bytes per process (with its container's share), {:.0} per connection (both ends, three views)",
        (processes - empty) / f64::from(PROCESSES),
        (connections - processes) / f64::from(CONNECTIONS)
    );
}

criterion_group!(benches, memory, one_percent, ingest);
criterion_main!(benches);
