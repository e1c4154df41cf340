//! Everything known of one node.

use mesoscope_proto::{address, v1};
use rustc_hash::FxHashSet;

use crate::{
    Topology, ViewKind,
    agent::Agent,
    end::End,
    entities::{Container, Process},
    graph::Subject,
    keys::{AgentKey, ContainerKey, EndKey, NodeKey},
    render::{Fields, oom_kills, protocol_name},
};

/// Connections in one answer.
const CONNECTIONS_MAX: usize = 500;
/// Children in one answer.
const CHILDREN_MAX: usize = 2_000;

impl Topology {
    /// Everything known of one node; `None` when the view has no such node.
    #[must_use]
    pub fn node(&self, view: ViewKind, id: &str, environment: bool) -> Option<v1::NodeDetails> {
        let key = self.find_node(view, id)?;
        let subject = &self.graph(view).nodes[key].subject;
        let mut details = v1::NodeDetails {
            node: self.render_node(view, key),
            sections: self.sections(view, key, environment)?,
            ..Default::default()
        };
        match subject {
            Subject::Container(container) => {
                let entry = self.containers.get(*container)?;
                details.children = self.processes_of(entry.agent, Some(*container));
            }
            Subject::Host(agent) => {
                details.children = self.containers_of(self.agents.get(*agent)?);
            }
            Subject::Uncontained(agent) => details.children = self.processes_of(*agent, None),
            _ => {}
        }
        self.add_connections(view, key, &mut details);
        Some(details)
    }

    /// The sections of a node's details: none for pseudo nodes, `None` when it is gone.
    pub(crate) fn sections(
        &self,
        view: ViewKind,
        key: NodeKey,
        environment: bool,
    ) -> Option<Vec<v1::Section>> {
        Some(match &self.graph(view).nodes.get(key)?.subject {
            Subject::Process(key) => process_sections(self.processes.get(*key)?),
            Subject::Container(key) => container_sections(self.containers.get(*key)?, environment),
            Subject::Host(key) => host_sections(self.agents.get(*key)?),
            _ => Vec::new(),
        })
    }

    pub(crate) fn find_node(&self, view: ViewKind, id: &str) -> Option<NodeKey> {
        let (kind, rest) = id.split_once(';')?;
        let graph = self.graph(view);
        let key = match (view, kind) {
            (ViewKind::Processes, "process") => {
                let mut parts = rest.rsplitn(3, ';');
                let start = parts.next()?.parse().ok()?;
                let pid = parts.next()?.parse().ok()?;
                let agent = &self.agents[self.find_agent(parts.next()?)?];
                self.processes[*agent.processes.get(&(pid, start))?].node
            }
            (ViewKind::Containers, "container") => {
                let container = match rest.split_once(';') {
                    Some((id, agent)) => {
                        *self.agents[self.find_agent(agent)?].containers.get(id)?
                    }
                    None => *self.container_ids.get(rest)?,
                };
                self.containers[container].node
            }
            (ViewKind::Hosts, "host") => self.agents[self.find_agent(rest)?].node,
            (_, "pseudo") => graph.find_pseudo(&self.pseudo_subject(rest)?)?,
            _ => return None,
        };
        graph.nodes.contains_key(key).then_some(key)
    }

    fn pseudo_subject(&self, rest: &str) -> Option<Subject> {
        let (kind, name) = rest.split_once(';')?;
        Some(match (kind, name) {
            ("internet", "in") => Subject::Internet { clients: true },
            ("internet", "out") => Subject::Internet { clients: false },
            ("uncontained", agent) => Subject::Uncontained(self.find_agent(agent)?),
            ("service", name) => Subject::Service(name.into()),
            ("address", "others") => Subject::Others,
            ("address", text) => match text.split_once(';') {
                Some((ip, agent)) => {
                    Subject::Address(ip.parse().ok()?, Some(self.find_agent(agent)?))
                }
                None => Subject::Address(text.parse().ok()?, None),
            },
            _ => return None,
        })
    }

    fn processes_of(&self, agent: AgentKey, container: Option<ContainerKey>) -> Vec<v1::NodeRef> {
        let Some(agent) = self.agents.get(agent) else {
            return Vec::new();
        };
        let mut inside: Vec<&Process> = agent
            .processes
            .values()
            .map(|key| &self.processes[*key])
            .filter(|process| process.container == container && !self.is_over(process))
            .filter(|process| !process.record.kernel_thread)
            .collect();
        inside.sort_by_key(|process| (process.start, process.pid));
        inside.truncate(CHILDREN_MAX);
        let graph = self.graph(ViewKind::Processes);
        let refer = |process: &Process| v1::NodeRef {
            view: ViewKind::Processes.name().into(),
            id: graph.nodes[process.node].id.to_string(),
            label: format!("{} ({})", process.label(), process.pid),
        };
        inside.into_iter().map(refer).collect()
    }

    fn containers_of(&self, agent: &Agent) -> Vec<v1::NodeRef> {
        let mut containers: Vec<&Container> = agent
            .containers
            .values()
            .map(|key| &self.containers[*key])
            .collect();
        containers.sort_by(|a, b| (a.label(), &a.id).cmp(&(b.label(), &b.id)));
        containers.truncate(CHILDREN_MAX);
        let graph = self.graph(ViewKind::Containers);
        let refer = |container: &Container| v1::NodeRef {
            view: ViewKind::Containers.name().into(),
            id: graph.nodes[container.node].id.to_string(),
            label: container.label().into(),
        };
        containers.into_iter().map(refer).collect()
    }

    /// The connections that are drawn at a node, the latest first.
    fn add_connections(&self, view: ViewKind, key: NodeKey, details: &mut v1::NodeDetails) {
        let graph = self.graph(view);
        let edges: FxHashSet<_> = graph.nodes[key].edges.iter().copied().collect();
        let drawn_here = |end: &End| {
            let edge = end
                .drawn
                .as_ref()
                .and_then(|drawn| drawn.edges[view.index()]);
            edge.is_some_and(|edge| edges.contains(&edge))
        };
        let mut here: Vec<EndKey> = match &graph.nodes[key].subject {
            // Its own list is short; only for the others every end is asked.
            Subject::Process(process) => {
                let own = self
                    .processes
                    .get(*process)
                    .map(|process| process.ends.clone());
                let mut holders: Vec<_> = own.unwrap_or_default();
                for end in &mut holders {
                    if self.ends[*end].drawn.is_none() {
                        *end = self.ends[*end].peer.unwrap_or(*end);
                    }
                }
                let listed: FxHashSet<_> = holders.into_iter().collect();
                let far = self
                    .ends
                    .iter()
                    .filter(|(key, end)| !listed.contains(key) && drawn_here(end));
                let far: Vec<_> = far.map(|(key, _)| key).collect();
                listed
                    .into_iter()
                    .filter(|key| drawn_here(&self.ends[*key]))
                    .chain(far)
                    .collect()
            }
            _ => self
                .ends
                .iter()
                .filter(|(_, end)| drawn_here(end))
                .map(|(key, _)| key)
                .collect(),
        };
        here.sort_by_key(|key| {
            let end = &self.ends[*key];
            (
                !end.facts.is_open(),
                std::cmp::Reverse(end.facts.opened_unix_ns),
                end.cookie,
            )
        });
        let left_out = here.len().saturating_sub(CONNECTIONS_MAX);
        details.connections_left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
        here.truncate(CONNECTIONS_MAX);
        details.connections = here
            .into_iter()
            .filter_map(|end| self.connection_at(view, key, &self.ends[end]))
            .collect();
    }

    /// A connection as seen from a node.
    fn connection_at(
        &self,
        view: ViewKind,
        node: NodeKey,
        drawer: &End,
    ) -> Option<v1::ConnectionDetails> {
        let peer = drawer.peer.and_then(|peer| self.ends.get(peer));
        let edge = drawer.drawn.as_ref()?.edges[view.index()]?;
        let name = self.graph(view).edges.get(edge)?.name;
        let outward = name.source == node;
        let other = if outward { name.target } else { name.source };
        let begins = self.begins(drawer, peer);
        // The end at this node, if an agent reported that one; else the other end, turned round.
        let (end, turned) = match (begins == outward, peer) {
            (true, _) => (drawer, false),
            (false, Some(peer)) => (peer, false),
            (false, None) => (drawer, true),
        };
        let facts = &end.facts;
        let (local, remote) = if turned {
            (facts.real_remote(), facts.local)
        } else {
            (facts.local, facts.remote)
        };
        let (sent, received) = if turned {
            (facts.bytes_received, facts.bytes_sent)
        } else {
            (facts.bytes_sent, facts.bytes_received)
        };
        let peer_node = self.render_node(view, other)?;
        Some(v1::ConnectionDetails {
            direction: if outward { "out" } else { "in" }.into(),
            local: Some(local.into()),
            remote: Some(remote.into()),
            protocol: protocol_name(facts.protocol).into(),
            application: self.symbols.name(facts.application).to_string(),
            state: state_name(facts.state).into(),
            peer: Some(v1::NodeRef {
                view: view.name().into(),
                id: peer_node.id,
                label: peer_node.label,
            }),
            bytes_sent: sent,
            bytes_received: received,
            rtt_us: facts.rtt_us,
            retransmits: facts.retransmits,
            opened_unix_ms: end.facts.opened_unix_ns / 1_000_000,
            closed_unix_ms: end.closed_ms(),
        })
    }
}

fn state_name(state: v1::ConnectionState) -> &'static str {
    match state {
        v1::ConnectionState::Unspecified => "",
        v1::ConnectionState::Open => "open",
        v1::ConnectionState::Closed => "closed",
        v1::ConnectionState::Reset => "reset",
        v1::ConnectionState::Failed => "failed",
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
        section("Capabilities", capabilities),
    ]
    .into_iter()
    .flatten()
    .collect()
}
