//! An agent: where it stands, and what it reported.

use std::{net::IpAddr, sync::Arc};

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use crate::keys::{ContainerKey, EndKey, ListenerKey, NodeKey, ProcessKey};

/// Something of an agent that had no room here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub what: &'static str,
    pub since_ms: u64,
    pub count: u64,
    /// Snapshot in which it last happened.
    pub epoch: u32,
}

/// A gap and the snapshot in which it was last named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenGap {
    pub gap: v1::Gap,
    pub epoch: u32,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub id: Arc<str>,
    pub hostname: Arc<str>,
    pub version: String,
    pub generation: u64,
    pub connected: bool,
    pub connected_ms: u64,
    pub first_seen_ms: u64,
    pub last_seen_ms: u64,
    pub stale: bool,
    /// The aggregator that it reports to, or did last; `None`: this one.
    pub aggregator: Option<Arc<str>>,
    /// Named by Hello; replaced by those of the first status.
    pub capabilities: Vec<v1::Capability>,
    pub status: Option<v1::AgentStatus>,
    pub host: Option<Box<v1::Host>>,
    pub metrics: Option<Box<v1::HostMetrics>>,
    /// The host's node in the view of hosts.
    pub node: NodeKey,
    /// Number of the current or last snapshot.
    pub epoch: u32,
    pub in_snapshot: bool,
    /// A snapshot of this generation has been taken in.
    pub has_snapshot: bool,
    pub processes: FxHashMap<(u32, u64), ProcessKey>,
    pub containers: FxHashMap<Arc<str>, ContainerKey>,
    pub ends: FxHashMap<u64, EndKey>,
    pub listeners: FxHashMap<u64, ListenerKey>,
    pub addresses: Vec<IpAddr>,
    pub gaps: Vec<OpenGap>,
    pub left_out: Vec<LeftOut>,
    /// Running processes, kernel threads included.
    pub running: u32,
    /// For the availability: time connected and complete so far, and up to when that was counted.
    pub available_ms: u64,
    pub accounted_ms: u64,
}

impl Agent {
    pub(crate) fn new(hello: &v1::Hello, node: NodeKey, now_ms: u64) -> Self {
        let mut agent = Self {
            id: hello.agent_id.as_str().into(),
            hostname: "".into(),
            version: String::new(),
            generation: 0,
            connected: false,
            connected_ms: now_ms,
            first_seen_ms: now_ms,
            last_seen_ms: now_ms,
            stale: false,
            aggregator: None,
            capabilities: Vec::new(),
            status: None,
            host: None,
            metrics: None,
            node,
            epoch: 0,
            in_snapshot: false,
            has_snapshot: false,
            processes: FxHashMap::default(),
            containers: FxHashMap::default(),
            ends: FxHashMap::default(),
            listeners: FxHashMap::default(),
            addresses: Vec::new(),
            gaps: Vec::new(),
            left_out: Vec::new(),
            running: 0,
            available_ms: 0,
            accounted_ms: now_ms,
        };
        agent.greet(hello, now_ms);
        agent
    }

    /// Takes what a Hello says.
    pub(crate) fn greet(&mut self, hello: &v1::Hello, now_ms: u64) {
        self.account(now_ms);
        if hello.generation != self.generation {
            self.generation = hello.generation;
            self.has_snapshot = false;
            self.status = None;
        }
        let name = if hello.hostname.is_empty() {
            &hello.agent_id
        } else {
            &hello.hostname
        };
        if **name != *self.hostname {
            self.hostname = name.as_str().into();
        }
        self.version.clone_from(&hello.version);
        if !hello.capabilities.is_empty() {
            self.capabilities.clone_from(&hello.capabilities);
        }
        self.connected = true;
        self.connected_ms = now_ms;
        self.last_seen_ms = now_ms;
        self.in_snapshot = false;
        self.stale = false;
    }

    /// What is known of it is all that there is: no snapshot is on its way.
    pub(crate) fn tells_all(&self) -> bool {
        self.connected && self.has_snapshot && !self.in_snapshot
    }

    /// Nothing that happens on its node is missing from the map.
    pub(crate) fn is_complete(&self) -> bool {
        self.connected
            && self.has_snapshot
            && self.left_out.is_empty()
            && self
                .gaps
                .iter()
                .all(|open| open.gap.kind() == v1::GapKind::Capability)
    }

    /// Adds the time since the last call to the availability, by the state that held in it. Call it
    /// before that state changes.
    pub(crate) fn account(&mut self, now_ms: u64) {
        if self.is_complete() {
            self.available_ms += now_ms.saturating_sub(self.accounted_ms);
        }
        self.accounted_ms = self.accounted_ms.max(now_ms);
    }

    /// Share of the time since it was first seen in which it was connected and complete.
    pub(crate) fn availability(&self, now_ms: u64) -> f64 {
        let mut available = self.available_ms;
        if self.is_complete() {
            available += now_ms.saturating_sub(self.accounted_ms);
        }
        let known = now_ms.saturating_sub(self.first_seen_ms);
        if known == 0 {
            return f64::from(u8::from(self.is_complete()));
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
        let share = available as f64 / known as f64;
        share.min(1.0)
    }

    /// Notes that something had no room.
    pub(crate) fn leave_out(&mut self, what: &'static str, now_ms: u64) {
        self.account(now_ms);
        let epoch = self.epoch;
        if let Some(left) = self.left_out.iter_mut().find(|left| left.what == what) {
            left.count += 1;
            left.epoch = epoch;
        } else {
            self.left_out.push(LeftOut {
                what,
                since_ms: now_ms,
                count: 1,
                epoch,
            });
        }
    }

    pub(crate) fn info(&self, now_ms: u64) -> v1::AgentInfo {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        v1::AgentInfo {
            agent_id: self.id.to_string(),
            hostname: self.hostname.to_string(),
            version: self.version.clone(),
            connected: self.connected,
            connected_unix_ms: self.connected_ms,
            last_seen_unix_ms: self.last_seen_ms,
            generation: self.generation,
            status: self.status.clone(),
            processes: self.running,
            containers: count(self.containers.len()),
            connections: count(self.ends.len()),
            complete: self.is_complete(),
            availability: self.availability(now_ms),
            settings: None,
            aggregator: self.aggregator.as_deref().unwrap_or_default().to_owned(),
        }
    }
}
