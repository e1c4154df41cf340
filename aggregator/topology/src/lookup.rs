//! Who a setting is for: containers of an agent by what a person types, agent and container behind a
//! node.

use std::sync::Arc;

use mesoscope_proto::v1::{self, change::Change};

use crate::{AgentKey, Topology, ViewKind, agent::Agent, entities::Container, graph::Subject};

/// Digits of an id that every tool shows, and that are taken for the whole.
const SHORT_ID: usize = 12;

/// A container of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownContainer {
    /// Its full id.
    pub id: Arc<str>,
    /// It runs now.
    pub running: bool,
}

/// What a setting of a node is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The agent that carries it out.
    pub agent: v1::AgentInfo,
    /// The container; `None` for the whole host.
    pub container: Option<KnownContainer>,
}

/// How an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: Arc<str>,
    /// The host that it reports from.
    pub hostname: Arc<str>,
    /// It has a stream.
    pub connected: bool,
    /// Nothing that happens on its node is missing from the map.
    pub complete: bool,
    /// When it was last heard of.
    pub last_seen_ms: u64,
}

impl Topology {
    /// How each agent stands, in no order.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |agent: &Agent| Standing {
            id: agent.id.clone(),
            hostname: agent.hostname.clone(),
            connected: agent.connected,
            complete: agent.is_complete(),
            last_seen_ms: agent.last_seen_ms,
        };
        self.agents.values().map(standing).collect()
    }

    /// The containers of an agent as events have them; `None` while it can't be told which are there.
    #[must_use]
    pub fn containers_told(&self, agent_id: &str) -> Option<Vec<v1::Container>> {
        let agent = &self.agents[self.find_agent(agent_id)?];
        agent.tells_all().then(|| {
            let entries = agent.containers.values().map(|key| &self.containers[*key]);
            let known = entries.filter(|entry| entry.known);
            known.map(Container::to_event).collect()
        })
    }

    /// The agent with this id, as [`Self::agents`] has it.
    #[must_use]
    pub fn agent(&self, agent_id: &str, now_ms: u64) -> Option<v1::AgentInfo> {
        Some(self.agents[self.find_agent(agent_id)?].info(now_ms))
    }

    /// The container of an agent with this id, or the only one that begins with these twelve digits
    /// or more. Removed ones are none.
    #[must_use]
    pub fn find_container(&self, agent_id: &str, typed: &str) -> Option<KnownContainer> {
        let agent = &self.agents[self.find_agent(agent_id)?];
        let entry = |key| self.containers.get(key).filter(|entry| !entry.is_removed());
        if let Some(key) = agent.containers.get(typed) {
            return entry(*key).map(known);
        }
        if typed.len() < SHORT_ID {
            return None;
        }
        let all = agent.containers.values().copied();
        let mut fitting = all
            .filter_map(entry)
            .filter(|entry| entry.id.starts_with(typed));
        let first = fitting.next()?;
        fitting.next().is_none().then(|| known(first))
    }

    /// The containers that an agent reports, by id; `None` while it can't be told which are there.
    #[must_use]
    pub fn containers_reported(&self, agent_id: &str) -> Option<Vec<Arc<str>>> {
        let agent = &self.agents[self.find_agent(agent_id)?];
        agent.tells_all().then(|| {
            let entries = agent.containers.values().map(|key| &self.containers[*key]);
            let present = entries.filter(|entry| !entry.is_removed());
            present.map(|entry| entry.id.clone()).collect()
        })
    }

    /// The agent that a node of the containers view was told by.
    #[must_use]
    pub fn agent_of_container(&self, node_id: &str) -> Option<AgentKey> {
        let key = self.find_node(ViewKind::Containers, node_id)?;
        match self.graph(ViewKind::Containers).nodes[key].subject {
            Subject::Container(container) => Some(self.containers.get(container)?.agent),
            _ => None,
        }
    }

    /// Whether metrics that an agent tells are of something that is known and has not ended; of a host
    /// they always are.
    #[must_use]
    pub fn is_measured(&self, agent: AgentKey, change: &v1::Change) -> bool {
        let Some(agent) = self.agents.get(agent) else {
            return false;
        };
        match &change.change {
            Some(Change::ProcessMetrics(told)) => {
                let id = told.key.map(|key| (key.pid, key.start_boottime_ns));
                let key = id.and_then(|id| agent.processes.get(&id));
                key.is_some_and(|key| !self.processes[*key].has_ended())
            }
            Some(Change::ContainerMetrics(told)) => {
                let key = agent.containers.get(told.container_id.as_str());
                key.is_some_and(|key| !self.containers[*key].has_ended())
            }
            _ => true,
        }
    }

    /// What a setting of this node is for; `None` for nodes that are neither host nor container, and
    /// for containers that are gone.
    #[must_use]
    pub fn place(&self, view: ViewKind, id: &str, now_ms: u64) -> Option<Place> {
        let key = self.find_node(view, id)?;
        let (agent, container) = match self.graph(view).nodes[key].subject {
            Subject::Host(agent) => (agent, None),
            Subject::Container(container) => {
                let entry = self.containers.get(container)?;
                if entry.is_removed() {
                    return None;
                }
                (entry.agent, Some(known(entry)))
            }
            _ => return None,
        };
        Some(Place {
            agent: self.agents.get(agent)?.info(now_ms),
            container,
        })
    }
}

fn known(entry: &Container) -> KnownContainer {
    KnownContainer {
        id: entry.id.clone(),
        running: !entry.has_ended() && entry.record.state() != v1::ContainerState::Created,
    }
}
