//! Local ends of connections by socket cookie. Ended ones are kept for a while, so that the
//! repeated records of one socket's end are told once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use mesoscope_capture::{MonoNs, ProcessId, Protocol};
use mesoscope_proto::v1::{self, ConnectionState, Direction};
use rustc_hash::FxHashMap;

use super::connection::{Connection, canonical};
use super::owner::OwnerSource;
use super::pending;
use super::state::NodeState;
use crate::core::ports;

/// Highest bit: a number of the agent's, not a socket cookie.
pub(super) const OWN_NUMBER: u64 = 1 << 63;

/// Ended connections over the bound before the next tick.
const STORM: usize = 1_024;

/// Where a connection's ends are: found again when conntrack tells of the flow.
pub(super) type Ends = (Protocol, SocketAddr, SocketAddr);

#[derive(Default)]
pub(super) struct Connections {
    pub(super) by_key: FxHashMap<u64, Connection>,
    /// Sockets that were connected again: cookie to the key of their present connection.
    aliases: FxHashMap<u64, u64>,
    by_ends: FxHashMap<Ends, u64>,
    /// Connected UDP sockets whose local end is not known yet, by the remote one.
    unlocated: FxHashMap<SocketAddr, Vec<u64>>,
    ended: VecDeque<(MonoNs, u64)>,
    /// Without an owner: tried again when listeners become known.
    pub(super) unowned: VecDeque<u64>,
    own_numbers: u64,
    /// Passes over the sockets so far.
    pub(super) passes: u32,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn ended_len(&self) -> usize {
        self.ended.len()
    }

    pub(super) fn unowned_len(&self) -> usize {
        self.unowned.len()
    }

    /// The key of a socket's present connection.
    pub(super) fn key_of(&self, cookie: u64) -> u64 {
        self.aliases.get(&cookie).copied().unwrap_or(cookie)
    }

    pub(super) fn own_number(&mut self) -> u64 {
        self.own_numbers += 1;
        OWN_NUMBER | self.own_numbers
    }

    /// A new key for the present connection of a socket that was connected before.
    pub(super) fn renamed(&mut self, cookie: u64) -> u64 {
        let key = self.own_number();
        self.aliases.insert(cookie, key);
        key
    }

    /// The connected UDP sockets that a flow to `remote` may be of: those whose local end is not
    /// known yet.
    pub(super) fn unlocated(&mut self, remote: SocketAddr) -> &[u64] {
        let by_key = &self.by_key;
        match self.unlocated.get_mut(&remote) {
            None => &[],
            Some(keys) => {
                keys.retain(|key| {
                    by_key
                        .get(key)
                        .is_some_and(|c| c.local.is_none() && c.ended.is_none())
                });
                keys
            }
        }
    }

    pub(super) fn by_ends(&self, ends: &Ends) -> Option<u64> {
        self.by_ends.get(ends).copied()
    }

    pub(super) fn flushed(&mut self, key: u64) -> Option<v1::Connection> {
        let connection = self.by_key.get_mut(&key)?;
        connection.slot = None;
        Some(connection.message(key))
    }

    /// An ended connection is told with its process or not at all: who does not know the process
    /// could not tell that it has ended too.
    pub(super) fn snapshot(
        &self,
        since: MonoNs,
        is_told: &dyn Fn(&ProcessId) -> bool,
        emit: &mut dyn FnMut(v1::Connection),
    ) {
        for (key, connection) in &self.by_key {
            let has_place = connection.ended.is_none_or(|ended| {
                ended >= since && connection.process.as_ref().is_none_or(is_told)
            });
            if !connection.silent && has_place {
                emit(connection.message(*key));
            }
        }
    }
}

impl NodeState {
    /// A local process called connect().
    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    pub(super) fn connected(
        &mut self,
        time: MonoNs,
        cookie: u64,
        process: ProcessId,
        cgroup_id: u64,
        network_namespace: u64,
        protocol: Protocol,
        remote: SocketAddr,
    ) {
        // Name resolution asks for routes by connecting to port 0: nothing is ever sent there.
        if cookie == 0 || remote.port() == 0 {
            return;
        }
        let remote = canonical(remote);
        self.no_listener(time, cookie);
        let mut key = self.connections.key_of(cookie);
        if let Some(known) = self.connections.by_key.get_mut(&key) {
            let same = known.ended.is_none() && known.remote.is_none_or(|known| known == remote);
            if same {
                known.process = Some(process);
                known.owner = OwnerSource::Connect;
                known.direction = Direction::Outbound;
                known.remote = Some(remote);
                self.mark_connection(key);
                return;
            }
            if known.ended.is_none() {
                self.end(key, time, ConnectionState::Closed);
            }
            // The same socket again, to another place or after a failure: another connection.
            key = self.connections.renamed(cookie);
        }
        let mut connection = Connection::new(protocol, time);
        connection.direction = Direction::Outbound;
        connection.remote = Some(remote);
        connection.network_namespace = network_namespace;
        connection.process = Some(process);
        connection.owner = OwnerSource::Connect;
        connection.cgroup_id = cgroup_id;
        connection.opened_unix_ns = self.clock.unix_ns(time);
        if self.insert_connection(key, connection) && protocol == Protocol::Udp {
            self.connections
                .unlocated
                .entry(remote)
                .or_default()
                .push(key);
        }
    }

    /// Keeps a new connection; false when there is no room for it.
    pub(super) fn insert_connection(&mut self, key: u64, mut connection: Connection) -> bool {
        if self.connections.by_key.len() >= self.limits.connections {
            self.expire_connections();
            if self.connections.by_key.len() >= self.limits.connections {
                self.counters.over_limit += 1;
                return false;
            }
        }
        connection.container = self.connection_container(&connection);
        let remote = connection.remote;
        let silent = connection.silent;
        self.connections.by_key.insert(key, connection);
        self.ends_known(key);
        if let Some(remote) = remote {
            self.address_seen(remote);
        }
        if !silent {
            self.mark_connection(key);
        }
        true
    }

    /// After the local or remote end of a connection became known.
    pub(super) fn ends_known(&mut self, key: u64) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        if let Some(remote) = connection.remote
            && connection.application.is_empty()
        {
            let server = match (connection.direction, connection.local) {
                (Direction::Inbound, Some(local)) => local,
                _ => remote,
            };
            connection.application =
                ports::application(connection.protocol, server.port()).unwrap_or_default();
        }
        if let (Some(local), Some(remote)) = (connection.local, connection.remote) {
            let ends = (connection.protocol, local, remote);
            connection.translation = self.nat.translation(&ends).map(Box::new);
            self.connections.by_ends.insert(ends, key);
        }
    }

    pub(super) fn connection_container(&self, connection: &Connection) -> Option<Arc<str>> {
        self.container_of(connection.cgroup_id).or_else(|| {
            let process = self.processes.get(connection.process?)?;
            process.container.clone()
        })
    }

    /// Ends a connection, once.
    pub(super) fn end(&mut self, key: u64, time: MonoNs, state: ConnectionState) {
        let closed_unix_ns = self.clock.unix_ns(time);
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        connection.state = state;
        connection.silent = false;
        if connection.ended.is_none() {
            connection.ended = Some(time);
            connection.closed_unix_ns = closed_unix_ns;
            self.connections.ended.push_back((time, key));
        }
        self.mark_connection(key);
        // In a storm a second is too long to wait for the next tick.
        if self.connections.ended.len() > self.limits.connections_ended + STORM {
            self.expire_connections();
        }
    }

    /// Takes an inferred end back: the socket is there after all.
    pub(super) fn revive(&mut self, key: u64) {
        if let Some(connection) = self.connections.by_key.get_mut(&key) {
            connection.ended = None;
            connection.closed_unix_ns = 0;
            connection.state = ConnectionState::Open;
            self.connections.ended.retain(|(_, ended)| *ended != key);
            self.mark_connection(key);
        }
    }

    pub(super) fn expire_connections(&mut self) {
        let by_key = &self.connections.by_key;
        self.connections.unlocated.retain(|_, keys| {
            keys.retain(|key| {
                by_key
                    .get(key)
                    .is_some_and(|c| c.local.is_none() && c.ended.is_none())
            });
            !keys.is_empty()
        });
        // Ends that wait for their socket's last record would count twice if they were forgotten:
        // they stay for as long as the bound allows.
        let mut waiting = Vec::new();
        while let Some((time, key)) = self.connections.ended.front().copied() {
            let over = self.connections.ended.len() + waiting.len() > self.limits.connections_ended;
            let expired = time.saturating_add(self.limits.tombstone_ns) <= self.now;
            if !expired && !over {
                break;
            }
            self.connections.ended.pop_front();
            let last_record_missing = self
                .connections
                .by_key
                .get(&key)
                .is_some_and(|c| c.protocol == Protocol::Tcp && !c.destroyed && c.error != 0);
            if last_record_missing && !over {
                waiting.push((time, key));
                continue;
            }
            self.forget_connection(key);
        }
        for item in waiting.into_iter().rev() {
            self.connections.ended.push_front(item);
        }
    }

    /// The ends of a connection are other ones than was thought.
    pub(super) fn relocate(&mut self, key: u64, local: SocketAddr, remote: SocketAddr) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        if let (Some(old_local), Some(old_remote)) = (connection.local, connection.remote) {
            self.connections
                .by_ends
                .remove(&(connection.protocol, old_local, old_remote));
        }
        connection.local = Some(local);
        connection.remote = Some(remote);
        self.ends_known(key);
    }

    /// After a storm the tables give back what they no longer need.
    pub(super) fn shrink_connections(&mut self) {
        let table = &mut self.connections.by_key;
        if table.capacity() > 4_096 && table.len() < table.capacity() / 4 {
            table.shrink_to(table.len() * 2);
            self.connections.by_ends.shrink_to_fit();
        }
    }

    fn forget_connection(&mut self, key: u64) {
        let Some(mut connection) = self.connections.by_key.remove(&key) else {
            return;
        };
        if connection.slot.is_some() {
            let message = connection.message(key);
            pending::freeze(&mut self.pending.connections, &mut connection.slot, message);
        }
        if let (Some(local), Some(remote)) = (connection.local, connection.remote) {
            let ends = (connection.protocol, local, remote);
            if self.connections.by_ends.get(&ends) == Some(&key) {
                self.connections.by_ends.remove(&ends);
            }
        }
        if key & OWN_NUMBER != 0 {
            self.connections.aliases.retain(|_, alias| *alias != key);
        }
    }

    /// Tells of it at the next flush.
    pub(super) fn mark_connection(&mut self, key: u64) {
        if let Some(connection) = self.connections.by_key.get_mut(&key)
            && !connection.silent
        {
            pending::mark(&mut self.pending.connections, &mut connection.slot, key);
        }
    }

    /// Tier 2 recognised what a socket speaks.
    pub(super) fn recognised(&mut self, cookie: u64, application: &'static str, server_name: &str) {
        let key = self.connections.key_of(cookie);
        if let Some(connection) = self.connections.by_key.get_mut(&key) {
            let is_named = server_name.is_empty() || *connection.server_name == *server_name;
            if connection.application_seen && connection.application == application && is_named {
                return;
            }
            // A stream that carries TLS or HTTP/2 is recognised again as what is inside.
            connection.application = application;
            connection.application_seen = true;
            if !server_name.is_empty() {
                connection.server_name = server_name.into();
            }
            self.mark_connection(key);
        }
    }

    fn address_seen(&mut self, remote: SocketAddr) {
        const WAITING_MAX: usize = 1_024;
        let address = remote.ip();
        if address.is_loopback()
            || address.is_unspecified()
            || self.new_addresses.len() >= WAITING_MAX
        {
            return;
        }
        if self
            .names
            .contains_key(&mesoscope_proto::address::to_bytes(address))
            || self.new_addresses.contains(&address)
        {
            return;
        }
        self.new_addresses.push(address);
    }
}
