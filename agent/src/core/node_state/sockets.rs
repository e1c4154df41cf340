//! What a pass over all sockets adds, corrects and closes.

use mesoscope_capture::{MonoNs, Protocol, Socket};
use mesoscope_proto::v1::{ConnectionState, Direction};
use rustc_hash::{FxHashMap, FxHashSet};

use super::connection::{Connection, canonical};
use super::listeners::Bound;
use super::owner::OwnerSource;
use super::state::NodeState;

// include/net/tcp_states.h
const TCP_ESTABLISHED: u8 = 1;
const TCP_SYN_SENT: u8 = 2;
const TCP_SYN_RECV: u8 = 3;
const TCP_CLOSE: u8 = 7;
const TCP_LISTEN: u8 = 10;

/// A TCP socket without a descriptor may still send its last bytes for as long as the kernel tries
/// (net.ipv4.tcp_fin_timeout and orphan retries); after this it is taken for gone.
const DETACHED_NS: u64 = 130_000_000_000;

/// One pass over the sockets.
#[derive(Clone, Debug)]
pub struct SocketsFound {
    /// When the pass began.
    pub started: MonoNs,
    /// When it ended.
    pub ended: MonoNs,
    /// The sockets; one that several processes share is in it once for each.
    pub sockets: Vec<Socket>,
    /// Network namespaces that the pass covers; `None` for all of them.
    pub namespaces: Option<FxHashSet<u64>>,
    /// What exists was there before (the first pass, or events were lost).
    pub adopted: bool,
    /// Ends are told by no event: what is missing from the pass is gone.
    pub tells_ends: bool,
}

impl NodeState {
    /// Takes over a pass over the sockets.
    pub fn sockets_found(&mut self, found: SocketsFound) {
        self.now = self.now.max(found.ended);
        self.connections.passes = self.connections.passes.wrapping_add(1).max(1);
        let pass = self.connections.passes;
        let sockets = self.one_owner_each(&found.sockets);
        // Listeners first: whose a connection is depends on them.
        for socket in sockets.iter().filter(|socket| waits(socket)) {
            self.waiting_socket(found.started, pass, socket);
        }
        for socket in sockets.iter().filter(|socket| !waits(socket)) {
            self.connected_socket(&found, pass, socket);
        }
        let namespaces = found.namespaces.as_ref();
        let covered = |namespace: u64| namespaces.is_none_or(|set| set.contains(&namespace));
        self.close_missing_listeners(found.started, pass, &covered);
        self.close_missing_connections(&found, pass, &covered);
        self.own_waiting(found.ended);
    }

    /// A socket that is shared (inherited by children) is its connector's, else the oldest holder's.
    fn one_owner_each<'a>(&self, sockets: &'a [Socket]) -> Vec<&'a Socket> {
        let mut by_cookie: FxHashMap<u64, &'a Socket> = FxHashMap::default();
        for socket in sockets.iter().filter(|socket| socket.cookie != 0) {
            let known = self
                .connections
                .by_key
                .get(&self.connections.key_of(socket.cookie))
                .and_then(|c| c.process);
            let rank = |socket: &Socket| {
                (
                    socket.process.pid == 0,
                    Some(socket.process) != known,
                    socket.process.start_boottime_ns,
                    socket.process.pid,
                )
            };
            by_cookie
                .entry(socket.cookie)
                .and_modify(|best| {
                    if rank(socket) < rank(best) {
                        *best = socket;
                    }
                })
                .or_insert(socket);
        }
        by_cookie.into_values().collect()
    }

    fn waiting_socket(&mut self, started: MonoNs, pass: u32, socket: &Socket) {
        let listening = socket.protocol == Protocol::Udp || socket.tcp_state == TCP_LISTEN;
        if socket.protocol == Protocol::Udp {
            // A socket that was connected and is not any more.
            let key = self.connections.key_of(socket.cookie);
            if self
                .connections
                .by_key
                .get(&key)
                .is_some_and(|c| c.ended.is_none() && c.opened < started)
            {
                self.end(key, started, ConnectionState::Closed);
            }
        }
        self.bound(
            started,
            Bound {
                cookie: socket.cookie,
                protocol: socket.protocol,
                local: socket.local,
                network_namespace: socket.network_namespace,
                process: Some(socket.process).filter(|process| process.pid != 0),
                cgroup_id: socket.cgroup_id,
                listening,
                seen_in: pass,
            },
        );
    }

    fn connected_socket(&mut self, found: &SocketsFound, pass: u32, socket: &Socket) {
        let mut key = self.connections.key_of(socket.cookie);
        let remote = canonical(socket.remote);
        if let Some(known) = self.connections.by_key.get(&key) {
            let moved = known.remote.is_some_and(|known| known != remote);
            if known.opened >= found.started
                || (known.ended.is_some() && !moved && (known.destroyed || known.error != 0))
            {
                return;
            }
            if moved && socket.protocol == Protocol::Tcp && known.ended.is_none() {
                // The kernel knows better than connect()'s caller: 0.0.0.0 is the loopback, and hooks
                // of others may have put in another address.
                self.relocate(key, canonical(socket.local), remote);
                self.mark_connection(key);
            } else if moved {
                // Without a record of the connect: it happened, at a time that is not known.
                self.end(key, found.started, ConnectionState::Closed);
                key = self.connections.renamed(socket.cookie);
            } else if known.ended.is_some() {
                self.revive(key);
            }
        }
        if !self.connections.by_key.contains_key(&key) && !self.adopt(found, key, socket) {
            return;
        }
        self.refresh(found, pass, key, socket);
        self.own(key, found.ended);
    }

    fn adopt(&mut self, found: &SocketsFound, key: u64, socket: &Socket) -> bool {
        let mut connection = Connection::new(socket.protocol, found.started.saturating_sub(1));
        connection.local = Some(canonical(socket.local));
        connection.remote = Some(canonical(socket.remote));
        connection.network_namespace = socket.network_namespace;
        connection.cgroup_id = socket.cgroup_id;
        connection.process = Some(socket.process).filter(|process| process.pid != 0);
        connection.owner = OwnerSource::Snapshot;
        connection.opened_unix_ns = self.clock.unix_ns(found.started);
        connection.adopted = found.adopted;
        if socket.tcp_state == TCP_SYN_SENT {
            connection.direction = Direction::Outbound;
        }
        self.no_listener(found.started, socket.cookie);
        self.insert_connection(key, connection)
    }

    fn refresh(&mut self, found: &SocketsFound, pass: u32, key: u64, socket: &Socket) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        connection.seen_in = pass;
        connection.missing_since = None;
        let mut changed = std::mem::take(&mut connection.silent);
        if connection.local.is_none() || connection.remote.is_none() {
            connection.local = Some(canonical(socket.local));
            connection.remote = Some(canonical(socket.remote));
            changed = true;
        }
        if connection.owner < OwnerSource::Snapshot && socket.process.pid != 0 {
            connection.process = Some(socket.process);
            connection.owner = OwnerSource::Snapshot;
            changed = true;
        } else if connection.owner == OwnerSource::Snapshot
            && socket.process.pid != 0
            && connection.process != Some(socket.process)
        {
            // Its holder gave it to another (a worker) and closed it.
            connection.process = Some(socket.process);
            changed = true;
        }
        let established = !matches!(socket.tcp_state, TCP_SYN_SENT | TCP_SYN_RECV | TCP_CLOSE);
        connection.established |= socket.protocol == Protocol::Tcp
            && (established || socket.tcp_state == TCP_ESTABLISHED);
        connection.bytes_sent = connection.bytes_sent.max(socket.bytes_sent);
        connection.bytes_received = connection.bytes_received.max(socket.bytes_received);
        connection.retransmits = connection.retransmits.max(socket.retransmits);
        if socket.rtt_us != 0 {
            connection.rtt_us = socket.rtt_us;
        }
        changed |= connection.counters_matter(found.ended);
        if changed {
            self.ends_known(key);
            self.mark_connection(key);
        }
    }

    fn close_missing_connections(
        &mut self,
        found: &SocketsFound,
        pass: u32,
        covered: &dyn Fn(u64) -> bool,
    ) {
        let mut gone = Vec::new();
        for (key, connection) in &mut self.connections.by_key {
            let here = connection.seen_in == pass || connection.opened >= found.started;
            if connection.ended.is_some()
                || here
                || connection.flow
                || !covered(connection.network_namespace)
            {
                continue;
            }
            let since = *connection.missing_since.get_or_insert(found.started);
            let detached_ns = found.started.saturating_sub(since);
            if connection.protocol == Protocol::Udp
                || found.adopted
                || found.tells_ends
                || detached_ns > DETACHED_NS
            {
                gone.push(*key);
            }
        }
        for key in gone {
            self.end(key, found.started, ConnectionState::Closed);
        }
    }
}

/// Whether a socket waits for others (or may come to), and is not one end of a connection.
fn waits(socket: &Socket) -> bool {
    socket.remote.port() == 0
}
