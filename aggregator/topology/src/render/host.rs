//! Hosts as nodes.

use mesoscope_proto::{address, v1};

use super::{Fields, as_f64, metric};
use crate::{Topology, agent::Agent, health, keys::AgentKey};

impl Topology {
    pub(super) fn render_host(&self, key: AgentKey) -> Option<v1::Node> {
        let agent = self.agents.get(key)?;
        let health = health::of_host(agent);
        let host = agent.host.as_deref();
        Some(v1::Node {
            kind: "host".into(),
            label: agent.hostname.to_string(),
            label_minor: host.map(|host| host.kernel.clone()).unwrap_or_default(),
            state: if agent.stale { "offline" } else { "running" }.into(),
            health: health.level.into(),
            health_reason: health.reason,
            metadata: summary(agent),
            metrics: metrics(agent),
            children: u32::try_from(agent.containers.len()).unwrap_or(u32::MAX),
            ..Default::default()
        })
    }
}

/// Addresses of the host that others can reach.
pub(crate) fn addresses(host: &v1::Host) -> String {
    let all = host
        .interfaces
        .iter()
        .flat_map(|interface| &interface.addresses);
    let text: Vec<_> = all
        .filter_map(|bytes| address::from_bytes(bytes))
        .filter(|ip| !ip.is_loopback() && !crate::address::is_link_local(*ip))
        .map(|ip| ip.to_string())
        .collect();
    text.join(", ")
}

fn summary(agent: &Agent) -> Vec<v1::Field> {
    let mut fields = Fields::default();
    if let Some(host) = &agent.host {
        fields.text("os", "OS", &host.os);
        fields.text("kernel", "Kernel", &host.kernel);
        fields.text("cpu_model", "CPU", &host.cpu_model);
        fields.number("cpu_cores", "Cores", host.cpu_cores.into());
        fields.bytes("memory", "Memory", host.memory_bytes);
        fields.add("addresses", "Addresses", "address", addresses(host));
        fields.time("booted", "Booted", host.boot_unix_ns);
    }
    fields.text("agent_version", "Agent", &agent.version);
    fields.0
}

fn metrics(agent: &Agent) -> Vec<v1::Metric> {
    let Some(metrics) = agent.metrics.as_deref().filter(|_| !agent.stale) else {
        return Vec::new();
    };
    let host = agent.host.as_deref();
    let cores = host.map_or(0.0, |host| host.cpu_cores.into());
    let memory = host.map_or(0.0, |host| as_f64(host.memory_bytes));
    let disks = host.map_or(0, |host| {
        host.disks
            .iter()
            .map(|disk| disk.capacity_bytes)
            .fold(0, u64::saturating_add)
    });
    let rate = |key, label, value| metric(key, label, value, "bytes/s", 0.0);
    vec![
        metric("cpu", "CPU", metrics.cpu_cores_used, "cores", cores),
        metric(
            "memory",
            "Memory",
            as_f64(metrics.memory_used_bytes),
            "bytes",
            memory,
        ),
        metric("load", "Load (1 min)", metrics.load_1m, "count", cores),
        rate(
            "network_in",
            "Network in",
            metrics.network_received_bytes_per_s,
        ),
        rate(
            "network_out",
            "Network out",
            metrics.network_sent_bytes_per_s,
        ),
        rate("disk_read", "Disk read", metrics.disk_read_bytes_per_s),
        rate(
            "disk_written",
            "Disk written",
            metrics.disk_written_bytes_per_s,
        ),
        metric(
            "disk",
            "Disk",
            as_f64(metrics.disk_used_bytes),
            "bytes",
            as_f64(disks),
        ),
        metric(
            "processes",
            "Processes",
            metrics.processes.into(),
            "count",
            0.0,
        ),
        metric(
            "open_files",
            "Open files",
            as_f64(metrics.open_files),
            "count",
            0.0,
        ),
    ]
}
