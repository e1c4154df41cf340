//! One local end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use mesoscope_capture::{MonoNs, ProcessId, Protocol};
use mesoscope_proto::v1::{self, ConnectionState, Direction};

use super::nat::Translation;
use super::owner::OwnerSource;
use super::pending::Slot;
use super::state::key;

/// Live counters are told again when they grew by this much or by a part of the total ...
const COUNTERS_GREW_BYTES: u64 = 16 * 1024;
/// ... or at all, after this time.
const COUNTERS_STALE_NS: u64 = 5_000_000_000;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) protocol: Protocol,
    pub(super) direction: Direction,
    pub(super) state: ConnectionState,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) translation: Option<Box<Translation>>,
    pub(super) network_namespace: u64,
    pub(super) process: Option<ProcessId>,
    pub(super) owner: OwnerSource,
    pub(super) cgroup_id: u64,
    pub(super) container: Option<Arc<str>>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) rtt_us: u32,
    pub(super) retransmits: u32,
    pub(super) opened_unix_ns: u64,
    pub(super) closed_unix_ns: u64,
    pub(super) error: u32,
    pub(super) application: &'static str,
    pub(super) application_seen: bool,
    pub(super) server_name: Box<str>,
    pub(super) adopted: bool,
    /// Both ends agreed, as far as was seen.
    pub(super) established: bool,
    /// This end sent a reset; told once the socket is gone.
    pub(super) reset_sent: bool,
    /// Nothing is told of it yet: its end alone will tell.
    pub(super) silent: bool,
    /// The socket is gone for certain: counters are final.
    pub(super) destroyed: bool,
    /// A flow without a socket of its own that a pass could show.
    pub(super) flow: bool,
    /// On the list of those that wait for their listener.
    pub(super) unowned: bool,
    pub(super) opened: MonoNs,
    pub(super) ended: Option<MonoNs>,
    /// Number of the last pass over the sockets that had it.
    pub(super) seen_in: u32,
    /// First pass that did not have it any more.
    pub(super) missing_since: Option<MonoNs>,
    told_bytes: u64,
    told: MonoNs,
    pub(super) slot: Slot,
}

impl Connection {
    pub(super) fn new(protocol: Protocol, opened: MonoNs) -> Self {
        Self {
            protocol,
            direction: Direction::Unspecified,
            state: ConnectionState::Open,
            local: None,
            remote: None,
            translation: None,
            network_namespace: 0,
            process: None,
            owner: OwnerSource::Nobody,
            cgroup_id: 0,
            container: None,
            bytes_sent: 0,
            bytes_received: 0,
            rtt_us: 0,
            retransmits: 0,
            opened_unix_ns: 0,
            closed_unix_ns: 0,
            error: 0,
            application: "",
            application_seen: false,
            server_name: Box::default(),
            adopted: false,
            established: false,
            reset_sent: false,
            silent: false,
            destroyed: false,
            flow: false,
            unowned: false,
            opened,
            ended: None,
            seen_in: 0,
            missing_since: None,
            told_bytes: 0,
            told: opened,
            slot: None,
        }
    }

    /// Whether new counters are worth a message.
    pub(super) fn counters_matter(&mut self, now: MonoNs) -> bool {
        let bytes = self.bytes_sent.saturating_add(self.bytes_received);
        let grew = bytes.saturating_sub(self.told_bytes);
        let matter = grew >= COUNTERS_GREW_BYTES.max(self.told_bytes / 16)
            || (grew > 0 && now.saturating_sub(self.told) >= COUNTERS_STALE_NS);
        if matter {
            self.told_bytes = bytes;
            self.told = now;
        }
        matter
    }

    pub(super) fn message(&self, cookie: u64) -> v1::Connection {
        let translation = self.translation.as_deref();
        v1::Connection {
            cookie,
            protocol: protocol(self.protocol).into(),
            direction: self.direction.into(),
            state: self.state.into(),
            local: self.local.map(Into::into),
            remote: self.remote.map(Into::into),
            translated_local: translation.and_then(|t| t.local).map(Into::into),
            translated_remote: translation.and_then(|t| t.remote).map(Into::into),
            network_namespace: self.network_namespace,
            process: self.process.map(key),
            cgroup_id: self.cgroup_id,
            container_id: self.container.as_deref().unwrap_or_default().to_owned(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            rtt_us: self.rtt_us,
            retransmits: self.retransmits,
            opened_unix_ns: self.opened_unix_ns,
            closed_unix_ns: self.closed_unix_ns,
            error: self.error,
            application: self.application.to_owned(),
            application_seen: self.application_seen,
            server_name: self.server_name.to_string(),
            adopted: self.adopted,
        }
    }
}

pub(super) fn protocol(protocol: Protocol) -> v1::Protocol {
    match protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
    }
}

/// IPv4-mapped IPv6 addresses become IPv4, as on the wire.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
