//! Whose a connection is, and who began it.

use mesoscope_capture::MonoNs;
use mesoscope_proto::v1::Direction;

use super::state::NodeState;

/// Ends that wait for their listener at most; the oldest are left without an owner.
pub const UNOWNED_MAX: usize = 4_096;
/// How long an ended connection waits for its listener to become known.
const UNOWNED_NS: u64 = 5_000_000_000;

/// Who told whose a connection is, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OwnerSource {
    Nobody,
    /// The process that listens on the local port.
    Listener,
    /// A pass over the sockets found a descriptor of it.
    Snapshot,
    /// The process that called connect().
    Connect,
}

impl NodeState {
    /// Finds the owner and the direction of a connection by the listener of its local port.
    pub(super) fn own(&mut self, key: u64, now: MonoNs) {
        if self.try_own(key) {
            return;
        }
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        let recent = connection
            .ended
            .is_some_and(|ended| now.saturating_sub(ended) < UNOWNED_NS);
        if recent && !connection.unowned {
            connection.unowned = true;
            if self.connections.unowned.len() >= UNOWNED_MAX {
                self.connections.unowned.pop_front();
            }
            self.connections.unowned.push_back(key);
        }
    }

    /// Whether ends wait for a listener that a pass over the sockets could show.
    #[must_use]
    pub fn wants_sockets(&self) -> bool {
        !self.connections.unowned.is_empty()
    }

    /// Listeners became known: tries those that wait again, and gives up on the old ones.
    pub(super) fn own_waiting(&mut self, now: MonoNs) {
        for key in std::mem::take(&mut self.connections.unowned) {
            if let Some(connection) = self.connections.by_key.get_mut(&key) {
                connection.unowned = false;
            }
            self.own(key, now);
        }
    }

    /// True when nothing more is to be found out.
    fn try_own(&mut self, key: u64) -> bool {
        let Some(connection) = self.connections.by_key.get(&key) else {
            return true;
        };
        if connection.process.is_some() && connection.direction != Direction::Unspecified {
            return true;
        }
        let (protocol, namespace) = (connection.protocol, connection.network_namespace);
        let (Some(local), Some(remote)) = (connection.local, connection.remote) else {
            return connection.process.is_some();
        };
        let cgroup_id = connection.cgroup_id;
        let listener = self.listeners.find(namespace, protocol, local, cgroup_id);
        let opposite = self
            .listeners
            .find(namespace, protocol, remote, 0)
            .is_some();
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return true;
        };
        let before = (connection.direction, connection.process);
        let listener_cookie = listener.as_ref().map(|owner| owner.cookie);
        if let Some(owner) = listener {
            if connection.direction == Direction::Unspecified {
                connection.direction = Direction::Inbound;
            }
            if connection.direction == Direction::Inbound
                && connection.process.is_none()
                && owner.process.is_some()
            {
                connection.process = owner.process;
                connection.owner = OwnerSource::Listener;
            }
        } else if opposite
            && connection.direction == Direction::Unspecified
            && local.ip() == remote.ip()
        {
            // Both ends are on this host and only the other one's port is listened on.
            connection.direction = Direction::Outbound;
        }
        let after = (connection.direction, connection.process);
        if before != after {
            if before.0 != after.0 && !connection.application_seen {
                connection.application = "";
            }
            if connection.container.is_none() {
                let container = self
                    .connections
                    .by_key
                    .get(&key)
                    .and_then(|c| self.connection_container(c));
                if let Some(connection) = self.connections.by_key.get_mut(&key) {
                    connection.container = container;
                }
            }
            self.ends_known(key);
            self.mark_connection(key);
        }
        if let Some(cookie) = listener_cookie.filter(|_| after.0 == Direction::Inbound) {
            self.is_listening(cookie);
        }
        after.1.is_some() && after.0 != Direction::Unspecified
    }
}
