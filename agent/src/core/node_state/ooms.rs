//! Processes killed for want of memory, and what that says of their containers.
//!
//! The kernel's record of a process's end says whether it was so killed. The runtime may never say it
//! of the container (its watcher reads the cgroup's event late, when the container is gone already),
//! and what it says does not tell which process it was.

use std::sync::Arc;

use mesoscope_capture::ProcessId;
use mesoscope_proto::v1::{self, ContainerState};

use super::state::NodeState;

/// How every runtime tells of an end by SIGKILL: 128 and the signal's number.
const KILLED_EXIT_CODE: i32 = 128 + 9;

/// Kills in one run of a container, from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OomKills {
    count: u64,
    last_unix_ns: u64,
    /// The main process was among them: the run ended by it, then.
    main_unix_ns: Option<u64>,
    /// The container was started again since. What the runtime tells of the end before still counts.
    next_run_unix_ns: Option<u64>,
}

impl OomKills {
    pub(super) fn killed(&mut self, unix_ns: u64, main: bool) {
        if self.next_run_unix_ns.is_some_and(|next| next <= unix_ns) {
            *self = Self::default();
        }
        self.count += 1;
        self.last_unix_ns = self.last_unix_ns.max(unix_ns);
        if main {
            self.main_unix_ns = Some(unix_ns);
        }
    }

    /// Another run begins.
    pub(super) fn starts_again(&mut self, unix_ns: u64) {
        if self.count > 0 {
            self.next_run_unix_ns = Some(unix_ns);
        }
    }

    /// The runtime tells of the container: once it shows the next run, nothing older comes.
    pub(super) fn runtime_tells(&mut self, message: &v1::Container) {
        if self.next_run_unix_ns.is_some() && message.state() == ContainerState::Running {
            *self = Self::default();
        }
    }

    /// Adds what is known here. What the runtime told stays, unless it told less.
    pub(super) fn tell(&self, message: &mut v1::Container) {
        if self.count == 0 || !self.concerns(message) {
            return;
        }
        message.oom_kills = self.count;
        message.last_oom_kill_unix_ns = self.last_unix_ns;
        let Some(unix_ns) = self.main_unix_ns else {
            return;
        };
        message.oom_killed = true;
        let ended = matches!(
            message.state(),
            ContainerState::Exited | ContainerState::Removed
        );
        // The runtime has not told of this end: at most of an earlier run's.
        if ended && message.finished_unix_ns < unix_ns {
            message.finished_unix_ns = unix_ns;
            message.exit_code = KILLED_EXIT_CODE;
        }
    }

    /// Whether a message is about the run of the kills.
    fn concerns(&self, message: &v1::Container) -> bool {
        let Some(next) = self.next_run_unix_ns else {
            return true;
        };
        let ended = matches!(
            message.state(),
            ContainerState::Exited | ContainerState::Restarting | ContainerState::Dead
        );
        ended && (1..next).contains(&message.finished_unix_ns)
    }
}

impl NodeState {
    /// The container that a process ended in, by its end's cgroup or else by what was known before.
    pub(super) fn container_ended_in(
        &mut self,
        process: ProcessId,
        cgroup_id: u64,
    ) -> Option<Arc<str>> {
        let container = self.container_of(cgroup_id);
        let Some(process) = self.processes.get_mut(process) else {
            return container;
        };
        if process.container.is_none() {
            process.container.clone_from(&container);
        }
        container.or_else(|| process.container.clone())
    }

    /// Whether a process is its container's main one: the oldest of those that came into it from
    /// outside. Later ones were sent in (`docker exec`), all others are descendants. What ended before
    /// this one became the program that it is was scaffolding of the runtime's, or an earlier run.
    pub(super) fn is_main_process(&self, id: ProcessId, container: &str) -> bool {
        let from_outside = |parent: Option<ProcessId>| {
            let parent = parent.and_then(|parent| self.processes.get(parent));
            parent.is_none_or(|parent| parent.container.as_deref() != Some(container))
        };
        let Some(process) = self.processes.get(id) else {
            return false;
        };
        let age = |id: ProcessId| (id.start_boottime_ns, id.pid);
        let older = |(other_id, other): (&ProcessId, &super::process::Process)| {
            age(*other_id) < age(id)
                && other.container.as_deref() == Some(container)
                && (other.exit.is_none() || other.ended >= process.changed)
                && from_outside(other.parent)
        };
        from_outside(process.parent) && !self.processes.iter().any(older)
    }
}
