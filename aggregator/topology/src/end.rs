//! One local end of a connection, held small: there are many.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mesoscope_proto::v1::{self, ConnectionState, Direction, Protocol};

use crate::{
    address::is_name,
    error::ChangeRefused,
    keys::{AgentKey, ContainerKey, EdgeKey, EndKey, Owner},
    symbols::{Symbol, Symbols},
};

/// What the agent's host made of the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Translated {
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
}

/// What a message says of an end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub protocol: Protocol,
    pub direction: Direction,
    pub state: ConnectionState,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub translated: Option<Box<Translated>>,
    pub server_name: Option<Box<str>>,
    pub network_namespace: u64,
    pub cgroup_id: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub opened_unix_ns: u64,
    pub closed_unix_ns: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
    pub error: u32,
    pub application: Symbol,
    pub application_seen: bool,
    pub adopted: bool,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Something that decides which ends belong together or which edge it is.
    pub identity: bool,
    /// Counters or the state.
    pub counters: bool,
    /// It was open and is not any more.
    pub closed: bool,
    /// The times by which its listener is found.
    pub span: bool,
}

/// The times by which the listener of a connection is found, in Unix nanoseconds; those that are
/// not known yet are `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// A listener that closed before this had nothing to do with it.
    pub since: u64,
    /// The one that listened then has it.
    pub moment: u64,
}

fn endpoint(
    endpoint: Option<&v1::Endpoint>,
    what: &'static str,
) -> Result<SocketAddr, ChangeRefused> {
    endpoint
        .and_then(v1::Endpoint::socket_addr)
        .ok_or(ChangeRefused::Malformed(what))
}

fn unspecified(of_family: IpAddr) -> IpAddr {
    match of_family {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl Facts {
    pub(crate) fn parse(
        message: &v1::Connection,
        symbols: &mut Symbols,
        now_ms: u64,
    ) -> Result<Self, ChangeRefused> {
        let protocol = message.protocol();
        if protocol == Protocol::Unspecified {
            return Err(ChangeRefused::Malformed("the protocol of a connection"));
        }
        let remote = endpoint(message.remote.as_ref(), "the remote end of a connection")?;
        let local = match &message.local {
            // A connect that has not been given an address yet, or failed before it was.
            None => SocketAddr::new(unspecified(remote.ip()), 0),
            local => endpoint(local.as_ref(), "the local end of a connection")?,
        };
        let translated = Translated {
            local: message
                .translated_local
                .as_ref()
                .and_then(v1::Endpoint::socket_addr),
            remote: message
                .translated_remote
                .as_ref()
                .and_then(v1::Endpoint::socket_addr),
        };
        let mut state = message.state();
        if state == ConnectionState::Unspecified {
            state = if message.closed_unix_ns == 0 {
                ConnectionState::Open
            } else {
                ConnectionState::Closed
            };
        }
        let mut closed_unix_ns = message.closed_unix_ns;
        if state == ConnectionState::Open {
            closed_unix_ns = 0;
        } else if closed_unix_ns == 0 {
            closed_unix_ns = now_ms.saturating_mul(1_000_000);
        }
        Ok(Self {
            protocol,
            direction: message.direction(),
            state,
            local,
            remote,
            translated: (translated != Translated::default()).then(|| Box::new(translated)),
            server_name: is_name(&message.server_name).then(|| message.server_name.as_str().into()),
            network_namespace: message.network_namespace,
            cgroup_id: message.cgroup_id,
            bytes_sent: message.bytes_sent,
            bytes_received: message.bytes_received,
            opened_unix_ns: message.opened_unix_ns,
            closed_unix_ns,
            rtt_us: message.rtt_us,
            retransmits: message.retransmits,
            error: message.error,
            application: symbols.intern(&message.application),
            application_seen: message.application_seen,
            adopted: message.adopted,
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == ConnectionState::Open
    }

    /// A TCP connection stays with the process that accepted it, whoever listens later. The
    /// datagrams of a UDP flow go to whoever listens now, or listened last.
    pub(crate) fn span(&self) -> Span {
        let until = if self.is_open() {
            u64::MAX
        } else {
            self.closed_unix_ns
        };
        let since = if self.opened_unix_ns == 0 {
            until
        } else {
            self.opened_unix_ns
        };
        let moment = match self.protocol {
            Protocol::Udp => until,
            Protocol::Tcp | Protocol::Unspecified => since,
        };
        Span { since, moment }
    }

    /// The same socket and not another one with a cookie that came again.
    pub(crate) fn same_tuple(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.local == other.local && self.remote == other.remote
    }

    pub(crate) fn translated(&self) -> Translated {
        self.translated.as_deref().copied().unwrap_or_default()
    }

    /// The other end as far as this host knows it.
    pub(crate) fn real_remote(&self) -> SocketAddr {
        self.translated().remote.unwrap_or(self.remote)
    }

    /// Takes what is new. Repeated and overtaken messages change nothing: totals only grow, an end
    /// stays ended, and what is known is not forgotten.
    pub(crate) fn merge(&mut self, new: Facts) -> Merged {
        let mut merged = Merged::default();
        let span = self.span();
        let newer = new.bytes_sent.saturating_add(new.bytes_received)
            >= self.bytes_sent.saturating_add(self.bytes_received);
        let take = |old: &mut u64, new: u64| {
            let grows = new > *old;
            *old = (*old).max(new);
            grows
        };
        merged.counters |= take(&mut self.bytes_sent, new.bytes_sent);
        merged.counters |= take(&mut self.bytes_received, new.bytes_received);
        if new.retransmits > self.retransmits {
            self.retransmits = new.retransmits;
            merged.counters = true;
        }
        if newer && new.rtt_us != 0 && new.rtt_us != self.rtt_us {
            self.rtt_us = new.rtt_us;
            merged.counters = true;
        }
        if !new.is_open() {
            if self.is_open() {
                self.state = new.state;
                self.closed_unix_ns = new.closed_unix_ns;
                merged.closed = true;
                merged.counters = true;
            } else if (new.state as i32) > self.state as i32 {
                self.state = new.state;
                merged.counters = true;
            }
        }
        if new.error != 0 {
            self.error = new.error;
        }
        if new.opened_unix_ns != 0
            && (self.opened_unix_ns == 0 || new.opened_unix_ns < self.opened_unix_ns)
        {
            self.opened_unix_ns = new.opened_unix_ns;
            merged.identity = true;
        }
        merged.identity |= self.merge_identity(new);
        merged.span = self.span() != span;
        merged
    }

    fn merge_identity(&mut self, new: Facts) -> bool {
        let mut changed = false;
        if new.direction != Direction::Unspecified && new.direction != self.direction {
            self.direction = new.direction;
            changed = true;
        }
        if let Some(translated) = new.translated {
            let mut all = self.translated();
            all.local = translated.local.or(all.local);
            all.remote = translated.remote.or(all.remote);
            if all != self.translated() {
                self.translated = Some(Box::new(all));
                changed = true;
            }
        }
        if new.network_namespace != 0 && new.network_namespace != self.network_namespace {
            self.network_namespace = new.network_namespace;
            changed = true;
        }
        if new.cgroup_id != 0 {
            self.cgroup_id = new.cgroup_id;
        }
        if new.server_name.is_some() && new.server_name != self.server_name {
            self.server_name = new.server_name;
            changed = true;
        }
        let better = new.application_seen || !self.application_seen;
        if new.application != Symbol::EMPTY && better {
            changed |= new.application != self.application;
            self.application = new.application;
            self.application_seen = new.application_seen;
        }
        changed
    }
}

/// What a connection adds to its edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub forward: u64,
    pub back: u64,
    pub retransmits: u32,
    pub rtt_us: u32,
    pub port: u16,
    pub open: bool,
    pub failed: bool,
    pub first_seen_ms: u64,
    pub last_seen_ms: u64,
}

/// Where a connection is drawn: its edge in each view, and what it added there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drawn {
    pub edges: [Option<EdgeKey>; 3],
    pub share: Share,
    /// When it was first drawn: a connection that moves early takes its part of the rates along.
    pub since_ms: u64,
}

/// Events of an end that wait for the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub opened: bool,
    pub ended: bool,
    /// In the queue of those that are let go when their time is up.
    pub queued: bool,
}

impl Held {
    pub(crate) fn any(self) -> bool {
        self.opened || self.ended
    }
}

/// One local end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub agent: AgentKey,
    pub cookie: u64,
    pub facts: Facts,
    pub owner: Owner,
    pub container: Option<ContainerKey>,
    /// The other end, where it is on an agent and was found.
    pub peer: Option<EndKey>,
    /// Set on one of the two ends.
    pub drawn: Option<Drawn>,
    /// Place in the list of its process, and of its remote address.
    pub process_slot: u32,
    pub remote_slot: u32,
    /// Snapshot in which it was last named.
    pub epoch: u32,
    pub held: Held,
}

impl End {
    /// Whether the listener of its port can say more of it: whose it is, or who began.
    pub(crate) fn is_undecided(&self) -> bool {
        self.owner == Owner::Unknown || self.facts.direction == Direction::Unspecified
    }

    /// The moment for telling connections with the same tuple apart.
    pub(crate) fn opened_ms(&self) -> u64 {
        let ns = if self.facts.opened_unix_ns == 0 {
            self.facts.closed_unix_ns
        } else {
            self.facts.opened_unix_ns
        };
        ns / 1_000_000
    }

    pub(crate) fn closed_ms(&self) -> u64 {
        self.facts.closed_unix_ns / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: ConnectionState, sent: u64) -> v1::Connection {
        v1::Connection {
            protocol: Protocol::Tcp.into(),
            state: state.into(),
            local: Some(
                "10.0.0.1:5000"
                    .parse::<SocketAddr>()
                    .expect("literal")
                    .into(),
            ),
            remote: Some("10.0.0.2:80".parse::<SocketAddr>().expect("literal").into()),
            bytes_sent: sent,
            ..Default::default()
        }
    }

    #[test]
    fn an_overtaken_message_does_not_reopen_or_shrink() {
        let mut symbols = Symbols::default();
        let mut parse = |message| Facts::parse(&message, &mut symbols, 7).expect("complete");
        let mut facts = parse(message(ConnectionState::Closed, 10));
        assert_eq!(facts.closed_unix_ns, 7_000_000);
        let merged = facts.merge(parse(message(ConnectionState::Open, 5)));
        assert_eq!(merged, Merged::default());
        assert_eq!(
            (facts.state, facts.bytes_sent),
            (ConnectionState::Closed, 10)
        );
    }

    #[test]
    fn without_addresses_it_is_refused() {
        let mut broken = message(ConnectionState::Open, 0);
        broken.remote = Some(v1::Endpoint {
            address: vec![1, 2, 3],
            port: 80,
        });
        assert!(Facts::parse(&broken, &mut Symbols::default(), 0).is_err());
        broken.remote = Some(v1::Endpoint {
            address: vec![1, 2, 3, 4],
            port: 70_000,
        });
        assert!(Facts::parse(&broken, &mut Symbols::default(), 0).is_err());
    }
}
