//! What time does: things that ended go, rates move on, silent agents grow stale.

use mesoscope_proto::v1::{self, ContainerState};

use crate::{
    Topology, ViewKind,
    end::Merged,
    graph::Subject,
    keys::{AgentKey, Owner, ProcessKey},
    plugins::About,
};

/// Rates and agents are looked at this often.
const SECOND_MS: u64 = 1_000;
/// A container of which only ids are known goes when nothing in it has been seen for so long.
const UNKNOWN_KEEP_MS: u64 = 60_000;
/// That edges had no room is said for so long after the last one.
const UNDRAWN_SHOWN_MS: u64 = 60_000;

impl Topology {
    /// Lets time pass: expiry, rates, stale agents, events that waited for their other end. Call it
    /// a few times per second.
    pub fn advance(&mut self, now_ms: u64, events: &mut Vec<v1::Event>) {
        self.flush_held(now_ms, events);
        self.expire_ends(now_ms);
        self.expire_listeners(now_ms);
        self.expire_processes(now_ms);
        self.expire_containers(now_ms);
        for graph in &mut self.graphs {
            graph.expire(now_ms);
        }
        // A clock that was set back starts the count anew.
        let since = now_ms.checked_sub(self.rates_ms);
        if since.is_none_or(|since| since >= SECOND_MS) {
            if let Some(since) = since.filter(|_| self.rates_ms != 0) {
                let seconds = std::time::Duration::from_millis(since).as_secs_f64();
                for graph in &mut self.graphs {
                    graph.tick(seconds);
                }
            }
            self.rates_ms = now_ms;
            self.check_agents(now_ms, events);
            self.check_undrawn(now_ms);
        }
    }

    fn expire_ends(&mut self, now_ms: u64) {
        while let Some((until, key)) = self.closed_ends.front().copied() {
            if until > now_ms {
                break;
            }
            self.closed_ends.pop_front();
            let peer = self.ends.get(key).and_then(|end| end.peer);
            let peer_open = peer
                .and_then(|peer| self.ends.get(peer))
                .is_some_and(|peer| peer.facts.is_open());
            if peer_open {
                // The other end is still there and needs this one to be named.
                self.closed_ends
                    .push_back((now_ms.saturating_add(self.limits.ended_keep_ms), key));
            } else {
                self.forget_end(key, true, now_ms);
            }
        }
    }

    fn expire_processes(&mut self, now_ms: u64) {
        while let Some((until, key)) = self.ended_processes.front().copied() {
            if until > now_ms {
                break;
            }
            self.ended_processes.pop_front();
            self.remove_ended_process(key);
        }
        while let Some((until, count)) = self.evicted_early.front().copied() {
            if until > now_ms {
                break;
            }
            self.evicted_early.pop_front();
            self.evicted_early_count = self.evicted_early_count.saturating_sub(count);
        }
    }

    fn remove_ended_process(&mut self, key: ProcessKey) -> bool {
        let gone = |process: &crate::entities::Process| {
            process.ending && (process.has_ended() || !process.known)
        };
        let due = self.processes.get(key).is_some_and(gone);
        if due {
            self.remove_process(key);
        }
        due
    }

    /// Makes room by the process that ended first. False when there is none.
    pub(crate) fn evict_ended_process(&mut self, now_ms: u64) -> bool {
        while let Some((until, key)) = self.ended_processes.pop_front() {
            if !self.remove_ended_process(key) {
                continue;
            }
            self.totals.ended_processes_evicted += 1;
            self.evicted_early_count += 1;
            // One entry per second of the window is enough.
            let until = until.max(now_ms).next_multiple_of(SECOND_MS);
            match self.evicted_early.back_mut() {
                Some((last, count)) if *last >= until => *count += 1,
                _ => self.evicted_early.push_back((until, 1)),
            }
            return true;
        }
        false
    }

    /// Forgets a process. Its connections stay in the views above.
    pub(crate) fn remove_process(&mut self, key: ProcessKey) {
        let Some(process) = self.processes.remove(key) else {
            return;
        };
        self.plugins.forget(About::Process(key));
        for end in process.ends {
            if let Some(end) = self.ends.get_mut(end) {
                end.owner = Owner::Gone;
                // The node in the other views must not depend on a process that is gone.
                end.container = end.container.or(process.container);
            }
        }
        for listener in process.listeners {
            if let Some(listener) = self.listeners.get_mut(listener) {
                listener.owner = Owner::Gone;
                listener.container = listener.container.or(process.container);
            }
        }
        if let Some(agent) = self.agents.get_mut(process.agent) {
            agent.processes.remove(&(process.pid, process.start));
        }
        self.graph_mut(ViewKind::Processes)
            .remove_node(process.node);
    }

    fn expire_containers(&mut self, now_ms: u64) {
        while let Some((until, key)) = self.ended_containers.front().copied() {
            if until > now_ms {
                break;
            }
            self.ended_containers.pop_front();
            let gone = self
                .containers
                .get(key)
                .is_some_and(|entry| entry.ending && entry.is_removed());
            if gone {
                self.remove_container(key);
            }
        }
    }

    /// Removes containers that no runtime or cgroup named and in which nothing runs.
    fn sweep_unknown_containers(&mut self, now_ms: u64) {
        let mut unknown = std::mem::take(&mut self.unknown_containers);
        let mut idle = Vec::new();
        unknown.retain(|key| {
            let Some(entry) = self.containers.get(*key).filter(|entry| !entry.known) else {
                return false;
            };
            let node = &self.graphs[ViewKind::Containers.index()].nodes[entry.node];
            let young = node.first_seen_ms.saturating_add(UNKNOWN_KEEP_MS) > now_ms;
            let used = young || entry.processes > 0 || !node.edges.is_empty();
            if !used {
                idle.push(*key);
            }
            used
        });
        for key in idle {
            self.remove_container(key);
        }
        self.unknown_containers = unknown;
    }

    fn check_undrawn(&mut self, now_ms: u64) {
        let refused = self.graphs.iter().map(|graph| graph.refused).sum();
        let (before, last_ms) = self.undrawn;
        if refused != before {
            self.undrawn = (refused, now_ms);
            self.incomplete_revision += 1;
        } else if last_ms != 0 && now_ms.saturating_sub(last_ms) > UNDRAWN_SHOWN_MS {
            self.undrawn.1 = 0;
            self.incomplete_revision += 1;
        }
    }

    fn check_agents(&mut self, now_ms: u64, events: &mut Vec<v1::Event>) {
        self.sweep_unknown_containers(now_ms);
        let silent = |agent: &crate::agent::Agent, limit: u64| {
            !agent.connected && now_ms.saturating_sub(agent.last_seen_ms) >= limit
        };
        let (stale_after, forget_after) = (self.limits.stale_after_ms, self.limits.forget_after_ms);
        let mut forgotten = Vec::new();
        let mut stale = Vec::new();
        for (key, agent) in &self.agents {
            if silent(agent, forget_after) {
                forgotten.push(key);
            } else if !agent.stale && silent(agent, stale_after) {
                stale.push(key);
            }
        }
        for key in stale {
            self.agents[key].stale = true;
            self.incomplete_revision += 1;
            self.touch_all_of(key);
        }
        for key in forgotten {
            self.agent_event(key, "forgotten", now_ms, events);
            self.forget_agent(key, now_ms);
        }
    }

    /// Forgets an agent with all that it saw.
    fn forget_agent(&mut self, key: AgentKey, now_ms: u64) {
        let agent = &self.agents[key];
        let ends: Vec<_> = agent.ends.values().copied().collect();
        let listeners: Vec<_> = agent.listeners.values().copied().collect();
        let processes: Vec<_> = agent.processes.values().copied().collect();
        let containers: Vec<_> = agent.containers.values().copied().collect();
        for end in ends {
            self.forget_end(end, false, now_ms);
        }
        for listener in listeners {
            self.forget_listener(listener, now_ms);
        }
        for process in processes {
            self.remove_process(process);
        }
        for container in containers {
            self.remove_container(container);
        }
        for ip in self.names.forget(key) {
            self.touch_named(ip);
        }
        let graph = self.graph_mut(ViewKind::Containers);
        if let Some(node) = graph.find_pseudo(&Subject::Uncontained(key)) {
            graph.remove_node(node);
        }
        for ip in self.agents[key].addresses.clone() {
            self.places.disown(
                ip,
                crate::places::AddressOwner {
                    agent: key,
                    container: None,
                },
            );
            self.address_moved(key, ip, now_ms);
        }
        if let Some(agent) = self.agents.remove(key) {
            self.graph_mut(ViewKind::Hosts).remove_node(agent.node);
            self.agent_ids.remove(&agent.id);
            self.plugins.forget(About::Host(key));
        }
        self.incomplete_revision += 1;
    }

    /// The first part of a snapshot comes: what is not in it will be gone at its end.
    pub fn begin_snapshot(&mut self, agent: AgentKey) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.epoch = agent.epoch.wrapping_add(1);
            agent.in_snapshot = true;
        }
    }

    /// The last part of a snapshot has been applied: what was not in it is gone.
    pub fn end_snapshot(&mut self, agent: AgentKey, now_ms: u64, events: &mut Vec<v1::Event>) {
        let Some(entry) = self.agents.get_mut(agent).filter(|agent| agent.in_snapshot) else {
            return;
        };
        let epoch = entry.epoch;
        entry.account(now_ms);
        entry.in_snapshot = false;
        entry.has_snapshot = true;
        entry.gaps.retain(|open| open.epoch == epoch);
        entry.left_out.retain(|left| left.epoch == epoch);
        self.incomplete_revision += 1;
        self.touch_host(agent);
        self.sweep_ends(agent, epoch, now_ms);
        self.sweep_listeners(agent, epoch, now_ms);
        self.sweep_processes(agent, epoch, now_ms, events);
        self.sweep_containers(agent, epoch, now_ms, events);
        self.plugins.sweep(agent, epoch);
        self.agent_event(agent, "resynced", now_ms, events);
    }

    fn sweep_ends(&mut self, agent: AgentKey, epoch: u32, now_ms: u64) {
        let swept: Vec<_> = self.agents[agent].ends.values().copied().collect();
        for key in swept {
            // Closing one may make room by forgetting another.
            let Some(end) = self.ends.get_mut(key) else {
                continue;
            };
            if end.epoch == epoch || !end.facts.is_open() {
                continue;
            }
            let span = end.facts.span();
            end.facts.state = v1::ConnectionState::Closed;
            end.facts.closed_unix_ns = now_ms.saturating_mul(1_000_000);
            let merged = Merged {
                span: end.facts.span() != span,
                identity: self.closing_parts(key),
                counters: true,
                closed: true,
            };
            self.settle_end(key, merged, false, now_ms);
            self.close_end(key, now_ms);
        }
    }

    fn sweep_listeners(&mut self, agent: AgentKey, epoch: u32, now_ms: u64) {
        let swept: Vec<_> = self.agents[agent]
            .listeners
            .values()
            .filter(|key| {
                let listener = &self.listeners[**key];
                listener.epoch != epoch && listener.is_open()
            })
            .copied()
            .collect();
        for key in swept {
            self.close_listener(key, now_ms.saturating_mul(1_000_000), now_ms);
        }
    }

    fn sweep_processes(
        &mut self,
        agent: AgentKey,
        epoch: u32,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) {
        let swept: Vec<_> = self.agents[agent].processes.values().copied().collect();
        for key in swept {
            // Ending one may make room by forgetting another.
            let Some(process) = self.processes.get_mut(key) else {
                continue;
            };
            if process.epoch == epoch || !process.known || process.has_ended() {
                continue;
            }
            process.record.exit = Some(v1::ProcessExit {
                time_unix_ns: now_ms.saturating_mul(1_000_000),
                inferred: true,
                ..Default::default()
            });
            self.process_event(key, v1::EventKind::ProcessExited, events);
            self.end_process(key, now_ms);
        }
    }

    fn sweep_containers(
        &mut self,
        agent: AgentKey,
        epoch: u32,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) {
        let swept: Vec<_> = self.agents[agent].containers.values().copied().collect();
        for key in swept {
            // Ending one may make room by forgetting another.
            let Some(container) = self.containers.get_mut(key) else {
                continue;
            };
            let used = !container.known && container.processes > 0;
            if container.epoch == epoch || used || container.is_removed() {
                continue;
            }
            container.record.set_state(ContainerState::Removed);
            self.end_container(key, now_ms);
            self.container_event(key, now_ms, events);
        }
    }
}
