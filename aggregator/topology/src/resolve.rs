//! Which process, container and host is behind each side of a connection, and which node of each
//! view stands for it.

use std::{net::IpAddr, sync::Arc};

use mesoscope_proto::v1::Direction;

use crate::{
    Topology, ViewKind, address,
    end::{End, Facts},
    entities::Listener,
    graph::Subject,
    keys::{AgentKey, ContainerKey, EndKey, ListenerKey, NodeKey, Owner},
    own::OwnService,
    places::{AddressOwner, scoped},
};

/// One side of a connection, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub agent: Option<AgentKey>,
    pub container: Option<ContainerKey>,
    pub owner: Owner,
    pub ip: IpAddr,
    /// The agent that sees the address, where it means something only there.
    pub scope: Option<AgentKey>,
    pub name: Option<Arc<str>>,
    /// The listener that said something of it.
    pub listener: Option<ListenerKey>,
}

/// A node, or the pseudo node to be made.
enum Target {
    Node(NodeKey),
    Pseudo(Subject),
}

impl Topology {
    /// The side of a connection that an agent reported.
    pub(crate) fn place_of_end(&self, end: &End) -> Place {
        let mut owner = end.owner;
        let mut container = end.container;
        let listener = self.listener_of_end(end);
        if owner == Owner::Unknown
            && let Some(listener) = listener.map(|key| &self.listeners[key])
        {
            owner = listener.owner;
            container = container.or(listener.container);
        }
        container = container.or_else(|| self.container_of(owner));
        Place {
            agent: Some(end.agent),
            container,
            owner,
            ip: end.facts.local.ip(),
            scope: scoped(end.agent, end.facts.local.ip()).0,
            name: None,
            listener,
        }
    }

    fn container_of(&self, owner: Owner) -> Option<ContainerKey> {
        let process = self.processes.get(owner.process()?)?;
        process.container
    }

    /// The listener from which an end came that may be inbound, where the agent left something open.
    fn listener_of_end(&self, end: &End) -> Option<ListenerKey> {
        let facts = &end.facts;
        if !end.is_undecided() || facts.direction == Direction::Outbound {
            return None;
        }
        self.listener_at(end.agent, facts.local.port(), facts, |listener| {
            let namespace = listener.network_namespace == facts.network_namespace
                || listener.network_namespace == 0
                || facts.network_namespace == 0;
            namespace
                && (listener.local.ip().is_unspecified() || listener.local.ip() == facts.local.ip())
        })
    }

    /// The listener that a connection with these facts reached on a port of an agent. The answer
    /// depends on what is known of both and not on the order in which it came: a listener that has
    /// closed still has the connections of its time.
    fn listener_at(
        &self,
        agent: AgentKey,
        port: u16,
        connection: &Facts,
        fits: impl Fn(&Listener) -> bool,
    ) -> Option<ListenerKey> {
        let span = connection.span();
        self.places
            .listeners((agent, connection.protocol, port))
            .iter()
            .filter_map(|key| {
                let listener = &self.listeners[*key];
                let rank = listener.rank(span).filter(|_| fits(listener))?;
                Some((rank, *key))
            })
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, key)| key)
    }

    /// The other side of a connection of which only this end is known.
    pub(crate) fn place_of_remote(&self, end: &End) -> Place {
        let remote = end.facts.real_remote();
        let ip = remote.ip();
        let mut place = Place {
            agent: None,
            container: None,
            owner: Owner::Unknown,
            ip,
            scope: scoped(end.agent, ip).0,
            name: None,
            listener: None,
        };
        if address::is_loopback(ip) {
            place.agent = Some(end.agent);
            place.container = end.container.or_else(|| self.container_of(end.owner));
            let listener = self.listener_at(end.agent, remote.port(), &end.facts, |listener| {
                listener.network_namespace == end.facts.network_namespace
                    && (listener.local.ip().is_unspecified() || listener.local.ip() == ip)
            });
            self.settle(&mut place, listener);
            return place;
        }
        let owners = self.places.owners(end.agent, ip);
        if let Some(first) = owners.first() {
            place.agent = Some(first.agent);
            // Containers of one pod share their address.
            place.container = owners.iter().filter_map(|owner| owner.container).min();
            for owner in &owners {
                if self.settle_on(&mut place, *owner, &end.facts) {
                    break;
                }
            }
            return place;
        }
        place.name = self.name_of_remote(end, ip);
        place
    }

    fn settle_on(&self, place: &mut Place, owner: AddressOwner, connection: &Facts) -> bool {
        let remote = connection.real_remote();
        let (mut container, mut port) = (owner.container, remote.port());
        if container.is_none()
            && let Some((published, inside)) =
                self.places
                    .published((owner.agent, connection.protocol, port))
        {
            (container, port) = (Some(published), inside);
            place.container = container;
        }
        let host_namespace = self.agents[owner.agent]
            .host
            .as_ref()
            .map_or(0, |host| host.network_namespace);
        let listener = self.listener_at(owner.agent, port, connection, |listener| {
            if listener.local.ip() == remote.ip() {
                return true;
            }
            if !listener.local.ip().is_unspecified() {
                return false;
            }
            match container {
                Some(container) => listener.container == Some(container),
                None => host_namespace == 0 || listener.network_namespace == host_namespace,
            }
        });
        self.settle(place, listener)
    }

    fn settle(&self, place: &mut Place, listener: Option<ListenerKey>) -> bool {
        place.listener = listener;
        let Some(listener) = listener.map(|key| &self.listeners[key]) else {
            return false;
        };
        place.owner = listener.owner;
        place.container = listener
            .container
            .or_else(|| self.container_of(listener.owner));
        true
    }

    fn name_of_remote(&self, end: &End, ip: IpAddr) -> Option<Arc<str>> {
        if let Some(own) = self.own_service(end, ip) {
            return Some(own);
        }
        if let Some(name) = address::well_known(ip) {
            return Some(name.into());
        }
        if let Some(name) = &end.facts.server_name
            && end.facts.direction != Direction::Inbound
            && name.parse::<IpAddr>().is_err()
        {
            return Some(name.to_ascii_lowercase().into());
        }
        let name = self.names.get(end.agent, ip)?;
        let service = address::names_a_service(&name.name)
            || (name.from_answer && end.facts.direction != Direction::Inbound);
        service.then(|| name.name.clone())
    }

    /// The service that operators named, by its address or by a name that is known for it.
    fn own_service(&self, end: &End, ip: IpAddr) -> Option<Arc<str>> {
        if self.own_services.is_empty() {
            return None;
        }
        let outward = end.facts.direction != Direction::Inbound;
        let server = end.facts.server_name.as_ref().filter(|_| outward);
        let server = server.map(|name| name.to_ascii_lowercase());
        let known = self.names.get(end.agent, ip).map(|known| &*known.name);
        let fits = |own: &&OwnService| {
            own.has(ip)
                || server.as_deref().is_some_and(|name| own.is_called(name))
                || known.is_some_and(|name| own.is_called(name))
        };
        let own = self.own_services.iter().find(fits)?;
        Some(own.name.clone())
    }

    /// Whether an agent of ours should see the other end, too.
    pub(crate) fn expects_peer(&self, end: &End) -> bool {
        let ip = end.facts.real_remote().ip();
        address::is_loopback(ip) || self.places.is_owned(ip)
    }

    /// The node of a view for one side. `begins` tells whether it is the side that connected.
    pub(crate) fn node_for(
        &mut self,
        kind: ViewKind,
        place: &Place,
        begins: bool,
        now_ms: u64,
    ) -> Option<NodeKey> {
        match self.target(kind, place, begins)? {
            Target::Node(node) => Some(node),
            Target::Pseudo(subject) => {
                let agents = &self.agents;
                let id = |subject: &Subject| {
                    pseudo_id(subject, |agent| {
                        agents.get(agent).map(|agent| agent.id.clone())
                    })
                };
                Some(self.graphs[kind.index()].pseudo(subject, now_ms, &id))
            }
        }
    }

    fn target(&self, kind: ViewKind, place: &Place, begins: bool) -> Option<Target> {
        let Some(agent) = place.agent else {
            return Some(Target::Pseudo(external(place, begins)));
        };
        match kind {
            ViewKind::Processes => match place.owner {
                Owner::Known(process) => Some(Target::Node(self.processes.get(process)?.node)),
                Owner::Gone => None,
                Owner::Unknown => Some(Target::Pseudo(Subject::Address(place.ip, place.scope))),
            },
            ViewKind::Containers => match place.container {
                Some(container) => Some(Target::Node(self.containers.get(container)?.node)),
                None => Some(Target::Pseudo(Subject::Uncontained(agent))),
            },
            _ => Some(Target::Node(self.agents.get(agent)?.node)),
        }
    }

    /// Whether the end is the side that connected. `peer` is the other end where it is known.
    pub(crate) fn begins(&self, end: &End, peer: Option<&End>) -> bool {
        let own = end.facts.direction;
        let other = peer.map_or(Direction::Unspecified, |peer| peer.facts.direction);
        match (own, other) {
            (Direction::Outbound, Direction::Outbound)
            | (Direction::Inbound, Direction::Inbound) => {}
            (Direction::Outbound, _) | (_, Direction::Inbound) => return true,
            (Direction::Inbound, _) | (_, Direction::Outbound) => return false,
            _ => {}
        }
        // An end that says which way it went has nothing to learn from its listener.
        let serves = |end: &End| {
            end.facts.direction == Direction::Unspecified && self.listener_of_end(end).is_some()
        };
        match (serves(end), peer.is_some_and(serves)) {
            (true, false) => return false,
            (false, true) => return true,
            _ => {}
        }
        // Nobody knows. Servers tend to have the lower port; this only turns the arrow.
        let remote = end.facts.real_remote();
        (remote.port(), remote.ip()) < (end.facts.local.port(), end.facts.local.ip())
    }

    /// Ends whose other side may now be another one, after something came to or left an address.
    pub(crate) fn ends_pointing_to(&self, agent: AgentKey, ip: IpAddr) -> Vec<EndKey> {
        self.places.pointing_to(agent, ip).to_vec()
    }
}

/// The pseudo node of a side that is on no agent.
fn external(place: &Place, begins: bool) -> Subject {
    if let Some(name) = &place.name {
        Subject::Service(name.clone())
    } else if address::is_private(place.ip) {
        Subject::Address(place.ip, place.scope)
    } else {
        Subject::Internet { clients: begins }
    }
}

/// The id of a pseudo node.
pub(crate) fn pseudo_id(
    subject: &Subject,
    agent_id: impl Fn(AgentKey) -> Option<Arc<str>>,
) -> Arc<str> {
    let of = |agent: &AgentKey| agent_id(*agent).unwrap_or_default();
    match subject {
        Subject::Uncontained(agent) => format!("pseudo;uncontained;{}", of(agent)).into(),
        Subject::Internet { clients: true } => "pseudo;internet;in".into(),
        Subject::Internet { clients: false } => "pseudo;internet;out".into(),
        Subject::Service(name) => format!("pseudo;service;{name}").into(),
        Subject::Address(ip, None) => format!("pseudo;address;{ip}").into(),
        Subject::Address(ip, Some(agent)) => format!("pseudo;address;{ip};{}", of(agent)).into(),
        Subject::Others | Subject::Process(_) | Subject::Container(_) | Subject::Host(_) => {
            "pseudo;address;others".into()
        }
    }
}
