//! Processes as nodes.

use mesoscope_proto::v1;

use super::{Fields, as_f64, host_ref, metric, on_host};
use crate::{Topology, ViewKind, entities::Process, health, keys::ProcessKey};

impl Topology {
    pub(super) fn render_process(&self, key: ProcessKey) -> Option<v1::Node> {
        let process = self.processes.get(key)?;
        let agent = self.agents.get(process.agent)?;
        let health = health::of_process(process, agent);
        let container = process.container.and_then(|key| self.containers.get(key));
        let host = agent.host.as_deref();
        let mut parents = Vec::new();
        if let Some(container) = container {
            parents.push(v1::NodeRef {
                view: ViewKind::Containers.name().into(),
                id: self.graph(ViewKind::Containers).nodes[container.node]
                    .id
                    .to_string(),
                label: container.label().into(),
            });
        }
        parents.push(host_ref(agent));
        Some(v1::Node {
            kind: "process".into(),
            label: process.label(),
            label_minor: format!("{} ({})", agent.hostname, process.pid),
            state: if self.is_over(process) {
                "exited"
            } else {
                "running"
            }
            .into(),
            health: health.level.into(),
            health_reason: health.reason,
            metadata: summary(process),
            metrics: metrics(process, host),
            parents,
            ..on_host(agent)
        })
    }
}

impl Process {
    /// What a person calls it, or its pid while no name is known.
    pub(crate) fn label(&self) -> String {
        if self.record.name.is_empty() {
            format!("pid {}", self.pid)
        } else {
            let argv0 = self.record.argv.first().map_or("", String::as_str);
            program_name(&self.record.name, argv0).to_owned()
        }
    }

    /// How it ended, in words.
    pub(crate) fn ending_in_words(&self) -> Option<String> {
        let exit = self.record.exit.as_ref()?;
        Some(if exit.inferred {
            "not seen".into()
        } else if exit.oom {
            "killed for want of memory".into()
        } else if exit.signal != 0 {
            health::signal_name(exit.signal)
        } else {
            format!("exit code {}", exit.code)
        })
    }
}

/// The kernel's name of a task is cut at 15 bytes, and is "exe" for a program started through
/// `/proc/self/exe` (busybox starts its applets so): the first argument knows better then.
fn program_name<'a>(comm: &'a str, argv0: &'a str) -> &'a str {
    const COMM_BYTES_MAX: usize = 15;
    let program = argv0.rsplit('/').next().unwrap_or(argv0);
    let renamed = comm == "exe" && !program.is_empty();
    let cut = comm.len() == COMM_BYTES_MAX && program.starts_with(comm);
    if renamed || cut { program } else { comm }
}

/// What is worth a line beside the node; the details have the rest.
fn summary(process: &Process) -> Vec<v1::Field> {
    let record = &process.record;
    let mut fields = Fields::default();
    fields.add("pid", "PID", "number", process.pid.to_string());
    fields.number(
        "ppid",
        "Parent PID",
        record.parent.map_or(0, |parent| parent.pid.into()),
    );
    fields.text("command", "Command", &record.argv.join(" "));
    let user = if record.user.is_empty() {
        record.uid.to_string()
    } else {
        record.user.clone()
    };
    if process.known {
        fields.text("user", "User", &user);
    }
    fields.time("started", "Started", record.started_unix_ns);
    if let Some(exit) = &record.exit {
        fields.time("ended", "Ended", exit.time_unix_ns);
        fields.text(
            "exit",
            "Exit",
            &process.ending_in_words().unwrap_or_default(),
        );
    }
    fields.0
}

fn metrics(process: &Process, host: Option<&v1::Host>) -> Vec<v1::Metric> {
    let Some(metrics) = process.metrics.as_deref().filter(|_| !process.has_ended()) else {
        return Vec::new();
    };
    let cores = host.map_or(0.0, |host| host.cpu_cores.into());
    let memory = host.map_or(0.0, |host| as_f64(host.memory_bytes));
    vec![
        metric("cpu", "CPU", metrics.cpu_cores_used, "cores", cores),
        metric(
            "memory",
            "Memory",
            as_f64(metrics.rss_bytes),
            "bytes",
            memory,
        ),
        metric(
            "open_files",
            "Open files",
            metrics.open_files.into(),
            "count",
            0.0,
        ),
        metric("threads", "Threads", metrics.threads.into(), "count", 0.0),
        metric(
            "connections",
            "Connections",
            metrics.connections.into(),
            "count",
            0.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::program_name;

    #[test]
    fn the_first_argument_completes_a_cut_or_meaningless_name() {
        assert_eq!(program_name("exe", "wget"), "wget");
        assert_eq!(program_name("exe", ""), "exe");
        assert_eq!(
            program_name("mesoscope-aggre", "./target/mesoscope-aggregator"),
            "mesoscope-aggregator"
        );
        assert_eq!(program_name("nginx", "nginx: worker process"), "nginx");
        assert_eq!(program_name("fifteen-bytes-x", "other"), "fifteen-bytes-x");
    }
}
