//! Figures of a moment that is past: told apart from the rest, by who has kept them.

use mesoscope_proto::v1::{self, change};

use crate::{Topology, ViewKind, keys::AgentKey};

/// Something that has figures.
#[derive(Clone, Debug, PartialEq)]
pub enum Thing {
    /// The host of the agent.
    Host,
    /// A container, by its id.
    Container(String),
    /// A process that has not ended.
    Process(v1::ProcessKey),
}

impl Topology {
    /// What has figures in a view of single things, with its agent.
    #[must_use]
    pub fn things(&self, view: ViewKind) -> Vec<(AgentKey, Thing)> {
        match view {
            ViewKind::Hosts => self.agents.keys().map(|key| (key, Thing::Host)).collect(),
            ViewKind::Containers => {
                let containers = self.containers.values();
                let thing = |id: &str| Thing::Container(id.to_owned());
                containers
                    .map(|container| (container.agent, thing(&container.id)))
                    .collect()
            }
            ViewKind::Processes => {
                let running = self
                    .processes
                    .values()
                    .filter(|process| !process.has_ended());
                let key = |pid, start_boottime_ns| v1::ProcessKey {
                    pid,
                    start_boottime_ns,
                };
                running
                    .map(|process| {
                        let key = key(process.pid, process.start);
                        (process.agent, Thing::Process(key))
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The id of an agent.
    #[must_use]
    pub fn agent_id(&self, agent: AgentKey) -> Option<&str> {
        self.agents.get(agent).map(|agent| &*agent.id)
    }

    /// Takes figures of a host, container or process that were kept elsewhere. Unlike [`Self::apply`] it is
    /// no sign that the agent is there; other changes are ignored.
    pub fn recall_figures(&mut self, agent: AgentKey, figures: change::Change) {
        if !self.agents.contains_key(agent) {
            return;
        }
        // What is not known (any more) has no figures.
        let _ = match figures {
            change::Change::HostMetrics(told) => {
                self.apply_host_metrics(agent, told);
                Ok(())
            }
            change::Change::ContainerMetrics(told) => self.apply_container_metrics(agent, told),
            change::Change::ProcessMetrics(told) => self.apply_process_metrics(agent, told),
            _ => Ok(()),
        };
    }
}
