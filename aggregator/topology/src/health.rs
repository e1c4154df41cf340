//! How a thing is, with the reason in words.

use mesoscope_proto::v1::{self, ContainerState, GapKind};

use crate::{
    agent::Agent,
    entities::{Container, Process},
};

/// The health of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub level: &'static str,
    pub reason: String,
}

impl Health {
    pub(crate) fn ok() -> Self {
        Self {
            level: "ok",
            reason: String::new(),
        }
    }

    fn warning(reason: impl Into<String>) -> Self {
        Self {
            level: "warning",
            reason: reason.into(),
        }
    }

    fn critical(reason: impl Into<String>) -> Self {
        Self {
            level: "critical",
            reason: reason.into(),
        }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self {
            level: "unknown",
            reason: reason.into(),
        }
    }
}

fn silent(agent: &Agent) -> Option<Health> {
    agent
        .stale
        .then(|| Health::unknown(format!("the agent of {} is silent", agent.hostname)))
}

/// Name of a signal (x86 and arm64 numbers, `signal(7)`).
pub(crate) fn signal_name(signal: u32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.into()
}

pub(crate) fn of_process(process: &Process, agent: &Agent) -> Health {
    // Signals whose default is to dump core: the program failed.
    const CRASHES: [u32; 10] = [3, 4, 5, 6, 7, 8, 11, 24, 25, 31];
    if let Some(exit) = &process.record.exit {
        if exit.oom {
            return Health::critical("killed by the kernel for want of memory");
        }
        if exit.inferred {
            return Health::unknown("ended unseen: events were missing at the time");
        }
        if CRASHES.contains(&exit.signal) {
            return Health::warning(format!("crashed by {}", signal_name(exit.signal)));
        }
    }
    silent(agent).unwrap_or_else(Health::ok)
}

pub(crate) fn of_container(container: &Container, agent: &Agent) -> Health {
    let record = &container.record;
    let code = record.exit_code;
    let runs = matches!(
        record.state(),
        ContainerState::Running | ContainerState::Unspecified | ContainerState::Paused
    );
    match record.state() {
        ContainerState::Dead => return Health::critical("dead: the runtime could not remove it"),
        ContainerState::Restarting if record.oom_killed => {
            return Health::critical("restarting after it was killed for want of memory");
        }
        ContainerState::Restarting if code != 0 => {
            return Health::critical(format!("restarting after exit code {code}"));
        }
        ContainerState::Restarting => return Health::warning("restarting"),
        // Some runtimes say so of every kill in it, also where it went on and ended well.
        ContainerState::Exited | ContainerState::Removed if record.oom_killed && code != 0 => {
            return Health::critical("killed by the kernel for want of memory");
        }
        // 143: it obeyed SIGTERM, the ordinary way to stop.
        ContainerState::Exited if code != 0 && code != 143 => {
            let mut reason = format!("exited with code {code}");
            if record.oom_kills > 0 {
                reason.push_str(" after ");
                reason.push_str(&oom_kills(record.oom_kills));
            }
            return Health::warning(reason);
        }
        _ => {}
    }
    if let Some(health) = silent(agent) {
        return health;
    }
    let withheld = agent.gaps.iter().find(|open| {
        open.gap.kind() == GapKind::Throttled && open.gap.container_id == *container.id
    });
    if let Some(open) = withheld {
        return Health::warning(format!(
            "its events exceed the rate cap: {} withheld",
            open.gap.count
        ));
    }
    let metrics = container.metrics.as_deref().filter(|_| runs);
    if let Some(health) = metrics.and_then(|metrics| of_memory(record, metrics)) {
        return health;
    }
    // The cgroup counts those from before the agent's start, too, and the agent those of a cgroup
    // that is gone.
    let killed = metrics
        .map_or(0, |metrics| metrics.oom_kills)
        .max(record.oom_kills);
    if killed > 0 {
        return Health::warning(oom_kills(killed));
    }
    metrics.and_then(of_throttling).unwrap_or_else(Health::ok)
}

/// "1 process in it was killed for want of memory".
fn oom_kills(count: u64) -> String {
    let were = if count == 1 {
        "process in it was"
    } else {
        "processes in it were"
    };
    format!("{count} {were} killed for want of memory")
}

fn of_memory(record: &v1::Container, metrics: &v1::ContainerMetrics) -> Option<Health> {
    let limit = record
        .limits
        .as_ref()
        .map_or(0, |limits| limits.memory_bytes);
    (limit > 0 && metrics.memory_used_bytes > limit / 10 * 9)
        .then(|| Health::warning("uses more than 90 % of its memory limit"))
}

fn of_throttling(metrics: &v1::ContainerMetrics) -> Option<Health> {
    (metrics.cpu_throttled_fraction > 0.25).then(|| {
        Health::warning(format!(
            "held back by its CPU limit in {:.0} % of the periods",
            metrics.cpu_throttled_fraction * 100.0
        ))
    })
}

pub(crate) fn of_host(agent: &Agent) -> Health {
    if let Some(health) = silent(agent) {
        return health;
    }
    if !agent.connected {
        return Health::warning("its agent is not connected");
    }
    let (Some(host), Some(metrics)) = (&agent.host, &agent.metrics) else {
        return Health::ok();
    };
    if host.memory_bytes > 0 && metrics.memory_used_bytes > host.memory_bytes / 100 * 95 {
        return Health::warning("more than 95 % of the memory is used");
    }
    let capacity: u64 = host
        .disks
        .iter()
        .map(|disk| disk.capacity_bytes)
        .fold(0, u64::saturating_add);
    if capacity > 0 && metrics.disk_used_bytes > capacity / 100 * 95 {
        return Health::warning("more than 95 % of the disks is used");
    }
    Health::ok()
}
