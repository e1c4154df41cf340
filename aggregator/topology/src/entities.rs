//! Processes, containers and listeners as the tables hold them.

use std::{net::SocketAddr, sync::Arc};

use mesoscope_proto::v1::{self, ContainerState, Protocol};

use smallvec::SmallVec;

use crate::{
    end::Span,
    keys::{AgentKey, ContainerKey, EndKey, ListenerKey, NodeKey, Owner},
    places::Port,
};

/// A process, running or just ended.
#[derive(Debug)]
pub(crate) struct Process {
    pub agent: AgentKey,
    pub pid: u32,
    pub start: u64,
    /// False while only its sockets have been heard of.
    pub known: bool,
    /// Without the container's id, which is in `container`.
    pub record: Box<v1::Process>,
    pub container: Option<ContainerKey>,
    /// As last told: small changes are not worth a message.
    pub metrics: Option<Box<v1::ProcessMetrics>>,
    pub ends: Vec<EndKey>,
    pub listeners: SmallVec<[ListenerKey; 1]>,
    pub node: NodeKey,
    pub epoch: u32,
    /// In the list of those that have ended.
    pub ending: bool,
}

impl Process {
    pub(crate) fn has_ended(&self) -> bool {
        self.record.exit.is_some()
    }

    /// The record as the wire has it.
    pub(crate) fn to_message(&self, container_id: Option<&str>) -> v1::Process {
        let mut message = (*self.record).clone();
        message.container_id = container_id.unwrap_or_default().into();
        message
    }
}

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub agent: AgentKey,
    pub id: Arc<str>,
    /// False while only its processes or sockets have been heard of.
    pub known: bool,
    pub record: Box<v1::Container>,
    pub metrics: Option<Box<v1::ContainerMetrics>>,
    /// Running processes in it.
    pub processes: u32,
    pub node: NodeKey,
    pub epoch: u32,
    /// In the list of those that are gone.
    pub ending: bool,
}

impl Container {
    pub(crate) fn is_removed(&self) -> bool {
        self.record.state() == ContainerState::Removed
    }

    /// True when it does not run and will not by itself.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(
            self.record.state(),
            ContainerState::Exited | ContainerState::Dead | ContainerState::Removed
        )
    }

    /// True when it belongs to the platform: the sandbox of a pod, or what keeps a cluster running.
    pub(crate) fn is_system(&self) -> bool {
        let record = &self.record;
        let label = |key: &str, value: &str| {
            let is = |label: &v1::KeyValue| label.key == key && label.value == value;
            record.labels.iter().any(is)
        };
        matches!(
            record.pod_namespace.as_str(),
            "kube-system" | "kube-public" | "kube-node-lease"
        ) || label("io.kubernetes.docker.type", "podsandbox")
            || label("io.cri-containerd.kind", "sandbox")
            || label("io.kubernetes.container.name", "POD")
            || label("works.weave.role", "system")
    }

    /// Its name, or the start of its id.
    pub(crate) fn label(&self) -> &str {
        if self.record.name.is_empty() {
            self.id.get(..12).unwrap_or(&self.id)
        } else {
            self.record.name.trim_start_matches('/')
        }
    }

    /// What an event says of it: who it is, without its environment and mounts.
    pub(crate) fn to_event(&self) -> v1::Container {
        v1::Container {
            environment: Vec::new(),
            mounts: Vec::new(),
            labels: Vec::new(),
            ..(*self.record).clone()
        }
    }
}

/// A socket that waits for others, or has closed and is kept for the connections of its time.
#[derive(Debug)]
pub(crate) struct Listener {
    pub agent: AgentKey,
    pub cookie: u64,
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub network_namespace: u64,
    pub owner: Owner,
    pub container: Option<ContainerKey>,
    pub epoch: u32,
    /// 0 while it lives.
    pub closed_unix_ns: u64,
    /// When it goes, once it has closed.
    pub kept_until_ms: u64,
    /// A connection was drawn by it after it had closed.
    pub consulted: bool,
}

impl Listener {
    pub(crate) fn is_open(&self) -> bool {
        self.closed_unix_ns == 0
    }

    pub(crate) fn port(&self) -> Port {
        (self.agent, self.protocol, self.local.port())
    }

    /// How well it fits a connection that it can have had by its address and port; less is better.
    /// `None` when it had closed before.
    ///
    /// In this order: it listened at the moment that counts; it listens on that very address; of
    /// two that took turns on a port, the earlier one is the one that still lived then; then the
    /// same answer whatever the order of arrival.
    pub(crate) fn rank(&self, connection: Span) -> Option<(bool, bool, u64, u64)> {
        let until = if self.is_open() {
            u64::MAX
        } else {
            self.closed_unix_ns
        };
        let had_closed = until < connection.moment;
        (until >= connection.since).then_some((
            had_closed,
            self.local.ip().is_unspecified(),
            until.abs_diff(connection.moment),
            self.cookie,
        ))
    }
}

/// True when the new figures differ from those told by more than noise.
pub(crate) fn differs(told: f64, now: f64, least: f64) -> bool {
    if told.is_nan() != now.is_nan() {
        return true;
    }
    let change = (told - now).abs();
    change > least && change > 0.05 * told.abs().max(now.abs())
}

/// [`differs`] for counts and sizes.
#[expect(
    clippy::cast_precision_loss,
    reason = "a comparison with a margin of percents"
)]
pub(crate) fn differs_count(told: u64, now: u64, least: u64) -> bool {
    differs(told as f64, now as f64, least as f64)
}

pub(crate) fn process_metrics_differ(told: &v1::ProcessMetrics, now: &v1::ProcessMetrics) -> bool {
    differs(told.cpu_cores_used, now.cpu_cores_used, 0.005)
        || differs_count(told.rss_bytes, now.rss_bytes, 1 << 20)
        || differs_count(told.open_files.into(), now.open_files.into(), 0)
        || told.threads != now.threads
        || differs_count(told.connections.into(), now.connections.into(), 0)
}

pub(crate) fn container_metrics_differ(
    told: &v1::ContainerMetrics,
    now: &v1::ContainerMetrics,
) -> bool {
    differs(told.cpu_cores_used, now.cpu_cores_used, 0.005)
        || differs_count(told.memory_used_bytes, now.memory_used_bytes, 1 << 20)
        || differs(
            told.network_received_bytes_per_s,
            now.network_received_bytes_per_s,
            100.0,
        )
        || differs(
            told.network_sent_bytes_per_s,
            now.network_sent_bytes_per_s,
            100.0,
        )
        || differs(
            told.disk_read_bytes_per_s,
            now.disk_read_bytes_per_s,
            1_000.0,
        )
        || differs(
            told.disk_written_bytes_per_s,
            now.disk_written_bytes_per_s,
            1_000.0,
        )
        || told.processes != now.processes
        || told.oom_kills != now.oom_kills
        || differs(
            told.cpu_throttled_fraction,
            now.cpu_throttled_fraction,
            0.01,
        )
}
