//! One process, for its whole life and a while after.

use std::sync::Arc;

use mesoscope_capture::{MonoNs, ProcessId};
use mesoscope_proto::v1::{self, ProcessCause, ProcessExit};

use super::pending::Slot;
use super::state::key;

/// Program and arguments, shared by a process and the children that it forks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) argv: Vec<String>,
    pub(super) truncated: bool,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) parent: Option<ProcessId>,
    pub(super) name: Box<str>,
    pub(super) arguments: Arc<Arguments>,
    pub(super) cause: ProcessCause,
    pub(super) time_unix_ns: u64,
    pub(super) uid: u32,
    pub(super) user: Box<str>,
    pub(super) cwd: Box<str>,
    pub(super) executable: Box<str>,
    pub(super) cgroup_id: u64,
    pub(super) container: Option<Arc<str>>,
    pub(super) namespaced_pid: u32,
    pub(super) network_namespace: u64,
    pub(super) started_unix_ns: u64,
    pub(super) exit: Option<Box<ProcessExit>>,
    pub(super) kernel_thread: bool,
    /// Last fork or exec.
    pub(super) changed: MonoNs,
    /// Beginning of the last read of `/proc` that was taken over.
    pub(super) read: MonoNs,
    pub(super) ended: MonoNs,
    pub(super) slot: Slot,
}

impl Process {
    pub(super) fn message(&self, id: ProcessId) -> v1::Process {
        v1::Process {
            key: Some(key(id)),
            cause: self.cause.into(),
            time_unix_ns: self.time_unix_ns,
            parent: self.parent.map(key),
            name: self.name.to_string(),
            argv: self.arguments.argv.clone(),
            argv_truncated: self.arguments.truncated,
            uid: self.uid,
            user: self.user.to_string(),
            cwd: self.cwd.to_string(),
            executable: self.executable.to_string(),
            cgroup_id: self.cgroup_id,
            container_id: self.container.as_deref().unwrap_or_default().to_owned(),
            namespaced_pid: if self.namespaced_pid == id.pid {
                0
            } else {
                self.namespaced_pid
            },
            network_namespace: self.network_namespace,
            started_unix_ns: self.started_unix_ns,
            exit: self.exit.as_deref().cloned(),
            kernel_thread: self.kernel_thread,
        }
    }

    pub(super) fn began(
        name: Box<str>,
        uid: u32,
        cgroup_id: u64,
        network_namespace: u64,
        namespaced_pid: u32,
        changed: MonoNs,
    ) -> Self {
        Self {
            parent: None,
            name,
            arguments: Arc::default(),
            cause: ProcessCause::Snapshot,
            time_unix_ns: 0,
            uid,
            user: Box::default(),
            cwd: Box::default(),
            executable: Box::default(),
            cgroup_id,
            container: None,
            namespaced_pid,
            network_namespace,
            started_unix_ns: 0,
            exit: None,
            kernel_thread: false,
            changed,
            read: 0,
            ended: 0,
            slot: None,
        }
    }

    /// `/proc` knows more than the events: longer arguments, the user's name, folders.
    pub(super) fn take_over(&mut self, found: v1::Process, container: Option<Arc<str>>) {
        self.name = found.name.into();
        self.uid = found.uid;
        self.user = found.user.into();
        self.cwd = found.cwd.into();
        self.executable = found.executable.into();
        if found.cgroup_id != 0 {
            self.cgroup_id = found.cgroup_id;
            self.container = container;
        }
        if found.namespaced_pid != 0 {
            self.namespaced_pid = found.namespaced_pid;
        }
        if found.network_namespace != 0 {
            self.network_namespace = found.network_namespace;
        }
        let found_arguments = Arguments {
            argv: found.argv,
            truncated: found.argv_truncated,
        };
        if !found_arguments.argv.is_empty() && found_arguments != *self.arguments {
            self.arguments = Arc::new(found_arguments);
        }
    }
}
