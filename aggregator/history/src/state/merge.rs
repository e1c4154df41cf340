//! What a message adds to an earlier one of the same thing.

use mesoscope_proto::v1::{self, ConnectionState, Direction};

const NS_PER_MS: u64 = 1_000_000;

/// A later message of a process. False when it is overtaken by what is known.
pub(crate) fn merge_process(known: &mut v1::Process, mut told: v1::Process) -> bool {
    if told.time_unix_ns < known.time_unix_ns && told.exit.is_none() {
        return false;
    }
    // What has ended stays ended; when that was told counts, and not what was told later.
    let had_ended = known.exit.is_some();
    if told.exit.is_none() {
        told.exit = known.exit.take();
    }
    *known = told;
    !had_ended
}

/// Whether a message says that the listener waits no longer.
pub(crate) fn closes(told: &v1::Listener) -> bool {
    told.closed_unix_ns != 0
}

/// Whether another name takes the place of the one that is known: an address keeps its first, but what a
/// process asked for outranks a reverse look-up.
pub(crate) fn outranks(told: &v1::AddressName, known: &v1::AddressName) -> bool {
    told.from_answer && !known.from_answer
}

/// The same socket and not another one with a cookie that came again.
pub(crate) fn same_socket(known: &v1::Connection, told: &v1::Connection) -> bool {
    known.protocol == told.protocol && known.local == told.local && known.remote == told.remote
}

fn is_open(connection: &v1::Connection) -> bool {
    connection.state() == ConnectionState::Open
}

/// Says in plain words whether it is open.
pub(crate) fn settle(told: &mut v1::Connection, now_ms: u64) {
    if told.state() == ConnectionState::Unspecified {
        told.set_state(if told.closed_unix_ns == 0 {
            ConnectionState::Open
        } else {
            ConnectionState::Closed
        });
    }
    if is_open(told) {
        told.closed_unix_ns = 0;
    } else if told.closed_unix_ns == 0 {
        told.closed_unix_ns = now_ms.saturating_mul(NS_PER_MS);
    }
}

/// A later message of a connection: totals only grow, an end stays ended, and what is known is not
/// forgotten.
pub(crate) fn merge_connection(known: &mut v1::Connection, told: v1::Connection) {
    let bytes = |it: &v1::Connection| it.bytes_sent.saturating_add(it.bytes_received);
    if bytes(&told) >= bytes(known) && told.rtt_us != 0 {
        known.rtt_us = told.rtt_us;
    }
    known.bytes_sent = known.bytes_sent.max(told.bytes_sent);
    known.bytes_received = known.bytes_received.max(told.bytes_received);
    known.retransmits = known.retransmits.max(told.retransmits);
    if !is_open(&told) {
        if is_open(known) {
            known.state = told.state;
            known.closed_unix_ns = told.closed_unix_ns;
        } else {
            known.state = known.state.max(told.state);
        }
    }
    if told.error != 0 {
        known.error = told.error;
    }
    if told.opened_unix_ns != 0
        && (known.opened_unix_ns == 0 || told.opened_unix_ns < known.opened_unix_ns)
    {
        known.opened_unix_ns = told.opened_unix_ns;
    }
    if told.direction() != Direction::Unspecified {
        known.direction = told.direction;
    }
    known.translated_local = told.translated_local.or(known.translated_local.take());
    known.translated_remote = told.translated_remote.or(known.translated_remote.take());
    if told.network_namespace != 0 {
        known.network_namespace = told.network_namespace;
    }
    if told.cgroup_id != 0 {
        known.cgroup_id = told.cgroup_id;
    }
    if !told.server_name.is_empty() {
        known.server_name = told.server_name;
    }
    if !told.application.is_empty() && (told.application_seen || !known.application_seen) {
        known.application = told.application;
        known.application_seen = told.application_seen;
    }
    known.process = told.process.or(known.process);
    if !told.container_id.is_empty() {
        known.container_id = told.container_id;
    }
}
