//! Connections, by their ends.

use mesoscope_proto::v1::{self, ConnectionState};

use crate::{
    Topology,
    end::{End, Facts, Held, Merged},
    entities::Process,
    error::ChangeRefused,
    keys::{AgentKey, ContainerKey, EndKey, Owner},
};

impl Topology {
    pub(super) fn apply_connection(
        &mut self,
        agent: AgentKey,
        message: &v1::Connection,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        if message.cookie == 0 {
            return Err(ChangeRefused::Malformed("the cookie of a connection"));
        }
        let facts = Facts::parse(message, &mut self.symbols, now_ms)?;
        let known = self.agents[agent].ends.get(&message.cookie).copied();
        let known = match known {
            Some(key) if self.ends[key].facts.same_tuple(&facts) => Some(key),
            // Cookies start anew after a reboot: this is another socket.
            Some(other) => {
                self.forget_end(other, true, now_ms);
                None
            }
            None => None,
        };
        let Some(key) = known else {
            self.make_room_for_end(now_ms)?;
            return self.new_connection(agent, message, facts, now_ms, events);
        };
        let owner = self.ensure_process(agent, message.process.as_ref(), now_ms)?;
        let container = self.container_named(agent, &message.container_id, now_ms)?;
        let epoch = self.agents[agent].epoch;
        let entry = &mut self.ends[key];
        entry.epoch = epoch;
        let new_owner = owner != Owner::Unknown && owner != entry.owner;
        let new_container = container.is_some() && container != entry.container;
        let was_open = entry.facts.is_open();
        let needs_index = facts.translated.is_some() && facts.translated != entry.facts.translated;
        if needs_index {
            self.unindex(key);
        }
        let mut merged = self.ends[key].facts.merge(facts);
        merged.identity |= merged.closed && self.closing_parts(key);
        if needs_index {
            self.index(key);
        }
        if merged.identity {
            self.list_undecided(key);
        }
        if new_owner {
            self.set_owner(key, owner);
        }
        if new_container {
            self.ends[key].container = container;
        }
        self.settle_end(key, merged, new_owner || new_container, now_ms);
        if merged.closed && was_open {
            self.ends[key].held.ended = true;
            self.close_end(key, now_ms);
        }
        if self.ends.contains_key(key) {
            self.offer_events(key, now_ms, events);
        }
        Ok(())
    }

    /// Draws what a merge changed.
    pub(crate) fn settle_end(&mut self, key: EndKey, merged: Merged, moved: bool, now_ms: u64) {
        if merged.identity || moved {
            let mut changed = self.rejoin(key);
            if !changed.contains(&key) {
                changed.push(key);
            }
            self.redraw(&changed, now_ms);
        } else if merged.span && self.has_closed_listeners() {
            self.redraw(&[key], now_ms);
        }
        if merged.counters {
            self.refresh(key, now_ms);
        }
    }

    fn new_connection(
        &mut self,
        agent: AgentKey,
        message: &v1::Connection,
        facts: Facts,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        let owner = self.ensure_process(agent, message.process.as_ref(), now_ms)?;
        let container = self.container_named(agent, &message.container_id, now_ms)?;
        let open = facts.is_open();
        let failed = facts.state == ConnectionState::Failed;
        // Those that were there before were not opened now.
        let opened_now = !facts.adopted && !self.agents[agent].in_snapshot;
        let key = self.ends.insert(End {
            agent,
            cookie: message.cookie,
            facts,
            owner: Owner::Unknown,
            container,
            peer: None,
            drawn: None,
            process_slot: 0,
            remote_slot: 0,
            epoch: self.agents[agent].epoch,
            held: Held {
                opened: opened_now && !failed,
                ended: !open,
                queued: false,
            },
        });
        self.agents[agent].ends.insert(message.cookie, key);
        self.index(key);
        self.set_owner(key, owner);
        let mut changed = self.rejoin(key);
        if !changed.contains(&key) {
            changed.push(key);
        }
        self.redraw(&changed, now_ms);
        for other in changed.iter().filter(|other| **other != key) {
            if self.ends[*other].held.any() {
                self.offer_events(*other, now_ms, events);
            }
        }
        self.offer_events(key, now_ms, events);
        if !open {
            self.close_end(key, now_ms);
        }
        Ok(())
    }

    pub(super) fn container_named(
        &mut self,
        agent: AgentKey,
        id: &str,
        now_ms: u64,
    ) -> Result<Option<ContainerKey>, ChangeRefused> {
        if id.is_empty() {
            return Ok(None);
        }
        self.ensure_container(agent, id, now_ms).map(Some)
    }

    fn make_room_for_end(&mut self, now_ms: u64) -> Result<(), ChangeRefused> {
        while self.ends.len() >= self.limits.connections {
            let Some((_, oldest)) = self.closed_ends.pop_front() else {
                return Err(ChangeRefused::Full("connections"));
            };
            self.totals.closed_connections_evicted += u64::from(self.ends.contains_key(oldest));
            self.forget_end(oldest, true, now_ms);
        }
        Ok(())
    }

    /// Enters an end into the indexes by address.
    fn index(&mut self, key: EndKey) {
        let end = &mut self.ends[key];
        self.join.insert(key, end);
        end.remote_slot = self
            .places
            .list_remote(end.agent, end.facts.real_remote(), key);
    }

    fn unindex(&mut self, key: EndKey) {
        let end = &self.ends[key];
        self.join.remove(key, end);
        let slot = end.remote_slot;
        let moved = self
            .places
            .unlist_remote(end.agent, end.facts.real_remote(), slot);
        if let Some(moved) = moved {
            self.ends[moved].remote_slot = slot;
        }
    }

    /// Notes whose socket it is, in the process's list, too.
    pub(crate) fn set_owner(&mut self, key: EndKey, owner: Owner) {
        self.leave_process(key);
        let end = &mut self.ends[key];
        let before = std::mem::replace(&mut end.owner, owner);
        if let Owner::Known(process) = owner {
            let list = &mut self.processes[process].ends;
            list.push(key);
            end.process_slot =
                u32::try_from(list.len() - 1).expect("ends are bounded far below 2^32");
        }
        self.list_undecided(key);
        self.touch_nameless(before);
        self.touch_nameless(owner);
        if before != owner {
            self.drop_nameless(before);
        }
    }

    /// Enters an end, or takes it out, where listeners look for those of which they can say more.
    fn list_undecided(&mut self, key: EndKey) {
        let end = &self.ends[key];
        let place = (end.agent, end.facts.protocol, end.facts.local.port());
        if end.is_undecided() {
            self.places.list_undecided(place, key);
        } else {
            self.places.unlist_undecided(place, key);
        }
    }

    fn leave_process(&mut self, key: EndKey) {
        let end = &self.ends[key];
        let (slot, Owner::Known(process)) = (end.process_slot, end.owner) else {
            return;
        };
        let Some(entry) = self.processes.get_mut(process) else {
            return;
        };
        entry.ends.swap_remove(slot as usize);
        if let Some(moved) = entry.ends.get(slot as usize).copied() {
            self.ends[moved].process_slot = slot;
        }
    }

    /// The end has closed: it waits for a late other end, then goes.
    pub(crate) fn close_end(&mut self, key: EndKey, now_ms: u64) {
        if let Some(owner) = self.ends.get(key).map(|end| end.owner) {
            self.touch_nameless(owner);
        }
        let until = now_ms.saturating_add(self.limits.ended_keep_ms);
        self.closed_ends.push_back((until, key));
        while self.closed_ends.len() > self.limits.closed_connections {
            if let Some((_, oldest)) = self.closed_ends.pop_front() {
                self.totals.closed_connections_evicted += u64::from(self.ends.contains_key(oldest));
                self.forget_end(oldest, true, now_ms);
            }
        }
    }

    /// Takes an end out of the table. With `keep_totals` its edge keeps what it added.
    pub(crate) fn forget_end(&mut self, key: EndKey, keep_totals: bool, now_ms: u64) {
        let Some(end) = self.ends.get(key) else {
            return;
        };
        let (agent, cookie, peer) = (end.agent, end.cookie, end.peer);
        let place = (agent, end.facts.protocol, end.facts.local.port());
        let peer_open = peer
            .and_then(|peer| self.ends.get(peer))
            .is_some_and(|peer| peer.facts.is_open());
        // The other end may have drawn for both. It goes along when it has closed, too; else it
        // goes on alone, with what it knows itself.
        let keep = keep_totals && !peer_open;
        self.erase(key, keep, now_ms);
        self.unindex(key);
        let owner = self.ends[key].owner;
        self.leave_process(key);
        self.touch_nameless(owner);
        self.places.unlist_undecided(place, key);
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.ends.remove(&cookie);
        }
        self.ends.remove(key);
        self.drop_nameless(owner);
        if let Some(peer) = peer
            && let Some(entry) = self.ends.get_mut(peer)
        {
            entry.peer = None;
            if keep {
                self.forget_end(peer, true, now_ms);
            } else {
                self.redraw(&[peer], now_ms);
            }
        }
    }

    /// Whether a process of which only sockets are known is over follows from these.
    pub(crate) fn touch_nameless(&mut self, owner: Owner) {
        if let Owner::Known(process) = owner
            && self.processes.get(process).is_some_and(|it| !it.known)
        {
            self.touch_process(process);
        }
    }

    /// A process of which only sockets were known goes with its last socket.
    pub(crate) fn drop_nameless(&mut self, owner: Owner) {
        let nameless = |process: &Process| {
            !process.known && process.ends.is_empty() && process.listeners.is_empty()
        };
        if let Owner::Known(process) = owner
            && self.processes.get(process).is_some_and(nameless)
        {
            self.remove_process(process);
        }
    }
}
