//! Which part of the state a kernel event belongs to.

use mesoscope_capture::{Event, EventKind, Protocol, event::EXIT_CODE_UNKNOWN};
use mesoscope_proto::v1::ProcessExit;

use super::ending::TcpEnd;
use super::flows::UdpBytes;
use super::listeners::Bound;
use super::process::Arguments;
use super::processes::Began;
use super::state::NodeState;

impl NodeState {
    /// Takes over one kernel event.
    pub fn event(&mut self, event: Event) {
        let time = event.time;
        self.now = self.now.max(time);
        match event.kind {
            EventKind::Fork {
                child,
                parent,
                comm,
                uid,
                cgroup_id,
                network_namespace,
                namespaced_pid,
            } => self.forked(
                time,
                Began {
                    id: child,
                    parent,
                    comm,
                    uid,
                    cgroup_id,
                    network_namespace,
                    namespaced_pid,
                },
            ),
            EventKind::Exec {
                process,
                parent,
                comm,
                argv,
                argv_truncated,
                uid,
                cgroup_id,
                network_namespace,
                namespaced_pid,
                ..
            } => self.executed(
                time,
                Began {
                    id: process,
                    parent,
                    comm,
                    uid,
                    cgroup_id,
                    network_namespace,
                    namespaced_pid,
                },
                Arguments {
                    argv,
                    truncated: argv_truncated,
                },
            ),
            EventKind::Exit {
                process,
                code,
                signal,
                oom,
                rss_bytes_max,
                cpu_ns,
                cgroup_id,
            } => {
                let exit = ProcessExit {
                    time_unix_ns: self.clock.unix_ns(time),
                    // The rung without BTF does not see how a process ends.
                    inferred: code == EXIT_CODE_UNKNOWN,
                    code: code.max(0),
                    signal,
                    oom,
                    rss_bytes_max,
                    cpu_ns,
                };
                self.exited(time, process, exit, cgroup_id);
            }
            EventKind::Connect {
                cookie,
                process,
                cgroup_id,
                network_namespace,
                protocol,
                remote,
            } => self.connected(
                time,
                cookie,
                process,
                cgroup_id,
                network_namespace,
                protocol,
                remote,
            ),
            EventKind::Bind {
                cookie,
                process,
                cgroup_id,
                network_namespace,
                protocol,
                local,
            } => self.bound(
                time,
                Bound {
                    cookie,
                    protocol,
                    local,
                    network_namespace,
                    process: Some(process),
                    cgroup_id,
                    listening: protocol == Protocol::Udp,
                    seen_in: 0,
                },
            ),
            EventKind::TcpEnd {
                cookie,
                end,
                local,
                remote,
                network_namespace,
                cgroup_id,
                uid: _,
                bytes_sent,
                bytes_received,
                rtt_us,
                retransmits,
                error,
            } => self.tcp_end(
                time,
                &TcpEnd {
                    cookie,
                    kind: end,
                    local,
                    remote,
                    network_namespace,
                    cgroup_id,
                    bytes_sent,
                    bytes_received,
                    rtt_us,
                    retransmits,
                    error,
                },
            ),
            EventKind::Cgroup {
                action,
                cgroup_id,
                path,
            } => self.cgroup_event(time, action, cgroup_id, &path),
            EventKind::UdpFlow {
                cookie,
                local,
                remote,
                network_namespace,
                cgroup_id,
                bytes_sent,
                bytes_received,
                closed,
            } => self.udp_bytes(
                time,
                &UdpBytes {
                    cookie,
                    local,
                    remote,
                    network_namespace,
                    cgroup_id,
                    bytes_sent,
                    bytes_received,
                    closed,
                },
            ),
            EventKind::Application {
                cookie,
                application,
                server_name,
            } => self.recognised(cookie, application, &server_name),
            EventKind::DnsAnswer {
                name, addresses, ..
            } => {
                const WAITING_MAX: usize = 1_024;
                if self.answers.len() < WAITING_MAX {
                    self.answers.push((name, addresses));
                }
            }
        }
    }
}
