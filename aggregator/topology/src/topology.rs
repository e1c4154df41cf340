//! The state of all agents, and how agents come and go.

use std::{collections::VecDeque, sync::Arc};

use mesoscope_proto::v1::{self, EventKind};
use rustc_hash::FxHashMap;
use slotmap::SlotMap;

use crate::{
    Limits,
    address::is_id,
    agent::Agent,
    end::End,
    entities::{Container, Listener, Process},
    error::AgentRefused,
    graph::{Graph, GraphLimits, Subject},
    join::JoinIndex,
    keys::{AgentKey, ContainerKey, EndKey, ListenerKey, ProcessKey},
    labels::Labels,
    names::Names,
    options::ViewKind,
    own::OwnService,
    places::Places,
    plugins::Plugins,
    symbols::Symbols,
};

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub changes: u64,
    pub refused: u64,
    pub joined: u64,
    pub ended_processes_evicted: u64,
    pub closed_connections_evicted: u64,
    pub closed_listeners_evicted: u64,
    pub held_events_cut_short: u64,
}

/// The state of all agents, and the graphs made of it.
#[derive(Debug)]
pub struct Topology {
    pub(crate) limits: Limits,
    pub(crate) agents: SlotMap<AgentKey, Agent>,
    pub(crate) agent_ids: FxHashMap<Arc<str>, AgentKey>,
    pub(crate) processes: SlotMap<ProcessKey, Process>,
    pub(crate) containers: SlotMap<ContainerKey, Container>,
    pub(crate) container_ids: FxHashMap<Arc<str>, ContainerKey>,
    pub(crate) ends: SlotMap<EndKey, End>,
    pub(crate) listeners: SlotMap<ListenerKey, Listener>,
    pub(crate) symbols: Symbols,
    pub(crate) names: Names,
    pub(crate) own_services: Vec<OwnService>,
    pub(crate) places: Places,
    pub(crate) join: JoinIndex,
    /// By [`ViewKind::index`].
    pub(crate) graphs: [Graph; 3],
    /// When each goes, oldest first.
    pub(crate) ended_processes: VecDeque<(u64, ProcessKey)>,
    pub(crate) ended_containers: VecDeque<(u64, ContainerKey)>,
    pub(crate) closed_ends: VecDeque<(u64, EndKey)>,
    pub(crate) closed_listeners: VecDeque<(u64, ListenerKey)>,
    pub(crate) held_events: VecDeque<(u64, EndKey)>,
    /// Containers of which only processes or sockets are known, to look after.
    pub(crate) unknown_containers: Vec<ContainerKey>,
    /// Ended processes that went before their time, by when they would have gone.
    pub(crate) evicted_early: VecDeque<(u64, u32)>,
    pub(crate) evicted_early_count: u32,
    pub(crate) incomplete_revision: u64,
    pub(crate) events_wanted: bool,
    pub(crate) totals: Totals,
    pub(crate) rates_ms: u64,
    /// Edges and pseudo nodes that had no room: how many so far, and when the last one came.
    pub(crate) undrawn: (u64, u64),
    pub(crate) plugins: Plugins,
    /// What people gave.
    pub(crate) labels: Labels,
    /// Aggregators that share the agents and are not there, and since when.
    pub(crate) aggregators_missing: Vec<(Arc<str>, u64)>,
}

impl Topology {
    /// An empty topology within these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let graph = GraphLimits {
            edges: limits.edges,
            pseudo_nodes: limits.pseudo_nodes,
            idle_keep_ms: limits.ended_keep_ms,
        };
        Self {
            names: Names::new(limits.names),
            own_services: Vec::new(),
            limits,
            agents: SlotMap::with_key(),
            agent_ids: FxHashMap::default(),
            processes: SlotMap::with_key(),
            containers: SlotMap::with_key(),
            container_ids: FxHashMap::default(),
            ends: SlotMap::with_key(),
            listeners: SlotMap::with_key(),
            symbols: Symbols::default(),
            places: Places::default(),
            join: JoinIndex::default(),
            graphs: [Graph::new(graph), Graph::new(graph), Graph::new(graph)],
            ended_processes: VecDeque::new(),
            ended_containers: VecDeque::new(),
            closed_ends: VecDeque::new(),
            closed_listeners: VecDeque::new(),
            held_events: VecDeque::new(),
            unknown_containers: Vec::new(),
            evicted_early: VecDeque::new(),
            evicted_early_count: 0,
            incomplete_revision: 1,
            events_wanted: true,
            totals: Totals::default(),
            rates_ms: 0,
            undrawn: (0, 0),
            plugins: Plugins::default(),
            labels: Labels::default(),
            aggregators_missing: Vec::new(),
        }
    }

    /// Services that operators name, the first that fits before the others. For connections that
    /// come from now on.
    pub fn name_services(&mut self, services: Vec<OwnService>) {
        self.own_services = services;
    }

    /// Whether [`Self::apply`] and the others make events; off saves their cost while nobody
    /// listens. On at first.
    pub fn collect_events(&mut self, wanted: bool) {
        self.events_wanted = wanted;
    }

    /// An agent said hello. The same id again is the same agent; a new generation keeps what is
    /// shown until its snapshot has replaced it.
    ///
    /// # Errors
    /// When the agent has no id or too many agents are known.
    pub fn connect_agent(
        &mut self,
        hello: &v1::Hello,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<AgentKey, AgentRefused> {
        if hello.agent_id.is_empty() {
            return Err(AgentRefused::NoId);
        }
        if !is_id(&hello.agent_id) {
            return Err(AgentRefused::BadId);
        }
        let known = self.agent_ids.get(hello.agent_id.as_str()).copied();
        let key = match known {
            Some(key) => {
                self.agents[key].greet(hello, now_ms);
                key
            }
            None => self.admit(hello, now_ms)?,
        };
        self.touch_agent_nodes(key);
        self.incomplete_revision += 1;
        self.agent_event(key, "connected", now_ms, events);
        Ok(key)
    }

    fn admit(&mut self, hello: &v1::Hello, now_ms: u64) -> Result<AgentKey, AgentRefused> {
        let limit = self.limits.agents;
        if self.agents.len() >= limit {
            return Err(AgentRefused::Full { limit });
        }
        let graph = &mut self.graphs[ViewKind::Hosts.index()];
        let key = self.agents.insert_with_key(|key| {
            let id = format!("host;{}", hello.agent_id).into();
            let node = graph.insert(Subject::Host(key), id, now_ms);
            Agent::new(hello, node, now_ms)
        });
        self.agent_ids.insert(self.agents[key].id.clone(), key);
        Ok(key)
    }

    /// The agent's stream ended. What it saw stays, marked, until it is stale and then forgotten.
    pub fn disconnect_agent(&mut self, agent: AgentKey, now_ms: u64, events: &mut Vec<v1::Event>) {
        let Some(entry) = self.agents.get_mut(agent) else {
            return;
        };
        if !entry.connected {
            return;
        }
        entry.account(now_ms);
        entry.connected = false;
        entry.last_seen_ms = now_ms;
        entry.in_snapshot = false;
        self.incomplete_revision += 1;
        self.touch_agent_nodes(agent);
        self.agent_event(agent, "disconnected", now_ms, events);
    }

    /// An agent reports to another aggregator, which relays it; `None`: to this one.
    pub fn reports_to(&mut self, agent: AgentKey, aggregator: Option<&Arc<str>>) {
        if let Some(entry) = self.agents.get_mut(agent)
            && entry.aggregator.as_ref() != aggregator
        {
            entry.aggregator = aggregator.cloned();
            self.incomplete_revision += 1;
        }
    }

    /// Of the aggregators that share the agents, these are not there, each since a time.
    pub fn miss_aggregators(&mut self, missing: Vec<(Arc<str>, u64)>) {
        if self.aggregators_missing != missing {
            self.aggregators_missing = missing;
            self.incomplete_revision += 1;
        }
    }

    /// The agent with this id.
    #[must_use]
    pub fn find_agent(&self, agent_id: &str) -> Option<AgentKey> {
        self.agent_ids.get(agent_id).copied()
    }

    /// The agent was heard of (also by a batch without changes).
    pub fn touch(&mut self, agent: AgentKey, now_ms: u64) {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.last_seen_ms = entry.last_seen_ms.max(now_ms);
            if entry.stale {
                entry.stale = false;
                self.incomplete_revision += 1;
                self.touch_all_of(agent);
            }
        }
    }

    /// All known agents, by id.
    #[must_use]
    pub fn agents(&self, now_ms: u64) -> Vec<v1::AgentInfo> {
        let mut agents: Vec<_> = self
            .agents
            .values()
            .map(|agent| agent.info(now_ms))
            .collect();
        agents.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
        agents
    }

    pub(crate) fn graph(&self, kind: ViewKind) -> &Graph {
        &self.graphs[kind.index()]
    }

    pub(crate) fn graph_mut(&mut self, kind: ViewKind) -> &mut Graph {
        &mut self.graphs[kind.index()]
    }

    pub(crate) fn touch_host(&mut self, agent: AgentKey) {
        if let Some(node) = self.agents.get(agent).map(|agent| agent.node) {
            self.graph_mut(ViewKind::Hosts).touch_node(node);
        }
    }

    /// Whether the process has ended, as far as can be told: one of which only sockets are known (its
    /// end was told before them, and forgotten) is over with the last of these.
    pub(crate) fn is_over(&self, process: &Process) -> bool {
        let open = |end: &EndKey| self.ends.get(*end).is_some_and(|end| end.facts.is_open());
        let listens = |key: &ListenerKey| self.listeners.get(*key).is_some_and(Listener::is_open);
        process.has_ended()
            || (!process.known
                && !process.listeners.iter().any(listens)
                && !process.ends.iter().any(open))
    }

    pub(crate) fn touch_process(&mut self, process: ProcessKey) {
        if let Some(node) = self.processes.get(process).map(|process| process.node) {
            self.graph_mut(ViewKind::Processes).touch_node(node);
        }
    }

    pub(crate) fn touch_container(&mut self, container: ContainerKey) {
        if let Some(node) = self
            .containers
            .get(container)
            .map(|container| container.node)
        {
            self.graph_mut(ViewKind::Containers).touch_node(node);
        }
    }

    fn touch_agent_nodes(&mut self, agent: AgentKey) {
        self.touch_all_of(agent);
    }

    /// Marks every node of an agent as changed: its host's name or standing changed.
    pub(crate) fn touch_all_of(&mut self, agent: AgentKey) {
        let Some(entry) = self.agents.get(agent) else {
            return;
        };
        let processes: Vec<_> = entry.processes.values().copied().collect();
        let containers: Vec<_> = entry.containers.values().copied().collect();
        self.touch_host(agent);
        for process in processes {
            self.touch_process(process);
        }
        for container in containers {
            self.touch_container(container);
        }
        let graph = self.graph_mut(ViewKind::Containers);
        if let Some(node) = graph.find_pseudo(&Subject::Uncontained(agent)) {
            graph.touch_node(node);
        }
    }

    pub(crate) fn agent_event(
        &self,
        agent: AgentKey,
        what: &str,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) {
        if self.events_wanted {
            events.push(v1::Event {
                agent_event: what.into(),
                ..self.event(agent, EventKind::Agent, now_ms.saturating_mul(1_000_000))
            });
        }
    }
}
