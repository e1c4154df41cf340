//! Sockets that wait for others, found by network namespace and port.

use std::net::SocketAddr;
use std::sync::Arc;

use mesoscope_capture::{MonoNs, ProcessId, Protocol};
use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use super::connection::{canonical, protocol as wire_protocol};
use super::pending::{self, Slot};
use super::state::{NodeState, key};

#[derive(Debug)]
pub(super) struct Listener {
    protocol: Protocol,
    local: SocketAddr,
    network_namespace: u64,
    pub(super) process: Option<ProcessId>,
    cgroup_id: u64,
    container: Option<Arc<str>>,
    closed_unix_ns: u64,
    closed: Option<MonoNs>,
    opened: MonoNs,
    /// Known to wait for others. A TCP socket that is only bound may yet connect.
    listening: bool,
    seen_in: u32,
    slot: Slot,
}

/// What the listener of a port says of a connection to it.
pub(super) struct Owner {
    pub(super) cookie: u64,
    pub(super) process: Option<ProcessId>,
}

type Place = (u64, Protocol, u16);

#[derive(Default)]
pub(super) struct Listeners {
    by_cookie: FxHashMap<u64, Listener>,
    by_port: FxHashMap<Place, Vec<u64>>,
}

impl Listeners {
    pub(super) fn len(&self) -> usize {
        self.by_cookie.len()
    }

    pub(super) fn flushed(&mut self, cookie: u64) -> Option<v1::Listener> {
        let listener = self.by_cookie.get_mut(&cookie)?;
        listener.slot = None;
        Some(listener.message(cookie))
    }

    pub(super) fn snapshot(&self, emit: &mut dyn FnMut(v1::Listener)) {
        for (cookie, listener) in &self.by_cookie {
            if listener.listening && listener.closed.is_none() {
                emit(listener.message(*cookie));
            }
        }
    }

    /// The listener that a connection to `local` reaches. Where several processes listen on the same
    /// port (SO_REUSEPORT), those of the connection's cgroup come first, then the oldest: workers
    /// that were forked share their parent's name.
    pub(super) fn find(
        &self,
        namespace: u64,
        protocol: Protocol,
        local: SocketAddr,
        cgroup_id: u64,
    ) -> Option<Owner> {
        let cookies = self.by_port.get(&(namespace, protocol, local.port()))?;
        let candidates = cookies
            .iter()
            .filter_map(|cookie| Some((*cookie, self.by_cookie.get(cookie)?)));
        candidates
            .filter(|(_, listener)| {
                listener.local.ip() == local.ip() || listener.local.ip().is_unspecified()
            })
            .min_by_key(|(_, listener)| {
                (
                    listener.closed.is_some(),
                    listener.local.ip().is_unspecified(),
                    cgroup_id != 0 && listener.cgroup_id != cgroup_id,
                    listener.process.is_none(),
                    listener
                        .process
                        .map_or(0, |process| process.start_boottime_ns),
                )
            })
            .map(|(cookie, listener)| Owner {
                cookie,
                process: listener.process,
            })
    }
}

impl Listener {
    fn message(&self, cookie: u64) -> v1::Listener {
        v1::Listener {
            cookie,
            protocol: wire_protocol(self.protocol).into(),
            local: Some(self.local.into()),
            network_namespace: self.network_namespace,
            process: self.process.map(key),
            cgroup_id: self.cgroup_id,
            container_id: self.container.as_deref().unwrap_or_default().to_owned(),
            closed_unix_ns: self.closed_unix_ns,
        }
    }
}

/// A socket that waits, or is bound and may do so.
pub(super) struct Bound {
    pub(super) cookie: u64,
    pub(super) protocol: Protocol,
    pub(super) local: SocketAddr,
    pub(super) network_namespace: u64,
    pub(super) process: Option<ProcessId>,
    pub(super) cgroup_id: u64,
    pub(super) listening: bool,
    /// Number of the pass over the sockets that shows it, 0 for a record of bind().
    pub(super) seen_in: u32,
}

impl NodeState {
    /// A socket was bound, or a pass over the sockets shows it waiting.
    pub(super) fn bound(&mut self, time: MonoNs, bound: Bound) {
        if bound.cookie == 0 || bound.local.port() == 0 {
            return;
        }
        let local = canonical(bound.local);
        if let Some(known) = self.listeners.by_cookie.get_mut(&bound.cookie) {
            let before = (known.listening, known.process, known.closed, known.local);
            known.listening |= bound.listening;
            known.seen_in = bound.seen_in.max(known.seen_in);
            // A socket that outlived its end as we inferred it, or was bound to another address.
            if known.closed.is_some() && bound.listening {
                known.closed = None;
                known.closed_unix_ns = 0;
            }
            let owner_gone = known
                .process
                .is_none_or(|process| !self.processes.alive(process));
            if bound.process.is_some() && (known.process.is_none() || owner_gone) {
                known.process = bound.process;
            }
            let (place, old) = (known.network_namespace, known.local);
            known.local = local;
            let changed = before != (known.listening, known.process, known.closed, known.local);
            if old.port() != local.port() {
                let protocol = known.protocol;
                self.forget_port((place, protocol, old.port()), bound.cookie);
                self.listeners
                    .by_port
                    .entry((place, protocol, local.port()))
                    .or_default()
                    .push(bound.cookie);
            }
            if changed {
                self.mark_listener(bound.cookie);
            }
            return;
        }
        if self.listeners.by_cookie.len() >= self.limits.listeners {
            self.counters.over_limit += 1;
            return;
        }
        let container = self.container_of(bound.cgroup_id).or_else(|| {
            let process = self.processes.get(bound.process?)?;
            process.container.clone()
        });
        let listener = Listener {
            protocol: bound.protocol,
            local,
            network_namespace: bound.network_namespace,
            process: bound.process,
            cgroup_id: bound.cgroup_id,
            container,
            closed_unix_ns: 0,
            closed: None,
            opened: time,
            listening: bound.listening,
            seen_in: bound.seen_in,
            slot: None,
        };
        let place = (bound.network_namespace, bound.protocol, local.port());
        self.listeners.by_cookie.insert(bound.cookie, listener);
        self.listeners
            .by_port
            .entry(place)
            .or_default()
            .push(bound.cookie);
        self.mark_listener(bound.cookie);
    }

    /// A socket of a listener ended. True when the cookie is a listener's.
    pub(super) fn listener_ended(&mut self, time: MonoNs, cookie: u64, destroyed: bool) -> bool {
        let known = self.listeners.by_cookie.contains_key(&cookie);
        if known && destroyed {
            self.close_listener(time, cookie);
        }
        known
    }

    /// The socket turned out to connect and not to wait.
    pub(super) fn no_listener(&mut self, time: MonoNs, cookie: u64) {
        self.close_listener(time, cookie);
        self.forget_listener(cookie);
    }

    /// Somebody was accepted: a socket that was only known to be bound waits for others.
    pub(super) fn is_listening(&mut self, cookie: u64) {
        if let Some(listener) = self.listeners.by_cookie.get_mut(&cookie)
            && !listener.listening
        {
            listener.listening = true;
            self.mark_listener(cookie);
        }
    }

    fn close_listener(&mut self, time: MonoNs, cookie: u64) {
        let closed_unix_ns = self.clock.unix_ns(time);
        if let Some(listener) = self.listeners.by_cookie.get_mut(&cookie)
            && listener.closed.is_none()
        {
            listener.closed = Some(time);
            listener.closed_unix_ns = closed_unix_ns;
            self.mark_listener(cookie);
        }
    }

    /// Closes what a pass over the sockets that began at `started` did not have.
    pub(super) fn close_missing_listeners(
        &mut self,
        started: MonoNs,
        pass: u32,
        covered: &dyn Fn(u64) -> bool,
    ) {
        let missing: Vec<u64> = self
            .listeners
            .by_cookie
            .iter()
            .filter(|(_, l)| {
                l.closed.is_none()
                    && l.seen_in != pass
                    && l.opened < started
                    && covered(l.network_namespace)
            })
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in missing {
            self.close_listener(started, cookie);
        }
    }

    pub(super) fn expire_listeners(&mut self) {
        let deadline = self.now.saturating_sub(self.limits.tombstone_ns);
        let expired: Vec<u64> = self
            .listeners
            .by_cookie
            .iter()
            .filter(|(_, listener)| listener.closed.is_some_and(|closed| closed <= deadline))
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in expired {
            self.forget_listener(cookie);
        }
    }

    fn forget_listener(&mut self, cookie: u64) {
        let Some(mut listener) = self.listeners.by_cookie.remove(&cookie) else {
            return;
        };
        if listener.slot.is_some() {
            let message = listener.message(cookie);
            pending::freeze(&mut self.pending.listeners, &mut listener.slot, message);
        }
        self.forget_port(
            (
                listener.network_namespace,
                listener.protocol,
                listener.local.port(),
            ),
            cookie,
        );
    }

    fn forget_port(&mut self, place: Place, cookie: u64) {
        if let Some(cookies) = self.listeners.by_port.get_mut(&place) {
            cookies.retain(|known| *known != cookie);
            if cookies.is_empty() {
                self.listeners.by_port.remove(&place);
            }
        }
    }

    fn mark_listener(&mut self, cookie: u64) {
        if let Some(listener) = self.listeners.by_cookie.get_mut(&cookie)
            && listener.listening
        {
            pending::mark(&mut self.pending.listeners, &mut listener.slot, cookie);
        }
    }
}
