//! Which nodes a plugin sees, and what it sees of them.

use std::fmt;

use mesoscope_plugin::{Label, Node, NodeKind};
use mesoscope_proto::v1::{self, ContainerState, PluginFacts, ProcessKey};

use crate::manifest::{ContainerRule, Nodes};

/// Nodes in one question at most.
pub const NODES_MAX: usize = 512;

/// What is meant by a node's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The machine itself.
    Host,
    /// A container, by its full id.
    Container(String),
    /// A process, by pid and start.
    Process(u32, u64),
}

impl Target {
    /// Of facts, or of a control.
    #[must_use]
    pub fn of(container_id: &str, process: Option<&ProcessKey>) -> Self {
        match process {
            Some(key) => Self::Process(key.pid, key.start_boottime_ns),
            None if container_id.is_empty() => Self::Host,
            None => Self::Container(container_id.to_owned()),
        }
    }

    /// Facts about it, still empty.
    #[must_use]
    pub fn facts(&self, plugin: &str) -> PluginFacts {
        let mut facts = PluginFacts {
            plugin: plugin.to_owned(),
            ..PluginFacts::default()
        };
        match self {
            Self::Host => {}
            Self::Container(id) => facts.container_id.clone_from(id),
            Self::Process(pid, start_boottime_ns) => {
                facts.process = Some(ProcessKey {
                    pid: *pid,
                    start_boottime_ns: *start_boottime_ns,
                });
            }
        }
        facts
    }
}

/// The id as plugins have it.
impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => to.write_str("host"),
            Self::Container(id) => write!(to, "container;{id}"),
            Self::Process(pid, start) => write!(to, "process;{pid};{start}"),
        }
    }
}

/// A node that a plugin sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is meant by its id.
    pub target: Target,
    /// What the plugin sees of it.
    pub node: Node,
}

/// All that a plugin sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// At most [`NODES_MAX`].
    pub nodes: Vec<Seen>,
    /// Further ones.
    pub left_out: u64,
}

impl Sight {
    /// Adds a node while there is room.
    pub fn add(&mut self, seen: impl FnOnce() -> Seen) {
        if self.nodes.len() < NODES_MAX {
            self.nodes.push(seen());
        } else {
            self.left_out += 1;
        }
    }
}

impl Nodes {
    /// Whether a container is among them. Removed ones are not.
    #[must_use]
    pub fn has_container(&self, container: &v1::Container) -> bool {
        container.state() != ContainerState::Removed
            && self.containers.iter().any(|rule| rule.fits(container))
    }

    /// Whether a process is among them.
    #[must_use]
    pub fn has_process(&self, name: &str, executable: &str) -> bool {
        let program = executable.rsplit('/').next().unwrap_or_default();
        let fits = |pattern: &crate::pattern::Pattern| {
            pattern.fits(name) || (!program.is_empty() && pattern.fits(program))
        };
        self.processes.iter().any(fits)
    }
}

impl ContainerRule {
    fn fits(&self, container: &v1::Container) -> bool {
        let name = container.name.trim_start_matches('/');
        let has_label = |(key, value): &(String, crate::pattern::Pattern)| {
            let mut labels = container.labels.iter();
            labels.any(|label| label.key == *key && value.fits(&label.value))
        };
        self.image
            .as_ref()
            .is_none_or(|image| image.fits(&container.image))
            && self.name.as_ref().is_none_or(|pattern| pattern.fits(name))
            && self.labels.iter().all(has_label)
    }
}

/// What a plugin sees of the host.
#[must_use]
pub fn host(hostname: &str) -> Seen {
    Seen {
        target: Target::Host,
        node: Node {
            id: Target::Host.to_string(),
            kind: NodeKind::Host,
            name: hostname.to_owned(),
            ..Node::default()
        },
    }
}

/// What a plugin sees of a container: neither its environment nor its command.
#[must_use]
pub fn container(container: &v1::Container) -> Seen {
    let target = Target::Container(container.id.clone());
    let label = |label: &v1::KeyValue| Label {
        key: label.key.clone(),
        value: label.value.clone(),
    };
    let address = |bytes: &Vec<u8>| {
        mesoscope_proto::address::from_bytes(bytes).map(|address| address.to_string())
    };
    Seen {
        node: Node {
            id: target.to_string(),
            kind: NodeKind::Container,
            name: container.name.trim_start_matches('/').to_owned(),
            image: container.image.clone(),
            labels: container.labels.iter().map(label).collect(),
            addresses: container.addresses.iter().filter_map(address).collect(),
            ..Node::default()
        },
        target,
    }
}

/// What a plugin sees of a process: not its arguments, which may hold secrets.
#[must_use]
pub fn process(key: ProcessKey, name: &str, executable: &str, container: &str) -> Seen {
    let target = Target::Process(key.pid, key.start_boottime_ns);
    Seen {
        node: Node {
            id: target.to_string(),
            kind: NodeKind::Process,
            name: name.to_owned(),
            pid: key.pid,
            executable: executable.to_owned(),
            container: container.to_owned(),
            ..Node::default()
        },
        target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn nodes(rules: &str) -> Nodes {
        let text = format!("{{api: 1, name: a, user: nobody, command: [/a], nodes: {rules}}}");
        Manifest::parse(&text).expect("a manifest").nodes
    }

    fn web() -> v1::Container {
        v1::Container {
            id: "c1".into(),
            name: "/web-1".into(),
            image: "docker.io/library/nginx:1.27".into(),
            labels: vec![v1::KeyValue {
                key: "app".into(),
                value: "shop".into(),
            }],
            environment: vec![v1::KeyValue {
                key: "PASSWORD".into(),
                value: "secret".into(),
            }],
            addresses: vec![vec![10, 0, 0, 2]],
            command: vec!["--password=secret".into()],
            ..v1::Container::default()
        }
    }

    #[test]
    fn a_container_fits_in_all_that_one_rule_says() {
        for (rules, fits) in [
            ("{containers: [{image: '*nginx*'}]}", true),
            ("{containers: [{name: 'web-*', labels: {app: shop}}]}", true),
            (
                "{containers: [{name: 'web-*', labels: {app: bank}}]}",
                false,
            ),
            ("{containers: [{name: 'db-*'}, {labels: {app: '*'}}]}", true),
            ("{containers: [{labels: {tier: '*'}}]}", false),
            ("{host: true}", false),
        ] {
            assert_eq!(nodes(rules).has_container(&web()), fits, "{rules}");
        }
        let removed = v1::Container {
            state: ContainerState::Removed.into(),
            ..web()
        };
        assert!(!nodes("{containers: [{name: '*'}]}").has_container(&removed));
    }

    #[test]
    fn a_process_fits_by_its_name_or_its_program() {
        let nginx = nodes("{processes: [{program: nginx}]}");
        assert!(nginx.has_process("nginx", ""));
        assert!(nginx.has_process("worker", "/usr/sbin/nginx"));
        assert!(!nginx.has_process("worker", "/usr/sbin/nginx-debug"));
        assert!(!nodes("{processes: [{program: '?*'}]}").has_process("", ""));
    }

    #[test]
    fn neither_environment_nor_arguments_are_shown_to_plugins() {
        let seen = container(&web());
        assert_eq!(seen.node.id, "container;c1");
        assert_eq!(seen.node.name, "web-1");
        assert_eq!(seen.node.addresses, ["10.0.0.2"]);
        let text = serde_json::to_string(&seen.node).expect("JSON");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_target_is_told_and_found_again() {
        for target in [
            Target::Host,
            Target::Container("c".into()),
            Target::Process(7, 9),
        ] {
            let facts = target.facts("a");
            assert_eq!(
                Target::of(&facts.container_id, facts.process.as_ref()),
                target
            );
        }
    }
}
