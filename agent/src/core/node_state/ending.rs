//! What the records of a TCP socket's end make of a connection.
//!
//! A socket's end comes in up to three records: an error (which still has the addresses), a reset
//! that was sent, and the destruction (which has the final counters, but not always the addresses).

use std::net::SocketAddr;

use mesoscope_capture::event::TcpEndKind;
use mesoscope_capture::{MonoNs, Protocol};
use mesoscope_proto::v1::{ConnectionState, Direction};

use super::connection::{Connection, canonical};
use super::state::NodeState;

// Numbers of include/uapi/asm-generic/errno.h that end a connection for good; others may be passing
// news of ICMP.
const EPIPE: u32 = 32;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;

/// One record of a socket's end.
pub(super) struct TcpEnd {
    pub(super) cookie: u64,
    pub(super) kind: TcpEndKind,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) network_namespace: u64,
    pub(super) cgroup_id: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) rtt_us: u32,
    pub(super) retransmits: u32,
    pub(super) error: u32,
}

impl NodeState {
    pub(super) fn tcp_end(&mut self, time: MonoNs, end: &TcpEnd) {
        if end.cookie == 0 {
            return;
        }
        let named = end.remote.port() != 0 && end.local.port() != 0;
        if self.listener_ended(time, end.cookie, end.kind == TcpEndKind::Destroyed) {
            return;
        }
        let key = self.connections.key_of(end.cookie);
        if !self.connections.by_key.contains_key(&key) {
            if !named {
                self.counters.ends_unknown += 1;
                return;
            }
            let mut connection = Connection::new(Protocol::Tcp, time);
            connection.silent = true;
            connection.local = Some(canonical(end.local));
            connection.remote = Some(canonical(end.remote));
            connection.network_namespace = end.network_namespace;
            connection.cgroup_id = end.cgroup_id;
            if !self.insert_connection(key, connection) {
                return;
            }
        }
        self.take_counters(key, end, named);
        match end.kind {
            TcpEndKind::ResetSent => {
                if let Some(connection) = self.connections.by_key.get_mut(&key) {
                    connection.reset_sent = true;
                }
            }
            TcpEndKind::Error => self.tcp_error(time, key, end.error),
            TcpEndKind::Destroyed => self.tcp_destroyed(time, key),
        }
        self.own(key, time);
    }

    fn take_counters(&mut self, key: u64, end: &TcpEnd, named: bool) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        // A record of a socket that was wiped before shows less, never more.
        connection.bytes_sent = connection.bytes_sent.max(end.bytes_sent);
        connection.bytes_received = connection.bytes_received.max(end.bytes_received);
        connection.retransmits = connection.retransmits.max(end.retransmits);
        if end.rtt_us != 0 {
            connection.rtt_us = end.rtt_us;
        }
        if connection.network_namespace == 0 {
            connection.network_namespace = end.network_namespace;
        }
        if connection.cgroup_id == 0 {
            connection.cgroup_id = end.cgroup_id;
        }
        if named && connection.local.is_none() {
            connection.local = Some(canonical(end.local));
            connection.remote = Some(canonical(end.remote));
            self.ends_known(key);
        }
    }

    fn tcp_error(&mut self, time: MonoNs, key: u64, error: u32) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        if error == 0 || connection.destroyed {
            return;
        }
        connection.error = error;
        if !matches!(error, EPIPE | ECONNRESET | ETIMEDOUT | ECONNREFUSED) {
            return;
        }
        let state = if error == ECONNREFUSED || !connection.was_established() {
            ConnectionState::Failed
        } else {
            ConnectionState::Reset
        };
        self.end(key, time, state);
    }

    fn tcp_destroyed(&mut self, time: MonoNs, key: u64) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        if connection.destroyed {
            self.counters.ends_repeated += 1;
            return;
        }
        connection.destroyed = true;
        let state = match connection.state {
            ConnectionState::Failed | ConnectionState::Reset => connection.state,
            _ if !connection.was_established() => ConnectionState::Failed,
            _ if connection.reset_sent => ConnectionState::Reset,
            _ => ConnectionState::Closed,
        };
        self.end(key, time, state);
    }
}

impl Connection {
    /// Whether both ends ever agreed: bytes or a round trip were counted, a pass over the sockets
    /// saw it so, or it was accepted (and not connected) here.
    fn was_established(&self) -> bool {
        self.established
            || self.bytes_sent > 0
            || self.bytes_received > 0
            || self.rtt_us > 0
            || self.direction != Direction::Outbound
    }
}
