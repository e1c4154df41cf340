//! What a simulated node holds, and how it changes: made from its number, so that a fleet of thousands
//! needs no memory of its own.

use mesoscope_proto::address;
use mesoscope_proto::v1::{
    Change, Connection, ConnectionState, Container, ContainerMetrics, ContainerState, Direction,
    Endpoint, Host, HostMetrics, Listener, NetworkInterface, Process, ProcessCause, ProcessExit,
    ProcessKey, ProcessMetrics, Protocol, change,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Pids of the processes that stay; those that come and go have higher ones.
const FIRST_PID: u32 = 1_000;
const NAMESPACE: u64 = 4_026_531_840;
const SERVICE_PORT: u16 = 8_080;

/// How much there is on every node.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes in all: connections lead to the others.
    pub nodes: u32,
    pub containers: u32,
    pub processes: u32,
    pub connections: u32,
}

/// One node.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    pub number: u32,
    pub size: Size,
}

impl Node {
    /// Its agent's id and host name.
    pub fn name(self) -> String {
        format!("node-{:05}", self.number)
    }

    /// Full id of one of its containers.
    pub fn container_id(self, index: u32) -> String {
        format!("{:0>64}", format!("{:x}{index:06x}", self.number + 1))
    }

    /// Everything, for a snapshot.
    pub fn whole(self, now: u64) -> Vec<Change> {
        let mut changes = vec![self.host("6.1.0-sim")];
        changes.extend((0..self.size.containers).map(|index| self.container(index, "app", now)));
        changes.extend((0..self.size.processes).map(|index| self.process(index, now)));
        changes.push(self.listener());
        changes.extend((0..self.size.connections).map(|index| self.open(index, now)));
        changes
    }

    pub fn host(self, kernel: &str) -> Change {
        changed(change::Change::Host(Host {
            hostname: self.name(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: kernel.to_owned(),
            architecture: "x86_64".to_owned(),
            cpu_model: "simulated".to_owned(),
            cpu_cores: 16,
            memory_bytes: 64 << 30,
            interfaces: vec![NetworkInterface {
                name: "eth0".to_owned(),
                addresses: vec![address::to_bytes(self.address())],
                up: true,
                ..Default::default()
            }],
            network_namespace: NAMESPACE,
            ..Default::default()
        }))
    }

    pub fn container(self, index: u32, name: &str, now: u64) -> Change {
        changed(change::Change::Container(Container {
            id: self.container_id(index),
            runtime: "docker".to_owned(),
            cgroup_id: u64::from(index) + 100,
            cgroup_path: format!("/docker/{}", self.container_id(index)),
            name: format!("{name}-{index}"),
            image: format!("registry.example/team/service-{}:1.4", index % 40),
            state: ContainerState::Running.into(),
            created_unix_ns: now,
            started_unix_ns: now,
            hostname: format!("{name}-{index}.{}", self.name()),
            ..Default::default()
        }))
    }

    /// A process that stays.
    fn process(self, index: u32, now: u64) -> Change {
        let pid = FIRST_PID + index;
        changed(change::Change::Process(Process {
            cause: ProcessCause::Snapshot.into(),
            ..self.shell(pid, &format!("worker-{}", index % 50), now)
        }))
    }

    /// One that starts, and one that has ended before: a node's ordinary coming and going.
    pub fn start(self, pid: u32, name: &str, now: u64) -> Change {
        changed(change::Change::Process(self.shell(pid, name, now)))
    }

    pub fn end(self, pid: u32, name: &str, now: u64) -> Change {
        changed(change::Change::Process(Process {
            exit: Some(ProcessExit {
                time_unix_ns: now,
                ..Default::default()
            }),
            ..self.shell(pid, name, now)
        }))
    }

    fn shell(self, pid: u32, name: &str, now: u64) -> Process {
        // Half of them in containers.
        let index = pid % self.size.containers.max(1);
        let inside = self.size.containers > 0 && pid.is_multiple_of(2);
        Process {
            key: Some(key(pid)),
            cause: ProcessCause::Exec.into(),
            time_unix_ns: now,
            parent: Some(key(1)),
            name: name.to_owned(),
            argv: vec![
                format!("/usr/bin/{name}"),
                "--config=/etc/app.toml".to_owned(),
            ],
            container_id: if inside {
                self.container_id(index)
            } else {
                String::new()
            },
            cgroup_id: if inside { u64::from(index) + 100 } else { 1 },
            network_namespace: NAMESPACE,
            started_unix_ns: now,
            ..Default::default()
        }
    }

    fn listener(self) -> Change {
        changed(change::Change::Listener(Listener {
            cookie: 1,
            protocol: Protocol::Tcp.into(),
            local: Some(SocketAddr::new(self.address(), SERVICE_PORT).into()),
            network_namespace: NAMESPACE,
            process: Some(key(FIRST_PID)),
            ..Default::default()
        }))
    }

    /// A connection to the next nodes that stays open.
    fn open(self, index: u32, now: u64) -> Change {
        let peer = self.peer(index);
        changed(change::Change::Connection(
            self.connection(index, peer, now),
        ))
    }

    /// One that was opened and closed within a batch.
    pub fn short_connection(self, number: u64, now: u64) -> Change {
        let index = u32::try_from(number % 10_000).unwrap_or(0);
        changed(change::Change::Connection(Connection {
            cookie: 1_000_000 + number,
            state: ConnectionState::Closed.into(),
            closed_unix_ns: now,
            bytes_sent: 500,
            bytes_received: 20_000,
            ..self.connection(index, self.peer(index), now)
        }))
    }

    fn connection(self, index: u32, peer: Self, now: u64) -> Connection {
        let port = 20_000 + u16::try_from(index % 40_000).unwrap_or(0);
        let local: Endpoint = SocketAddr::new(self.address(), port).into();
        Connection {
            cookie: 10 + u64::from(index),
            protocol: Protocol::Tcp.into(),
            direction: Direction::Outbound.into(),
            state: ConnectionState::Open.into(),
            local: Some(local),
            remote: Some(SocketAddr::new(peer.address(), SERVICE_PORT).into()),
            network_namespace: NAMESPACE,
            process: Some(key(FIRST_PID + index % self.size.processes.max(1))),
            opened_unix_ns: now,
            ..Default::default()
        }
    }

    /// A neighbour, so that every node has as many inbound connections as outbound ones.
    fn peer(self, index: u32) -> Self {
        let number = (self.number + 1 + index % 7) % self.size.nodes;
        Self { number, ..self }
    }

    /// The measurements of one period: host and containers all, of the processes every tenth.
    pub fn measurements(self, turn: u32, now: u64) -> Vec<Change> {
        let level = f64::from((self.number * 7 + turn * 13) % 100) / 100.0;
        let mut changes = vec![changed(change::Change::HostMetrics(HostMetrics {
            time_unix_ns: now,
            cpu_cores_used: 4.0 * level,
            memory_used_bytes: (16 << 30) + (u64::from(turn % 64) << 20),
            load_1m: level,
            uptime_s: u64::from(turn) * 5,
            processes: self.size.processes,
            ..Default::default()
        }))];
        changes.extend((0..self.size.containers).map(|index| {
            changed(change::Change::ContainerMetrics(ContainerMetrics {
                container_id: self.container_id(index),
                time_unix_ns: now,
                cpu_cores_used: level / f64::from(index + 1),
                memory_used_bytes: (64 << 20) + (u64::from((turn + index) % 32) << 16),
                processes: 3,
                ..Default::default()
            }))
        }));
        let busy = (0..self.size.processes).filter(|index| (index + turn).is_multiple_of(10));
        changes.extend(busy.map(|index| {
            changed(change::Change::ProcessMetrics(ProcessMetrics {
                key: Some(key(FIRST_PID + index)),
                time_unix_ns: now,
                cpu_cores_used: level / 10.0,
                rss_bytes: (8 << 20) + (u64::from((turn + index) % 16) << 12),
                threads: 4,
                ..Default::default()
            }))
        }));
        changes
    }

    fn address(self) -> IpAddr {
        let [_, high, middle, low] = self.number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, high, middle, low))
    }
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey {
        pid,
        start_boottime_ns: u64::from(pid) * 10_000_000,
    }
}

fn changed(change: change::Change) -> Change {
    Change {
        change: Some(change),
    }
}
