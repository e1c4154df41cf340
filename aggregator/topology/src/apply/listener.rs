//! Listening sockets: who is behind the port that a connection reached.
//!
//! One that has closed is kept for [`crate::Limits::ended_keep_ms`], because the connections of its
//! time, which other agents may tell only later, belong to it and not to whoever listens next.

use mesoscope_proto::v1;
use smallvec::SmallVec;

use crate::{
    Topology, ViewKind,
    entities::Listener,
    error::ChangeRefused,
    keys::{AgentKey, EndKey, ListenerKey, Owner},
};

/// Closed listeners kept per port: each connection to the port looks at all of them. More means
/// that somebody opens and closes the port many times per second.
const CLOSED_PER_PORT_MAX: usize = 32;

type Ends = SmallVec<[EndKey; 8]>;

impl Topology {
    pub(super) fn apply_listener(
        &mut self,
        agent: AgentKey,
        message: &v1::Listener,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        let protocol = message.protocol();
        let local = message.local.as_ref().and_then(v1::Endpoint::socket_addr);
        let Some(local) =
            local.filter(|_| message.cookie != 0 && protocol != v1::Protocol::Unspecified)
        else {
            return Err(ChangeRefused::Malformed("the socket of a listener"));
        };
        let known = self.agents[agent].listeners.get(&message.cookie).copied();
        if message.closed_unix_ns != 0 {
            if let Some(known) = known {
                self.close_listener(known, message.closed_unix_ns, now_ms);
            }
            return Ok(());
        }
        if known.is_none() {
            self.make_room_for_listener(now_ms)?;
        }
        let owner = self.ensure_process(agent, message.process.as_ref(), now_ms)?;
        let container = self.container_named(agent, &message.container_id, now_ms)?;
        let listener = Listener {
            agent,
            cookie: message.cookie,
            protocol,
            local,
            network_namespace: message.network_namespace,
            owner,
            container,
            epoch: self.agents[agent].epoch,
            closed_unix_ns: 0,
            kept_until_ms: 0,
            consulted: false,
        };
        let concerned = match known {
            Some(known) => self.replace_listener(known, listener, now_ms),
            None => self.insert_listener(listener, now_ms),
        };
        for end in concerned {
            if self.ends[end].held.any() {
                self.offer_events(end, now_ms, events);
            }
        }
        Ok(())
    }

    /// Gives the ends of which it may say something.
    fn insert_listener(&mut self, listener: Listener, now_ms: u64) -> Ends {
        let (agent, cookie) = (listener.agent, listener.cookie);
        let key = self.listeners.insert(listener);
        self.agents[agent].listeners.insert(cookie, key);
        self.list_listener(key);
        let concerned = self.ends_concerned_by(key);
        self.redraw_each(&concerned, now_ms);
        concerned
    }

    /// The same socket, told again or with something new; also one that was thought to be closed.
    fn replace_listener(&mut self, key: ListenerKey, new: Listener, now_ms: u64) -> Ends {
        let old = &mut self.listeners[key];
        old.epoch = new.epoch;
        let says = |listener: &Listener| {
            (
                (listener.protocol, listener.local),
                listener.network_namespace,
                (listener.owner, listener.container),
                listener.closed_unix_ns,
            )
        };
        if says(old) == says(&new) {
            return Ends::new();
        }
        let owner = old.owner;
        let mut concerned = self.ends_concerned_by(key);
        self.unlist_listener(key);
        self.listeners[key] = new;
        self.list_listener(key);
        concerned.extend(self.ends_concerned_by(key));
        concerned.sort_unstable();
        concerned.dedup();
        self.redraw_each(&concerned, now_ms);
        self.touch_nameless(owner);
        self.drop_nameless(owner);
        concerned
    }

    fn make_room_for_listener(&mut self, now_ms: u64) -> Result<(), ChangeRefused> {
        while self.listeners.len() >= self.limits.listeners {
            if !self.evict_closed_listener(now_ms) {
                return Err(ChangeRefused::Full("listeners"));
            }
        }
        Ok(())
    }

    /// Enters a listener into the lists of its port and its process.
    fn list_listener(&mut self, key: ListenerKey) {
        let listener = &self.listeners[key];
        self.places.listen(listener.port(), key);
        if let Owner::Known(process) = listener.owner {
            self.processes[process].listeners.push(key);
            self.touch_process(process);
        }
    }

    fn unlist_listener(&mut self, key: ListenerKey) {
        let listener = &self.listeners[key];
        self.places.unlisten(listener.port(), key);
        let process = listener.owner.process();
        if let Some(process) = process.and_then(|key| self.processes.get_mut(key)) {
            process.listeners.retain(|known| *known != key);
            let node = process.node;
            self.graph_mut(ViewKind::Processes).touch_node(node);
        }
    }

    /// Whether the time of a connection can make a difference for whom it reached.
    pub(crate) fn has_closed_listeners(&self) -> bool {
        !self.closed_listeners.is_empty()
    }

    /// The socket waits no longer. What came to it stays with it while it is kept.
    pub(crate) fn close_listener(&mut self, key: ListenerKey, closed_unix_ns: u64, now_ms: u64) {
        let listener = &mut self.listeners[key];
        if listener.closed_unix_ns == closed_unix_ns {
            return;
        }
        let closes = listener.is_open();
        listener.closed_unix_ns = closed_unix_ns;
        let (owner, port) = (listener.owner, listener.port());
        let concerned = self.ends_concerned_by(key);
        self.redraw_each(&concerned, now_ms);
        self.touch_nameless(owner);
        if closes {
            self.keep_listener(key, now_ms);
            self.thin_out(port, now_ms);
            while self.closed_listeners.len() > self.limits.closed_listeners {
                if let Some(oldest) = self.next_closed_listener() {
                    self.totals.closed_listeners_evicted += 1;
                    self.forget_listener(oldest, now_ms);
                }
            }
        }
    }

    fn keep_listener(&mut self, key: ListenerKey, now_ms: u64) {
        let until = now_ms.saturating_add(self.limits.ended_keep_ms);
        self.listeners[key].kept_until_ms = until;
        self.closed_listeners.push_back((until, key));
    }

    /// Takes the next one out of the queue of those that are kept; `None` when it listens again, or
    /// has a later place in the queue.
    fn next_closed_listener(&mut self) -> Option<ListenerKey> {
        let (until, key) = self.closed_listeners.pop_front()?;
        let listener = self.listeners.get(key)?;
        (!listener.is_open() && listener.kept_until_ms == until).then_some(key)
    }

    /// Forgets the listener that closed first. False when there is none.
    fn evict_closed_listener(&mut self, now_ms: u64) -> bool {
        while !self.closed_listeners.is_empty() {
            if let Some(key) = self.next_closed_listener() {
                self.totals.closed_listeners_evicted += 1;
                self.forget_listener(key, now_ms);
                return true;
            }
        }
        false
    }

    /// Keeps the closed listeners of a port few.
    fn thin_out(&mut self, port: crate::places::Port, now_ms: u64) {
        let closed = self
            .places
            .listeners(port)
            .iter()
            .map(|key| (*key, &self.listeners[*key]))
            .filter(|(_, listener)| !listener.is_open());
        if closed.clone().count() <= CLOSED_PER_PORT_MAX {
            return;
        }
        let oldest = closed.min_by_key(|(_, listener)| (listener.closed_unix_ns, listener.cookie));
        if let Some((oldest, _)) = oldest {
            self.totals.closed_listeners_evicted += 1;
            self.forget_listener(oldest, now_ms);
        }
    }

    /// Forgets listeners that closed a while ago, but for those that a closed connection needs.
    pub(crate) fn expire_listeners(&mut self, now_ms: u64) {
        while self
            .closed_listeners
            .front()
            .is_some_and(|(until, _)| *until <= now_ms)
        {
            let Some(key) = self.next_closed_listener() else {
                continue;
            };
            if self.is_remembered(key) {
                self.keep_listener(key, now_ms);
            } else {
                self.forget_listener(key, now_ms);
            }
        }
    }

    /// Whether a connection that has closed is drawn by it: it stays as it is to its own end.
    fn is_remembered(&self, key: ListenerKey) -> bool {
        self.listeners[key].consulted
            && self.ends_concerned_by(key).into_iter().any(|end| {
                let end = &self.ends[end];
                let by = |place: crate::resolve::Place| place.listener == Some(key);
                !end.facts.is_open()
                    && (by(self.place_of_end(end))
                        || (end.peer.is_none() && by(self.place_of_remote(end))))
            })
    }

    /// Takes a listener out of the table.
    pub(crate) fn forget_listener(&mut self, key: ListenerKey, now_ms: u64) {
        let Some(listener) = self.listeners.get(key) else {
            return;
        };
        let (agent, cookie, owner) = (listener.agent, listener.cookie, listener.owner);
        let concerned = if listener.is_open() || listener.consulted {
            self.ends_concerned_by(key)
        } else {
            Ends::new()
        };
        self.unlist_listener(key);
        self.listeners.remove(key);
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.listeners.remove(&cookie);
        }
        self.touch_nameless(owner);
        self.redraw_each(&concerned, now_ms);
        self.drop_nameless(owner);
    }

    fn redraw_each(&mut self, ends: &[EndKey], now_ms: u64) {
        for end in ends {
            self.redraw(&[*end], now_ms);
        }
    }

    /// Ends whose process or direction, or whose other side, this listener may tell.
    pub(crate) fn ends_concerned_by(&self, key: ListenerKey) -> Ends {
        let mut concerned = Ends::new();
        let Some(listener) = self.listeners.get(key) else {
            return concerned;
        };
        let (agent, port) = (listener.agent, listener.local.port());
        concerned.extend(self.places.undecided(listener.port()));
        // A published port is reached under another number.
        let mut ports: SmallVec<[u16; 2]> = SmallVec::new();
        ports.push(port);
        if let Some(container) = listener.container.and_then(|key| self.containers.get(key)) {
            let published = super::container::published(&container.record);
            ports.extend(
                published
                    .iter()
                    .filter(|(_, _, inside)| *inside == port)
                    .map(|(_, host, _)| *host),
            );
        }
        let mut at = |ip| {
            for end in self.places.pointing_to(agent, ip) {
                let facts = &self.ends[*end].facts;
                let unjoined = self.ends[*end].peer.is_none();
                if unjoined
                    && facts.protocol == listener.protocol
                    && ports.contains(&facts.real_remote().port())
                {
                    concerned.push(*end);
                }
            }
        };
        if listener.local.ip().is_unspecified() {
            at([127, 0, 0, 1].into());
            for ip in self.addresses_of(agent, listener.container) {
                at(ip);
            }
        } else {
            at(listener.local.ip());
        }
        concerned
    }
}
