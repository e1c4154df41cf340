//! Containers as nodes.

use mesoscope_proto::v1::{self, ContainerState};

use super::{Fields, as_f64, host_ref, metric, on_host};
use crate::{Topology, entities::Container, health, keys::ContainerKey};

impl Topology {
    pub(super) fn render_container(&self, key: ContainerKey) -> Option<v1::Node> {
        let container = self.containers.get(key)?;
        let agent = self.agents.get(container.agent)?;
        let health = health::of_container(container, agent);
        let record = &container.record;
        let minor = if record.image.is_empty() {
            &agent.hostname
        } else {
            record.image.as_str()
        };
        Some(v1::Node {
            kind: "container".into(),
            label: container.label().into(),
            label_minor: minor.into(),
            state: state_name(record.state()).into(),
            health: health.level.into(),
            health_reason: health.reason,
            metadata: summary(container, self.dns_name_of(container).as_deref()),
            metrics: metrics(container, agent.host.as_deref()),
            parents: vec![host_ref(agent)],
            children: container.processes,
            ..on_host(agent)
        })
    }
}

pub(crate) fn state_name(state: ContainerState) -> &'static str {
    match state {
        // Known by its cgroup only, which has processes or soon will.
        ContainerState::Unspecified | ContainerState::Running => "running",
        ContainerState::Created => "created",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Removed => "removed",
    }
}

fn summary(container: &Container, dns_name: Option<&str>) -> Vec<v1::Field> {
    let record = &container.record;
    let mut fields = Fields::default();
    fields.add(
        "id",
        "ID",
        "id",
        container.id.get(..12).unwrap_or(&container.id),
    );
    fields.text("image", "Image", &record.image);
    fields.text("dns_name", "DNS name", dns_name.unwrap_or_default());
    fields.text("runtime", "Runtime", &record.runtime);
    if !record.pod_name.is_empty() {
        fields.text(
            "pod",
            "Pod",
            &format!("{}/{}", record.pod_namespace, record.pod_name),
        );
    }
    fields.time("started", "Started", record.started_unix_ns);
    if container.has_ended() && record.finished_unix_ns != 0 {
        fields.time("ended", "Ended", record.finished_unix_ns);
        fields.add(
            "exit_code",
            "Exit code",
            "number",
            record.exit_code.to_string(),
        );
    }
    fields.number("restarts", "Restarts", record.restarts.into());
    oom_kills(record, &mut fields);
    fields.0
}

/// Kills for want of memory, where there were any: how many and when the last was.
pub(crate) fn oom_kills(record: &v1::Container, fields: &mut Fields) {
    fields.number("oom_kills", "Out-of-memory kills", record.oom_kills);
    fields.time(
        "last_oom_kill",
        "Last out-of-memory kill",
        record.last_oom_kill_unix_ns,
    );
}

fn metrics(container: &Container, host: Option<&v1::Host>) -> Vec<v1::Metric> {
    let Some(metrics) = container
        .metrics
        .as_deref()
        .filter(|_| !container.has_ended())
    else {
        return Vec::new();
    };
    let limits = container.record.limits.unwrap_or_default();
    let cores = if limits.cpus > 0.0 {
        limits.cpus
    } else {
        host.map_or(0.0, |host| host.cpu_cores.into())
    };
    let memory = if limits.memory_bytes > 0 {
        as_f64(limits.memory_bytes)
    } else {
        host.map_or(0.0, |host| as_f64(host.memory_bytes))
    };
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
            "processes",
            "Processes",
            metrics.processes.into(),
            "count",
            as_f64(limits.pids),
        ),
    ]
}
