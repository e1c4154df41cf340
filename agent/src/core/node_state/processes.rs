//! Processes by key. Ended ones are kept for a while, so that late records find them.

use std::collections::VecDeque;
use std::sync::Arc;

use mesoscope_capture::{MonoNs, ProcessId};
use mesoscope_proto::v1::{self, ProcessCause, ProcessExit};
use rustc_hash::{FxHashMap, FxHashSet};

use super::pending;
use super::process::{Arguments, Process};
use super::state::{NodeState, id};

/// A process that lives this long is worth a look into `/proc` for what the kernel's events lack.
const DETAILS_AFTER_NS: u64 = 1_000_000_000;
/// Processes that wait for a look into `/proc` at most; the oldest go without one.
pub const DETAILS_WAITING_MAX: usize = 16_384;

/// Ended processes over the bound before the next tick.
const STORM: usize = 1_024;

#[derive(Default)]
pub(super) struct Processes {
    by_id: FxHashMap<ProcessId, Process>,
    ended: VecDeque<(MonoNs, ProcessId)>,
    details: VecDeque<(MonoNs, ProcessId)>,
}

impl Processes {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn ended_len(&self) -> usize {
        self.ended.len()
    }

    pub(super) fn details_len(&self) -> usize {
        self.details.len()
    }

    pub(super) fn get(&self, id: ProcessId) -> Option<&Process> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProcessId, &Process)> {
        self.by_id.iter()
    }

    pub(super) fn alive(&self, id: ProcessId) -> bool {
        self.by_id
            .get(&id)
            .is_some_and(|process| process.exit.is_none())
    }

    pub(super) fn flushed(&mut self, id: ProcessId) -> Option<v1::Process> {
        let process = self.by_id.get_mut(&id)?;
        process.slot = None;
        Some(process.message(id))
    }

    pub(super) fn snapshot(&self, since: MonoNs, emit: &mut dyn FnMut(v1::Process)) {
        for (id, process) in &self.by_id {
            if self.is_told(id, since) {
                emit(process.message(*id));
            }
        }
    }

    /// Whether a snapshot since then tells of a process.
    pub(super) fn is_told(&self, id: &ProcessId, since: MonoNs) -> bool {
        let process = self.by_id.get(id);
        process.is_some_and(|process| process.exit.is_none() || process.ended >= since)
    }
}

/// What a fork or an exec tells of the process as it is from then on.
pub(super) struct Began {
    pub(super) id: ProcessId,
    pub(super) parent: ProcessId,
    pub(super) comm: String,
    pub(super) uid: u32,
    pub(super) cgroup_id: u64,
    pub(super) network_namespace: u64,
    pub(super) namespaced_pid: u32,
}

impl NodeState {
    pub(super) fn forked(&mut self, time: MonoNs, began: Began) {
        let parent = (began.parent.pid != 0).then_some(began.parent);
        if let Some(process) = self.processes.by_id.get_mut(&began.id) {
            // A snapshot was faster: it shows the process as it was later, only its origin is news.
            if process.cause == ProcessCause::Snapshot {
                process.cause = ProcessCause::Fork;
                process.time_unix_ns = self.clock.unix_ns(time);
                process.parent = parent;
                self.mark_process(began.id);
            }
            return;
        }
        let container = self.container_of(began.cgroup_id);
        let time_unix_ns = self.clock.unix_ns(time);
        let origin = self.processes.by_id.get(&began.parent);
        let process = Process {
            parent,
            arguments: origin.map(|p| p.arguments.clone()).unwrap_or_default(),
            user: origin
                .filter(|p| p.uid == began.uid)
                .map(|p| p.user.clone())
                .unwrap_or_default(),
            cwd: origin.map(|p| p.cwd.clone()).unwrap_or_default(),
            executable: origin.map(|p| p.executable.clone()).unwrap_or_default(),
            kernel_thread: origin.is_some_and(|p| p.kernel_thread),
            cause: ProcessCause::Fork,
            time_unix_ns,
            container,
            started_unix_ns: time_unix_ns,
            ..Process::began(
                began.comm.into(),
                began.uid,
                began.cgroup_id,
                began.network_namespace,
                began.namespaced_pid,
                time,
            )
        };
        self.insert_process(began.id, process);
    }

    pub(super) fn executed(&mut self, time: MonoNs, began: Began, arguments: Arguments) {
        let container = self.container_of(began.cgroup_id);
        let time_unix_ns = self.clock.unix_ns(time);
        let parent = (began.parent.pid != 0).then_some(began.parent);
        let Some(process) = self.processes.by_id.get_mut(&began.id) else {
            let process = Process {
                parent,
                arguments: Arc::new(arguments),
                cause: ProcessCause::Exec,
                time_unix_ns,
                container,
                started_unix_ns: self.clock.unix_ns_from_boot(began.id.start_boottime_ns),
                ..Process::began(
                    began.comm.into(),
                    began.uid,
                    began.cgroup_id,
                    began.network_namespace,
                    began.namespaced_pid,
                    time,
                )
            };
            self.insert_process(began.id, process);
            return;
        };
        // A read of /proc that began after this exec shows a later state, and longer arguments.
        let overtaken = process.read > time;
        if process.cause == ProcessCause::Exec && process.slot.is_some() {
            let message = process.message(began.id);
            pending::freeze(&mut self.pending.processes, &mut process.slot, message);
        }
        process.cause = ProcessCause::Exec;
        process.time_unix_ns = time_unix_ns;
        process.parent = process.parent.or(parent);
        process.kernel_thread = false;
        if !overtaken {
            process.changed = time;
            process.name = began.comm.into();
            process.arguments = Arc::new(arguments);
            process.executable = Box::default();
            if process.uid != began.uid {
                process.user = Box::default();
            }
            process.uid = began.uid;
            process.cgroup_id = began.cgroup_id;
            process.container = container;
            process.network_namespace = began.network_namespace;
            process.namespaced_pid = began.namespaced_pid;
        }
        self.want_details(time, began.id);
        self.mark_process(began.id);
    }

    /// A process ended, in this cgroup where that is known.
    pub(super) fn exited(
        &mut self,
        time: MonoNs,
        id: ProcessId,
        exit: ProcessExit,
        cgroup_id: u64,
    ) {
        let oom = exit.oom.then_some(exit.time_unix_ns);
        let Some(process) = self.processes.by_id.get_mut(&id) else {
            self.counters.exits_unknown += 1;
            if let Some(unix_ns) = oom {
                self.oom_killed(id, cgroup_id, unix_ns);
            }
            return;
        };
        let first = process.exit.is_none();
        if !first && process.exit.as_ref().is_some_and(|exit| !exit.inferred) {
            return;
        }
        process.exit = Some(Box::new(exit));
        if first {
            process.ended = time;
            self.processes.ended.push_back((time, id));
        }
        self.mark_process(id);
        if let Some(unix_ns) = oom {
            self.oom_killed(id, cgroup_id, unix_ns);
        }
        // In a storm a second is too long to wait for the next tick.
        if self.processes.ended.len() > self.limits.processes_ended + STORM {
            self.expire_processes();
        }
    }

    /// Takes over all processes that a read of `/proc` found, which began at `started` and ended
    /// before `now`. `complete`: what is not among them and is older than the read is gone.
    pub fn processes_found(
        &mut self,
        started: MonoNs,
        now: MonoNs,
        found: Vec<v1::Process>,
        complete: bool,
    ) {
        self.now = self.now.max(now);
        let mut seen: FxHashSet<ProcessId> = FxHashSet::default();
        for process in found {
            let Some(id) = process.key.as_ref().and_then(id) else {
                continue;
            };
            seen.insert(id);
            self.process_found(started, id, process);
        }
        if !complete {
            return;
        }
        let gone: Vec<ProcessId> = self
            .processes
            .by_id
            .iter()
            .filter(|(id, process)| {
                process.exit.is_none() && process.changed < started && !seen.contains(id)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            let exit = ProcessExit {
                time_unix_ns: self.clock.unix_ns(now),
                inferred: true,
                ..ProcessExit::default()
            };
            self.exited(now, id, exit, 0);
        }
    }

    fn process_found(&mut self, started: MonoNs, id: ProcessId, found: v1::Process) {
        let container = self.container_found(found.cgroup_id, &found.container_id);
        if let Some(process) = self.processes.by_id.get_mut(&id) {
            // Ended ones may still be there as zombies; events after the read began are newer.
            if process.exit.is_some() || process.changed >= started {
                return;
            }
            process.read = started;
            let renamed = *process.name != *found.name
                || process.cgroup_id != found.cgroup_id
                || process.uid != found.uid;
            process.take_over(found, container);
            if renamed {
                process.cause = ProcessCause::Update;
                process.time_unix_ns = self.clock.unix_ns(self.now);
                self.mark_process(id);
            }
            return;
        }
        let mut process = Process {
            parent: found.parent.as_ref().and_then(super::state::id),
            started_unix_ns: self.clock.unix_ns_from_boot(id.start_boottime_ns),
            kernel_thread: found.kernel_thread,
            ..Process::began(Box::default(), 0, 0, 0, 0, started)
        };
        process.read = started;
        process.time_unix_ns = process.started_unix_ns;
        process.take_over(found, container);
        self.insert_process(id, process);
    }

    /// What `/proc` tells of one process, for [`NodeState::details_due`].
    pub fn details(&mut self, found: v1::Process) {
        let Some(id) = found.key.as_ref().and_then(id) else {
            return;
        };
        let container = self.container_found(found.cgroup_id, &found.container_id);
        let Some(process) = self.processes.by_id.get_mut(&id) else {
            return;
        };
        if process.exit.is_some() {
            return;
        }
        process.take_over(found, container);
        if process.slot.is_none() {
            process.cause = ProcessCause::Update;
            process.time_unix_ns = self.clock.unix_ns(self.now);
        }
        self.mark_process(id);
    }

    /// Processes that have lived long enough for a look into `/proc`, `max` at most.
    pub fn details_due(&mut self, max: usize) -> Vec<ProcessId> {
        let mut due = Vec::new();
        while due.len() < max {
            let Some((time, id)) = self.processes.details.front().copied() else {
                break;
            };
            if time > self.now {
                break;
            }
            self.processes.details.pop_front();
            if self.processes.alive(id) {
                due.push(id);
            }
        }
        due
    }

    /// Processes that live and are programs.
    pub fn programs(&self) -> impl Iterator<Item = ProcessId> {
        self.processes
            .by_id
            .iter()
            .filter(|(_, process)| process.exit.is_none() && !process.kernel_thread)
            .map(|(id, _)| *id)
    }

    /// A live process of each container.
    #[must_use]
    pub fn container_processes(&self) -> FxHashMap<Arc<str>, u32> {
        let live = self
            .processes
            .by_id
            .iter()
            .filter(|(_, process)| process.exit.is_none());
        live.filter_map(|(id, process)| Some((process.container.clone()?, id.pid)))
            .collect()
    }

    pub(super) fn recontain_processes(&mut self, cgroups: &FxHashSet<u64>) {
        let affected: Vec<(ProcessId, u64)> = self
            .processes
            .by_id
            .iter()
            .filter(|(_, process)| {
                process.container.is_none() && cgroups.contains(&process.cgroup_id)
            })
            .map(|(id, process)| (*id, process.cgroup_id))
            .collect();
        for (id, cgroup_id) in affected {
            let container = self.container_of(cgroup_id);
            let mut oom = None;
            if let Some(process) = self.processes.by_id.get_mut(&id) {
                process.container = container;
                let exit = process.exit.as_deref().filter(|exit| exit.oom);
                oom = exit.map(|exit| exit.time_unix_ns);
            }
            self.mark_process(id);
            if let Some(unix_ns) = oom {
                self.oom_killed(id, cgroup_id, unix_ns);
            }
        }
    }

    pub(super) fn expire_processes(&mut self) {
        while let Some((time, id)) = self.processes.ended.front().copied() {
            let expired = time.saturating_add(self.limits.tombstone_ns) <= self.now;
            if !expired && self.processes.ended.len() <= self.limits.processes_ended {
                break;
            }
            self.processes.ended.pop_front();
            if let Some(mut process) = self.processes.by_id.remove(&id) {
                let message = process.slot.is_some().then(|| process.message(id));
                if let Some(message) = message {
                    pending::freeze(&mut self.pending.processes, &mut process.slot, message);
                }
            }
        }
    }

    /// After a storm the tables give back what they no longer need.
    pub(super) fn shrink_processes(&mut self) {
        let table = &mut self.processes.by_id;
        if table.capacity() > 4_096 && table.len() < table.capacity() / 4 {
            table.shrink_to(table.len() * 2);
        }
        let details = &mut self.processes.details;
        if details.capacity() > 1_024 && details.len() < details.capacity() / 4 {
            details.shrink_to(details.len() * 2);
        }
    }

    fn insert_process(&mut self, id: ProcessId, process: Process) {
        if self.processes.by_id.len() >= self.limits.processes {
            self.expire_processes();
            if self.processes.by_id.len() >= self.limits.processes {
                self.counters.over_limit += 1;
                return;
            }
        }
        if process.cause != ProcessCause::Snapshot {
            self.want_details(process.changed, id);
        }
        self.processes.by_id.insert(id, process);
        self.mark_process(id);
    }

    fn want_details(&mut self, time: MonoNs, id: ProcessId) {
        if self.processes.details.len() >= DETAILS_WAITING_MAX {
            self.processes.details.pop_front();
        }
        self.processes
            .details
            .push_back((time.saturating_add(DETAILS_AFTER_NS), id));
    }

    fn mark_process(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.by_id.get_mut(&id) {
            pending::mark(&mut self.pending.processes, &mut process.slot, id);
        }
    }
}
