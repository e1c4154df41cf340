//! Views whose nodes are groups of the nodes of another view, as a table of functions from a node to
//! its group.
//!
//! What no agent sees, and what runs outside of containers, is in these views what it is in the
//! other: a group of its own.

use std::sync::Arc;

use mesoscope_proto::v1::{self, Protocol};
use smallvec::SmallVec;

use crate::{
    Topology, ViewKind,
    entities::{Container, Process},
    graph::{GraphNode, Subject},
    keys::ListenerKey,
    render::protocol_name,
};

/// Ids of the groups of a node.
pub(crate) type Groups = SmallVec<[Arc<str>; 1]>;

/// A grouped view.
#[derive(Debug)]
pub(crate) struct Grouping {
    pub view: ViewKind,
    /// The kind of its nodes, and the first part of their ids.
    pub kind: &'static str,
    /// What one group is called that has no name.
    pub nameless: &'static str,
    rule: Rule,
}

/// Which group a node is in.
#[derive(Debug)]
enum Rule {
    /// The one with this name.
    Name(fn(&Topology, &Subject) -> Option<String>),
    /// One for each port that it listens on.
    Listeners,
}

static GROUPINGS: [Grouping; 4] = [
    Grouping {
        view: ViewKind::ProcessesByName,
        kind: "program",
        nameless: "Unknown program",
        rule: Rule::Name(program),
    },
    Grouping {
        view: ViewKind::ContainersByImage,
        kind: "image",
        nameless: "Unknown image",
        rule: Rule::Name(image),
    },
    Grouping {
        view: ViewKind::ContainersByHostname,
        kind: "hostname",
        nameless: "No host name",
        rule: Rule::Name(hostname),
    },
    Grouping {
        view: ViewKind::Services,
        kind: "endpoint",
        nameless: "",
        rule: Rule::Listeners,
    },
];

/// How a view groups; `None` for those that do not.
pub(crate) fn of(view: ViewKind) -> Option<&'static Grouping> {
    GROUPINGS.iter().find(|grouping| grouping.view == view)
}

/// The views that group the nodes of this one.
pub(crate) fn over(base: ViewKind) -> impl Iterator<Item = &'static Grouping> {
    GROUPINGS
        .iter()
        .filter(move |grouping| grouping.view.base() == base)
}

impl Grouping {
    /// The groups that a node is in by itself.
    pub(crate) fn groups(&self, topology: &Topology, node: &GraphNode) -> Groups {
        if node.subject.is_pseudo() {
            return Groups::from_iter([node.id.clone()]);
        }
        match self.rule {
            Rule::Name(name) => name(topology, &node.subject)
                .map(|name| format!("{};{name}", self.kind).into())
                .into_iter()
                .collect(),
            Rule::Listeners => listens_on(topology, &node.subject),
        }
    }

    /// The group at which connections of a node begin.
    pub(crate) fn source(&self, topology: &Topology, node: &GraphNode) -> Option<Arc<str>> {
        let first = self.groups(topology, node).into_iter().next();
        match self.rule {
            Rule::Name(_) => first,
            Rule::Listeners => first.or_else(|| {
                let process = process_of(topology, &node.subject)?;
                Some(format!("pseudo;clients;{}", topology.place_id(process)?).into())
            }),
        }
    }

    /// The group that a connection to this port of a node reaches; `None` is a port not told apart.
    pub(crate) fn target(
        &self,
        topology: &Topology,
        node: &GraphNode,
        protocol: Protocol,
        port: Option<u16>,
    ) -> Option<Arc<str>> {
        match (&self.rule, process_of(topology, &node.subject)) {
            (Rule::Listeners, Some(process)) => {
                let place = topology.place_id(process)?;
                Some(endpoint_id(protocol, port, &place).into())
            }
            _ => self.groups(topology, node).into_iter().next(),
        }
    }

    /// What the targets of a node's connections depend on beside its groups.
    pub(crate) fn place(&self, topology: &Topology, node: &GraphNode) -> Option<String> {
        match self.rule {
            Rule::Name(_) => None,
            Rule::Listeners => topology.place_id(process_of(topology, &node.subject)?),
        }
    }

    /// True when the ports of a connection decide which group it reaches.
    pub(crate) fn is_by_port(&self) -> bool {
        matches!(self.rule, Rule::Listeners)
    }

    /// The name of a group whose id says it all.
    pub(crate) fn name<'a>(&'a self, id: &'a str) -> &'a str {
        match id.split_once(';') {
            Some((_, "")) | None => self.nameless,
            Some((_, name)) => name,
        }
    }
}

fn process_of<'a>(topology: &'a Topology, subject: &Subject) -> Option<&'a Process> {
    match subject {
        Subject::Process(process) => topology.processes.get(*process),
        _ => None,
    }
}

fn container_of<'a>(topology: &'a Topology, subject: &Subject) -> Option<&'a Container> {
    match subject {
        Subject::Container(container) => topology.containers.get(*container),
        _ => None,
    }
}

fn program(topology: &Topology, subject: &Subject) -> Option<String> {
    let process = process_of(topology, subject)?;
    Some(if process.record.name.is_empty() {
        String::new()
    } else {
        process.label()
    })
}

fn image(topology: &Topology, subject: &Subject) -> Option<String> {
    container_of(topology, subject).map(|container| image_name(&container.record.image).to_owned())
}

/// What DNS calls it, else what it calls itself.
fn hostname(topology: &Topology, subject: &Subject) -> Option<String> {
    let container = container_of(topology, subject)?;
    let name = topology.dns_name_of(container);
    Some(name.map_or_else(
        || container.record.hostname.clone(),
        |name| name.to_string(),
    ))
}

/// The name of an image without its tag and digest.
fn image_name(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash stands before the port of a registry.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// The endpoints that a process listens on, the lowest port first.
fn listens_on(topology: &Topology, subject: &Subject) -> Groups {
    let Some(process) = process_of(topology, subject) else {
        return Groups::new();
    };
    let Some(place) = topology.place_id(process) else {
        return Groups::new();
    };
    let port = |key: &ListenerKey| {
        let listener = topology.listeners.get(*key)?;
        Some((listener.local.port(), listener.protocol as i32))
    };
    let mut ports: SmallVec<[(u16, i32); 2]> = process.listeners.iter().filter_map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
        .into_iter()
        .filter_map(|(port, protocol)| {
            let protocol = Protocol::try_from(protocol).ok()?;
            Some(endpoint_id(protocol, Some(port), &place).into())
        })
        .collect()
}

fn endpoint_id(protocol: Protocol, port: Option<u16>, place: &str) -> String {
    let port = port.map_or_else(|| "others".to_owned(), |port| port.to_string());
    format!("endpoint;{};{port};{place}", protocol_name(protocol))
}

/// What the id of an endpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    pub protocol: &'a str,
    /// "others" for ports not told apart.
    pub port: &'a str,
    /// Id of the container or host.
    pub place: &'a str,
}

impl<'a> Endpoint<'a> {
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let mut parts = id.strip_prefix("endpoint;")?.splitn(3, ';');
        Some(Self {
            protocol: parts.next()?,
            port: parts.next()?,
            place: parts.next()?,
        })
    }
}

impl Topology {
    /// Id of the container that a process is in, else of its host.
    pub(crate) fn place_id(&self, process: &Process) -> Option<String> {
        if let Some(container) = process.container.and_then(|key| self.containers.get(key)) {
            let node = self.graph(ViewKind::Containers).nodes.get(container.node)?;
            return Some(node.id.to_string());
        }
        Some(format!("host;{}", self.agents.get(process.agent)?.id))
    }

    /// The groups of a node in other views, as references.
    pub(crate) fn groups_of(&self, base: ViewKind, node: &GraphNode) -> Vec<v1::NodeRef> {
        if node.subject.is_pseudo() {
            return Vec::new();
        }
        let of = |grouping: &'static Grouping| {
            let refer = move |id: Arc<str>| v1::NodeRef {
                view: grouping.view.name().into(),
                label: self.group_label(grouping, node, &id),
                id: id.to_string(),
            };
            grouping.groups(self, node).into_iter().map(refer)
        };
        over(base).flat_map(of).collect()
    }

    /// What a group is called, by one of its members.
    pub(crate) fn group_label(&self, grouping: &Grouping, member: &GraphNode, id: &str) -> String {
        let Some(endpoint) = Endpoint::parse(id) else {
            return grouping.name(id).to_owned();
        };
        let process = process_of(self, &member.subject);
        let container = process
            .and_then(|process| process.container)
            .and_then(|key| self.containers.get(key));
        let name = match (container, process) {
            (Some(container), _) => container.label().to_owned(),
            (None, process) => process.map(Process::label).unwrap_or_default(),
        };
        format!("{name}:{}", endpoint.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_without_tag_and_digest() {
        for (image, name) in [
            ("nginx", "nginx"),
            ("nginx:1.25", "nginx"),
            ("registry:5000/team/app", "registry:5000/team/app"),
            (
                "registry:5000/team/app:2@sha256:ab",
                "registry:5000/team/app",
            ),
            ("sha256:abcdef", "sha256"),
            ("", ""),
        ] {
            assert_eq!(image_name(image), name, "{image}");
        }
    }

    #[test]
    fn the_id_of_an_endpoint_is_read_again() {
        let id = endpoint_id(Protocol::Tcp, Some(80), "container;c;agent 1");
        let endpoint = Endpoint::parse(&id).expect("own id");
        assert_eq!(
            (endpoint.protocol, endpoint.port, endpoint.place),
            ("tcp", "80", "container;c;agent 1")
        );
        assert_eq!(Endpoint::parse("endpoint;tcp"), None);
        assert_eq!(Endpoint::parse("program;x"), None);
    }
}
