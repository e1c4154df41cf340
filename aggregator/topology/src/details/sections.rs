//! What is known of a node, in sections of fields.

use mesoscope_proto::{address, v1};

use crate::{
    Topology, ViewKind,
    agent::Agent,
    entities::{Container, Process},
    graph::Subject,
    keys::NodeKey,
    render::{Fields, oom_kills},
};

impl Topology {
    /// The sections of a node's details: none for pseudo nodes, `None` when it is gone.
    pub(crate) fn sections(
        &self,
        view: ViewKind,
        key: NodeKey,
        environment: bool,
    ) -> Option<Vec<v1::Section>> {
        let mut sections = match &self.graph(view).nodes.get(key)?.subject {
            Subject::Process(key) => process_sections(self.processes.get(*key)?),
            Subject::Container(key) => container_sections(self.containers.get(*key)?, environment),
            Subject::Host(key) => host_sections(self.agents.get(*key)?),
            _ => Vec::new(),
        };
        self.add_labels(view, key, &mut sections);
        Some(sections)
    }
}

fn section(title: &str, fields: Fields) -> Option<v1::Section> {
    (!fields.0.is_empty()).then(|| v1::Section {
        title: title.into(),
        fields: fields.0,
    })
}

fn process_sections(process: &Process) -> Vec<v1::Section> {
    let record = &process.record;
    let mut fields = Fields::default();
    fields.add("pid", "PID", "number", process.pid.to_string());
    fields.number(
        "namespaced_pid",
        "PID in its namespace",
        record.namespaced_pid.into(),
    );
    fields.number(
        "ppid",
        "Parent PID",
        record.parent.map_or(0, |parent| parent.pid.into()),
    );
    fields.text("command", "Command", &record.argv.join(" "));
    if record.argv_truncated {
        fields.text("command_cut", "Command cut", "yes, at 256 bytes");
    }
    fields.text("executable", "Executable", &record.executable);
    fields.text("cwd", "Working directory", &record.cwd);
    if process.known {
        fields.add("uid", "UID", "number", record.uid.to_string());
    }
    fields.text("user", "User", &record.user);
    fields.number("cgroup_id", "Cgroup", record.cgroup_id);
    fields.number(
        "network_namespace",
        "Network namespace",
        record.network_namespace,
    );
    fields.time("started", "Started", record.started_unix_ns);
    let mut ending = Fields::default();
    if let Some(exit) = &record.exit {
        ending.time("ended", "Ended", exit.time_unix_ns);
        ending.text(
            "exit",
            "How",
            &process.ending_in_words().unwrap_or_default(),
        );
        ending.bytes("rss_max", "Largest memory", exit.rss_bytes_max);
        ending.number("cpu_ms", "CPU time (ms)", exit.cpu_ns / 1_000_000);
    }
    let mut use_of = Fields::default();
    if let Some(metrics) = &process.metrics {
        use_of.bytes("rss", "Resident memory", metrics.rss_bytes);
        use_of.bytes("virtual", "Virtual memory", metrics.virtual_bytes);
        use_of.number("threads", "Threads", metrics.threads.into());
        use_of.number("open_files", "Open files", metrics.open_files.into());
    }
    [
        section("Process", fields),
        section("Exit", ending),
        section("Use", use_of),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn container_sections(container: &Container, environment: bool) -> Vec<v1::Section> {
    let record = &container.record;
    let mut fields = Fields::default();
    fields.add("id", "ID", "id", &*container.id);
    fields.text("image", "Image", &record.image);
    fields.add("image_id", "Image ID", "id", record.image_id.as_str());
    fields.text("runtime", "Runtime", &record.runtime);
    fields.text("command", "Command", &record.command.join(" "));
    fields.text("hostname", "Host name inside", &record.hostname);
    fields.text("network_mode", "Network", &record.network_mode);
    let ips: Vec<_> = record
        .addresses
        .iter()
        .filter_map(|bytes| address::from_bytes(bytes))
        .map(|ip| ip.to_string())
        .collect();
    fields.add("addresses", "Addresses", "address", ips.join(", "));
    fields.text("cgroup_path", "Cgroup", &record.cgroup_path);
    fields.time("created", "Created", record.created_unix_ns);
    fields.time("started", "Started", record.started_unix_ns);
    fields.time("finished", "Finished", record.finished_unix_ns);
    fields.number("restarts", "Restarts", record.restarts.into());
    oom_kills(record, &mut fields);
    if container.has_ended() {
        fields.add(
            "exit_code",
            "Exit code",
            "number",
            record.exit_code.to_string(),
        );
    }
    let mut limits = Fields::default();
    if let Some(limit) = &record.limits {
        if limit.cpus > 0.0 {
            limits.add("cpus", "CPUs", "number", format!("{:.2}", limit.cpus));
        }
        limits.bytes("memory", "Memory", limit.memory_bytes);
        limits.number("pids", "Processes", limit.pids);
    }
    let mut ports = Fields::default();
    for port in &record.ports {
        let inside = format!("{}/{}", port.container_port, port.protocol);
        let outside = if port.host_port == 0 {
            "not published".into()
        } else {
            format!("{}:{}", port.host_address, port.host_port)
        };
        ports.add(&inside, &inside, "address", outside);
    }
    let mut mounts = Fields::default();
    for mount in &record.mounts {
        let only = if mount.read_only { ", read only" } else { "" };
        let source = format!("{} ({}{only})", mount.source, mount.r#type);
        mounts.text(&mount.destination, &mount.destination, &source);
    }
    let pairs = |list: &[v1::KeyValue]| {
        let mut fields = Fields::default();
        for pair in list {
            fields.text(&pair.key, &pair.key, &pair.value);
        }
        fields
    };
    let variables = if environment {
        pairs(&record.environment)
    } else {
        Fields::default()
    };
    [
        section("Container", fields),
        section("Limits", limits),
        section("Ports", ports),
        section("Mounts", mounts),
        section("Labels", pairs(&record.labels)),
        section("Environment", variables),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn host_sections(agent: &Agent) -> Vec<v1::Section> {
    let mut fields = Fields::default();
    let mut network = Fields::default();
    let mut disks = Fields::default();
    let mut gpus = Fields::default();
    if let Some(host) = &agent.host {
        fields.text("os", "OS", &host.os);
        fields.text("kernel", "Kernel", &host.kernel);
        fields.text("architecture", "Architecture", &host.architecture);
        fields.text("cpu_model", "CPU", &host.cpu_model);
        fields.number("cpu_cores", "Cores", host.cpu_cores.into());
        fields.bytes("memory", "Memory", host.memory_bytes);
        fields.time("booted", "Booted", host.boot_unix_ns);
        for interface in &host.interfaces {
            let ips: Vec<_> = interface
                .addresses
                .iter()
                .filter_map(|bytes| address::from_bytes(bytes))
                .map(|ip| ip.to_string())
                .collect();
            let speed = if interface.speed_mbps == 0 {
                String::new()
            } else {
                format!(", {} Mbit/s", interface.speed_mbps)
            };
            let state = if interface.up { "up" } else { "down" };
            network.text(
                &interface.name,
                &interface.name,
                &format!("{} ({state}{speed})", ips.join(", ")),
            );
        }
        for disk in &host.disks {
            disks.bytes(&disk.mount_point, &disk.mount_point, disk.capacity_bytes);
        }
        for gpu in &host.gpus {
            gpus.text(
                &gpu.pci_address,
                &gpu.name,
                &format!("{} {}", gpu.vendor, gpu.pci_address),
            );
        }
    }
    let mut about = Fields::default();
    about.text("agent_id", "ID", &agent.id);
    about.text("version", "Version", &agent.version);
    about.time(
        "last_seen",
        "Last seen",
        agent.last_seen_ms.saturating_mul(1_000_000),
    );
    if let Some(status) = &agent.status {
        about.text("governor", "Governor", &status.governor);
        about.bytes("rss", "Memory", status.rss_bytes);
        about.text(
            "cpu",
            "CPU (% of a core)",
            &format!("{:.2}", status.cpu_percent),
        );
        about.number("events", "Events", status.events_total);
        about.number("events_lost", "Events lost", status.events_lost_total);
    }
    let mut plugins = Fields::default();
    let told = agent.status.iter().flat_map(|status| &status.plugins);
    for plugin in told {
        let nodes = plugin.nodes;
        let state = match (plugin.state.as_str(), plugin.reason.as_str()) {
            (state @ "running", "") => format!("{state}, {nodes} nodes"),
            (state, "") => state.to_owned(),
            (state @ "running", reason) => format!("{state}, {nodes} nodes; {reason}"),
            (state, reason) => format!("{state}: {reason}"),
        };
        plugins.text(&plugin.name, &plugin.label, &state);
    }
    let mut capabilities = Fields::default();
    for capability in &agent.capabilities {
        let state = match (capability.available, capability.provider.as_str()) {
            (true, "") => "yes".into(),
            (true, provider) => format!("yes ({provider})"),
            (false, _) => format!("no: {}", capability.reason),
        };
        capabilities.text(&capability.name, &capability.name, &state);
    }
    [
        section("Host", fields),
        section("Network", network),
        section("Disks", disks),
        section("GPUs", gpus),
        section("Agent", about),
        section("Plugins", plugins),
        section("Capabilities", capabilities),
    ]
    .into_iter()
    .flatten()
    .collect()
}
