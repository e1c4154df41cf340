//! Which view, and what it leaves out.

use std::{fmt, str::FromStr};

use mesoscope_proto::v1;

use crate::{AgentKey, Topology, graph::Subject, keys::ContainerKey};

/// A level at which the topology is seen. Three are drawn as changes come; the others group the
/// nodes of one of these (`grouping` has the table) and cost only where somebody looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViewKind {
    /// One node per process.
    Processes,
    /// Processes of the same name are one node.
    ProcessesByName,
    /// One node per container; processes outside of any are one node per host.
    Containers,
    /// Containers of the same image, whatever its tag, are one node.
    ContainersByImage,
    /// Containers that call themselves the same are one node.
    ContainersByHostname,
    /// One node per port that a host or container listens on.
    Services,
    /// One node per host.
    Hosts,
}

/// The asked view does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no view {0:?}; the views are {names}", names = names())]
pub struct UnknownView(String);

fn names() -> String {
    ViewKind::ALL.map(ViewKind::name).join(", ")
}

impl ViewKind {
    /// All views.
    pub const ALL: [Self; 7] = [
        Self::Processes,
        Self::ProcessesByName,
        Self::Containers,
        Self::ContainersByImage,
        Self::ContainersByHostname,
        Self::Services,
        Self::Hosts,
    ];

    /// The views that do not group the nodes of another.
    pub const PLAIN: [Self; 3] = [Self::Processes, Self::Containers, Self::Hosts];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::ProcessesByName => "processes-by-name",
            Self::Containers => "containers",
            Self::ContainersByImage => "containers-by-image",
            Self::ContainersByHostname => "containers-by-hostname",
            Self::Services => "services",
            Self::Hosts => "hosts",
        }
    }

    /// The view whose nodes it shows or groups.
    #[must_use]
    pub const fn base(self) -> Self {
        match self {
            Self::Processes | Self::ProcessesByName | Self::Services => Self::Processes,
            Self::Containers | Self::ContainersByImage | Self::ContainersByHostname => {
                Self::Containers
            }
            Self::Hosts => Self::Hosts,
        }
    }

    /// Place of the graph that it is made of.
    pub(crate) const fn index(self) -> usize {
        match self.base() {
            Self::Containers => 1,
            Self::Hosts => 2,
            _ => 0,
        }
    }
}

impl fmt::Display for ViewKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl FromStr for ViewKind {
    type Err = UnknownView;

    fn from_str(name: &str) -> Result<Self, UnknownView> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownView(name.into()))
    }
}

/// `ViewOptions` with the defaults of its view filled in. Equal options can share one
/// [`crate::View`], so this is a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Show nodes without any connection.
    pub unconnected: bool,
    /// Show what has ended and is kept for a while.
    pub ended: bool,
    /// Show kernel threads.
    pub kernel_threads: bool,
    /// Show containers that belong to the platform and not to what runs on it.
    pub system: bool,
    /// Show what runs outside of containers, in views of containers.
    pub uncontained: bool,
    /// Only nodes of these hosts (agent ids or host names), sorted; empty: all.
    pub hosts: Vec<String>,
    /// Only these containers and what is in them.
    pub containers: Containers,
}

/// Which containers; all of them by default. Each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Containers {
    /// Of pods in one of these namespaces.
    pub namespaces: Vec<String>,
    /// In one of these networks.
    pub networks: Vec<String>,
    /// With all of these labels: `key=value`, or `key` for any value.
    pub labels: Vec<String>,
}

impl Containers {
    fn is_all(&self) -> bool {
        self.namespaces.is_empty() && self.networks.is_empty() && self.labels.is_empty()
    }

    fn want(&self, record: &v1::Container) -> bool {
        let one_of = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        let labelled = |wanted: &String| {
            let (key, value) = match wanted.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (wanted.as_str(), None),
            };
            let is = |label: &v1::KeyValue| {
                label.key == key && value.is_none_or(|value| label.value == value)
            };
            record.labels.iter().any(is)
        };
        one_of(&self.namespaces, &record.pod_namespace)
            && one_of(&self.networks, &record.network_mode)
            && self.labels.iter().all(labelled)
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

impl Options {
    /// The options as asked, with the defaults of the view.
    #[must_use]
    pub fn new(kind: ViewKind, asked: &v1::ViewOptions) -> Self {
        Self {
            unconnected: asked.unconnected.unwrap_or(!matches!(
                kind,
                ViewKind::Processes | ViewKind::ProcessesByName
            )),
            system: asked.system.unwrap_or(false),
            uncontained: asked.uncontained.unwrap_or(true),
            ended: asked.ended.unwrap_or(true),
            kernel_threads: asked.kernel_threads.unwrap_or(false),
            hosts: sorted(&asked.hosts),
            containers: Containers {
                namespaces: sorted(&asked.namespaces),
                networks: sorted(&asked.networks),
                labels: sorted(&asked.labels),
            },
        }
    }

    /// Whether they let this node be seen, as far as its connections do not decide. Nodes that no
    /// agent sees are not asked about: they are shown where they connect to one that is.
    pub(crate) fn allow(&self, topology: &Topology, subject: &Subject) -> bool {
        let (agent, allowed) = match subject {
            Subject::Process(process) => {
                let Some(process) = topology.processes.get(*process) else {
                    return false;
                };
                let allowed = (self.kernel_threads || !process.record.kernel_thread)
                    && (self.ended || !topology.is_over(process))
                    && self.want_container(topology, process.container);
                (process.agent, allowed)
            }
            Subject::Container(container) => {
                let Some(container) = topology.containers.get(*container) else {
                    return false;
                };
                let allowed = (self.ended || !container.has_ended())
                    && (self.system || !container.is_system())
                    && self.containers.want(&container.record);
                (container.agent, allowed)
            }
            Subject::Host(agent) => (*agent, true),
            Subject::Uncontained(agent) => (*agent, self.uncontained && self.containers.is_all()),
            _ => return false,
        };
        allowed && self.want_host(topology, agent)
    }

    fn want_container(&self, topology: &Topology, container: Option<ContainerKey>) -> bool {
        self.containers.is_all()
            || container
                .and_then(|key| topology.containers.get(key))
                .is_some_and(|container| self.containers.want(&container.record))
    }

    fn want_host(&self, topology: &Topology, agent: AgentKey) -> bool {
        self.hosts.is_empty()
            || topology.agents.get(agent).is_some_and(|agent| {
                self.hosts
                    .iter()
                    .any(|host| **host == *agent.id || **host == *agent.hostname)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for kind in ViewKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "pods".parse::<ViewKind>().expect_err("not a view yet");
        assert!(error.to_string().contains("processes"));
    }

    #[test]
    fn defaults_differ_by_view() {
        let none = v1::ViewOptions::default();
        assert!(!Options::new(ViewKind::Processes, &none).unconnected);
        assert!(!Options::new(ViewKind::ProcessesByName, &none).unconnected);
        assert!(Options::new(ViewKind::Hosts, &none).unconnected);
    }
}
