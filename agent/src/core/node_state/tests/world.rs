//! Short ways to make events, and a cgroup tree in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mesoscope_capture::event::{CgroupAction, TcpEndKind};
use mesoscope_capture::{Clock, Event, EventKind, MonoNs, ProcessId, Protocol, Socket};
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{Connection, Container, Listener, Process};

use crate::core::node_state::{CgroupContainer, CgroupContainers, Limits, NodeState, SocketsFound};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
pub(crate) const NETNS: u64 = 4_026_531_840;

/// `/c/ID` and below is the container ID.
#[derive(Default)]
pub(crate) struct Tree {
    paths: BTreeMap<u64, String>,
}

impl Tree {
    fn id_of(path: &str) -> Option<(&str, bool)> {
        let mut parts = path.strip_prefix("/c/")?.splitn(2, '/');
        Some((parts.next()?, parts.next().is_none()))
    }

    fn own(cgroup_id: u64, path: &str) -> Option<CgroupContainer> {
        let (id, own) = Self::id_of(path)?;
        own.then(|| CgroupContainer {
            id: id.to_owned(),
            runtime: "docker".to_owned(),
            cgroup_id,
            path: path.to_owned(),
        })
    }
}

impl CgroupContainers for Tree {
    fn with_container_id(&self, cgroup_id: u64, use_it: &mut dyn FnMut(&str)) {
        if let Some((id, _)) = self
            .paths
            .get(&cgroup_id)
            .and_then(|path| Self::id_of(path))
        {
            use_it(id);
        }
    }

    fn created(&mut self, cgroup_id: u64, path: &str) -> Option<CgroupContainer> {
        self.paths.insert(cgroup_id, path.to_owned());
        Self::own(cgroup_id, path)
    }

    fn removed(&mut self, cgroup_id: u64) -> Option<CgroupContainer> {
        let path = self.paths.remove(&cgroup_id)?;
        Self::own(cgroup_id, &path)
    }

    fn all(&self) -> Vec<CgroupContainer> {
        self.paths
            .iter()
            .filter_map(|(id, path)| Self::own(*id, path))
            .collect()
    }

    fn refresh(&mut self) {}

    fn fill(&self) -> (usize, usize) {
        (self.paths.len(), usize::MAX)
    }
}

pub(crate) fn state() -> NodeState {
    NodeState::new(Limits::default(), Clock::new(), Box::new(Tree::default()))
}

/// A process that starts at a tick of its own.
pub(crate) fn id(pid: u32) -> ProcessId {
    started(pid, u64::from(pid))
}

pub(crate) fn started(pid: u32, tick: u64) -> ProcessId {
    ProcessId {
        pid,
        start_boottime_ns: tick * 10 * MS,
    }
}

pub(crate) fn fork(time: MonoNs, parent: ProcessId, child: ProcessId, comm: &str) -> Event {
    Event {
        time,
        kind: EventKind::Fork {
            child,
            parent,
            comm: comm.to_owned(),
            uid: 0,
            cgroup_id: 1,
            network_namespace: NETNS,
            namespaced_pid: child.pid,
        },
    }
}

pub(crate) fn exec(time: MonoNs, parent: ProcessId, process: ProcessId, argv: &[&str]) -> Event {
    exec_in(time, parent, process, argv, 1)
}

pub(crate) fn exec_in(
    time: MonoNs,
    parent: ProcessId,
    process: ProcessId,
    argv: &[&str],
    cgroup_id: u64,
) -> Event {
    Event {
        time,
        kind: EventKind::Exec {
            process,
            parent,
            comm: argv.first().copied().unwrap_or_default().to_owned(),
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
            argv_truncated: false,
            uid: 0,
            cgroup_id,
            network_namespace: NETNS,
            namespaced_pid: process.pid,
            executable_inode: 0,
            executable_device: 0,
        },
    }
}

pub(crate) fn exit(time: MonoNs, process: ProcessId, code: i32) -> Event {
    Event {
        time,
        kind: EventKind::Exit {
            process,
            code,
            signal: 0,
            oom: false,
            rss_bytes_max: 0,
            cpu_ns: 0,
            cgroup_id: 1,
        },
    }
}

pub(crate) fn cgroup(time: MonoNs, action: CgroupAction, cgroup_id: u64, path: &str) -> Event {
    Event {
        time,
        kind: EventKind::Cgroup {
            action,
            cgroup_id,
            path: path.to_owned(),
        },
    }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn connect(
    time: MonoNs,
    cookie: u64,
    process: ProcessId,
    protocol: Protocol,
    remote: &str,
) -> Event {
    Event {
        time,
        kind: EventKind::Connect {
            cookie,
            process,
            cgroup_id: 1,
            network_namespace: NETNS,
            protocol,
            remote: address(remote),
        },
    }
}

pub(crate) fn bind(
    time: MonoNs,
    cookie: u64,
    process: ProcessId,
    protocol: Protocol,
    local: &str,
) -> Event {
    Event {
        time,
        kind: EventKind::Bind {
            cookie,
            process,
            cgroup_id: 1,
            network_namespace: NETNS,
            protocol,
            local: address(local),
        },
    }
}

pub(crate) const NO_ADDRESS: &str = "0.0.0.0:0";

pub(crate) fn tcp_end(
    time: MonoNs,
    cookie: u64,
    end: TcpEndKind,
    ends: (&str, &str),
    bytes: (u64, u64),
    error: u32,
) -> Event {
    Event {
        time,
        kind: EventKind::TcpEnd {
            cookie,
            end,
            local: address(ends.0),
            remote: address(ends.1),
            network_namespace: NETNS,
            cgroup_id: 1,
            uid: 0,
            bytes_sent: bytes.0,
            bytes_received: bytes.1,
            rtt_us: 0,
            retransmits: 0,
            error,
        },
    }
}

pub(crate) fn socket(
    cookie: u64,
    protocol: Protocol,
    tcp_state: u8,
    ends: (&str, &str),
    process: ProcessId,
) -> Socket {
    Socket {
        cookie,
        protocol,
        tcp_state,
        local: address(ends.0),
        remote: address(ends.1),
        network_namespace: NETNS,
        process,
        fd: 3,
        cgroup_id: 1,
        uid: 0,
        bytes_sent: 0,
        bytes_received: 0,
        rtt_us: 0,
        retransmits: 0,
    }
}

pub(crate) fn pass(started: MonoNs, sockets: Vec<Socket>) -> SocketsFound {
    SocketsFound {
        started,
        ended: started + MS,
        sockets,
        namespaces: None,
        adopted: false,
        tells_ends: false,
    }
}

/// What one flush told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) processes: Vec<Process>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) containers: Vec<Container>,
}

pub(crate) fn told(state: &mut NodeState) -> Told {
    let mut told = Told::default();
    state.flush(&mut |change| match change {
        Kind::Process(process) => told.processes.push(process),
        Kind::Connection(connection) => told.connections.push(connection),
        Kind::Listener(listener) => told.listeners.push(listener),
        Kind::Container(container) => told.containers.push(container),
        _ => {}
    });
    told
}
