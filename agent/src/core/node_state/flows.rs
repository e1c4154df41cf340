//! UDP flows: of connected sockets by tier 2, and of unconnected ones by conntrack.

use std::net::SocketAddr;

use mesoscope_capture::{MonoNs, Protocol};
use mesoscope_proto::v1::{ConnectionState, Direction};

use super::connection::{Connection, canonical};
use super::connections::Ends;
use super::nat::{Flow, Translation};
use super::owner::OwnerSource;
use super::state::NodeState;

/// Tier 2: bytes of a UDP socket's flow so far.
pub(super) struct UdpBytes {
    pub(super) cookie: u64,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) network_namespace: u64,
    pub(super) cgroup_id: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) closed: bool,
}

impl NodeState {
    /// Tier 2 counted a flow of a UDP socket.
    pub(super) fn udp_bytes(&mut self, time: MonoNs, flow: &UdpBytes) {
        let ends = (Protocol::Udp, canonical(flow.local), canonical(flow.remote));
        let (socket, known_ends) = (
            self.connections.key_of(flow.cookie),
            self.connections.by_ends(&ends),
        );
        let of_socket = self.connections.by_key.get(&socket);
        let key = match (known_ends, of_socket) {
            (Some(key), _) => key,
            (None, Some(connection)) if connection.remote.is_none_or(|remote| remote == ends.2) => {
                socket
            }
            // An unconnected socket has a flow with each address that it talks to.
            _ if flow.closed || flow.remote.port() == 0 => return,
            _ => {
                let mut connection = Connection::new(Protocol::Udp, time);
                connection.flow = true;
                connection.local = Some(ends.1);
                connection.remote = Some(ends.2);
                connection.network_namespace = flow.network_namespace;
                connection.cgroup_id = flow.cgroup_id;
                connection.opened_unix_ns = self.clock.unix_ns(time);
                let key = self.connections.own_number();
                if !self.insert_connection(key, connection) {
                    return;
                }
                self.nat.udp.insert(ends, key);
                key
            }
        };
        if let Some(connection) = self.connections.by_key.get_mut(&key) {
            connection.bytes_sent = connection.bytes_sent.max(flow.bytes_sent);
            connection.bytes_received = connection.bytes_received.max(flow.bytes_received);
            if connection.local.is_none() {
                connection.local = Some(ends.1);
                self.ends_known(key);
            }
        }
        self.own(key, time);
        if flow.closed {
            self.nat.udp.remove(&ends);
            self.end(key, time, ConnectionState::Closed);
        } else {
            self.mark_connection(key);
        }
    }

    /// Conntrack told of a UDP flow.
    pub(super) fn udp_flow(
        &mut self,
        now: MonoNs,
        flow: &Flow,
        begun: (Ends, Translation),
        answered: (Ends, Translation),
    ) {
        // A connected socket that we know tells of itself; conntrack adds the bytes.
        for (ends, forward) in [(begun.0, true), (answered.0, false)] {
            let Some(key) = self
                .connections
                .by_ends(&ends)
                .filter(|key| self.nat.udp.get(&begun.0) != Some(key))
            else {
                continue;
            };
            self.flow_bytes(now, key, flow, forward);
            return;
        }
        let (key, forward) = match self.nat.udp.get(&begun.0) {
            Some(key) => (
                *key,
                self.connections
                    .by_key
                    .get(key)
                    .is_some_and(|c| c.direction != Direction::Inbound),
            ),
            None if flow.destroyed || flow.original.destination.port() == 0 => return,
            None if !self.connections.unlocated(begun.0.2).is_empty() => {
                self.locate_udp_flow(now, flow, begun.0);
                return;
            }
            None => match self.new_udp_flow(now, begun, answered) {
                Some(new) => new,
                None => return,
            },
        };
        self.flow_bytes(now, key, flow, forward);
        if flow.destroyed {
            self.nat.udp.remove(&begun.0);
            self.end_udp_flow(key, now);
        }
    }

    /// A flow of a connected socket that no pass has shown yet. Of several sockets it can't be told
    /// which one's it is; the edge is known without it.
    fn locate_udp_flow(&mut self, now: MonoNs, flow: &Flow, (_, local, remote): Ends) {
        if let [key] = *self.connections.unlocated(remote) {
            self.relocate(key, local, remote);
            self.mark_connection(key);
            self.flow_bytes(now, key, flow, true);
        }
    }

    fn new_udp_flow(
        &mut self,
        now: MonoNs,
        begun: (Ends, Translation),
        answered: (Ends, Translation),
    ) -> Option<(u64, bool)> {
        if self.nat.len() >= self.limits.flows {
            self.counters.over_limit += 1;
            return None;
        }
        let namespace = self.host_network_namespace;
        let (_, source, _) = begun.0;
        let (_, answerer, _) = answered.0;
        let asks = self.listeners.find(namespace, Protocol::Udp, source, 0);
        let answers = self.listeners.find(namespace, Protocol::Udp, answerer, 0);
        // A server on this host sees the asker as remote; else the flow is the asker's.
        let inbound = answers.is_some() && asks.is_none() && !self.is_local(source.ip());
        let ((protocol, local, remote), translation) = if inbound { answered } else { begun };
        let mut connection = Connection::new(protocol, now);
        connection.flow = true;
        connection.direction = if inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        connection.local = Some(local);
        connection.remote = Some(remote);
        connection.translation =
            (translation != Translation::default()).then(|| Box::new(translation));
        let owner = if inbound { answers } else { asks };
        if let Some(owner) = owner.filter(|owner| owner.process.is_some()) {
            connection.process = owner.process;
            connection.owner = OwnerSource::Listener;
            connection.network_namespace = namespace;
            connection.cgroup_id = owner
                .process
                .and_then(|id| self.processes.get(id))
                .map_or(0, |process| process.cgroup_id);
        }
        connection.opened_unix_ns = self.clock.unix_ns(now);
        let key = self.connections.own_number();
        if !self.insert_connection(key, connection) {
            return None;
        }
        self.nat.udp.insert(begun.0, key);
        Some((key, !inbound))
    }

    fn flow_bytes(&mut self, now: MonoNs, key: u64, flow: &Flow, forward: bool) {
        let (sent, received) = if forward {
            (flow.bytes_original, flow.bytes_reply)
        } else {
            (flow.bytes_reply, flow.bytes_original)
        };
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        connection.bytes_sent = connection.bytes_sent.max(sent);
        connection.bytes_received = connection.bytes_received.max(received);
        if connection.counters_matter(now) {
            self.mark_connection(key);
        }
    }

    pub(super) fn end_udp_flow(&mut self, key: u64, now: MonoNs) {
        if self
            .connections
            .by_key
            .get(&key)
            .is_some_and(|c| c.ended.is_none())
        {
            self.end(key, now, ConnectionState::Closed);
        }
    }
}
