//! All processes at once, and the details of one.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mesoscope_capture::event::ProcessId;
use mesoscope_proto::v1::{Capability, Process, ProcessCause, ProcessKey};
use rustc_hash::FxHashMap;

use super::stat::Stat;
use super::users::UserNames;
use crate::cgroups::CgroupTree;
use crate::error::Error;
use crate::namespace::namespace_inode;
use crate::paths::Paths;
use crate::text::number;
use crate::time::{boot_unix_ns, unix_now_ns};

/// Bytes of arguments kept per process; `argv_truncated` says when there were more.
pub const ARGV_BYTES_MAX: usize = 4096;

/// Processes in a snapshot at most: the highest `kernel.pid_max` of a 64-bit kernel.
const PROCESSES_MAX: usize = 4_194_304;

/// Processes that the capability is judged by.
const PROBED_MAX: usize = 1024;

/// Every process at one time, or nearly: reading takes some 50 µs a process.
#[derive(Clone, Debug, Default)]
pub struct ProcessSnapshot {
    /// In no order; cause SNAPSHOT.
    pub processes: Vec<Process>,
    /// Processes that ended while they were read.
    pub vanished: usize,
    /// Processes whose `stat` was not understood.
    pub malformed: usize,
    /// Processes whose working directory, program and namespaces the kernel does not show us.
    pub without_details: usize,
}

/// Reads processes of `/proc`.
#[derive(Debug)]
pub struct ProcessReader {
    root: PathBuf,
    users: UserNames,
    boot_unix_ns: u64,
}

impl ProcessReader {
    /// A reader of the procfs of `paths`.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            root: paths.proc.clone(),
            users: UserNames::new(paths),
            boot_unix_ns: boot_unix_ns(),
        }
    }

    /// Every process of the host.
    ///
    /// # Errors
    /// When the procfs itself cannot be listed. A process that ends meanwhile is only counted.
    pub fn snapshot(&mut self, cgroups: &CgroupTree) -> Result<ProcessSnapshot, Error> {
        self.begin();
        let mut snapshot = ProcessSnapshot::default();
        let mut starts = FxHashMap::default();
        let entries = fs::read_dir(&self.root).map_err(|error| Error::read(&self.root, error))?;
        for entry in entries.take(PROCESSES_MAX) {
            let entry = entry.map_err(|error| Error::read(&self.root, error))?;
            let Some(pid) = pid_of(entry.file_name().as_bytes()) else {
                continue;
            };
            match self.read(pid, cgroups) {
                Ok(read) => {
                    starts.insert(pid, read.id.start_boottime_ns);
                    snapshot.without_details += usize::from(!read.complete);
                    snapshot.processes.push(read.process);
                }
                Err(Failure::Gone) => snapshot.vanished += 1,
                Err(Failure::Malformed) => snapshot.malformed += 1,
            }
        }
        for process in &mut snapshot.processes {
            set_parent_start(process, |pid| starts.get(&pid).copied());
        }
        Ok(snapshot)
    }

    /// The details of one process, cause UPDATE. `None` when it is gone, also when its pid is
    /// another's by now.
    pub fn details(&mut self, id: ProcessId, cgroups: &CgroupTree) -> Option<Process> {
        self.begin();
        let mut read = self.read(id.pid, cgroups).ok()?;
        if read.id != id {
            return None;
        }
        set_parent_start(&mut read.process, |pid| self.start(pid));
        // A pid can be given away while its files are read: the identity must hold at the end, too.
        if self.start(id.pid) != Some(id.start_boottime_ns) {
            return None;
        }
        read.process.cause = ProcessCause::Update.into();
        read.process.time_unix_ns = unix_now_ns();
        Some(read.process)
    }

    /// Whether the kernel shows us the details of processes that are not ours.
    #[must_use]
    pub fn capability(&self) -> Capability {
        let (shown, refused) = self.count_shown();
        let reason = format!(
            "working directory, program and namespaces of {refused} of {} processes are not \
             readable: run as root or with CAP_SYS_PTRACE, in the host's pid namespace (a process \
             with more capabilities than ours stays closed to us)",
            shown + refused
        );
        Capability {
            name: "process-details".to_owned(),
            // A single process can be closed for reasons of its own.
            available: shown > refused,
            provider: "proc".to_owned(),
            reason: if refused == 0 { String::new() } else { reason },
        }
    }

    /// How many of the first processes show their program, and how many refuse.
    fn count_shown(&self) -> (usize, usize) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let processes = entries.filter(|entry| pid_of(entry.file_name().as_bytes()).is_some());
        let mut counts = (0, 0);
        for process in processes.take(PROBED_MAX) {
            match fs::read_link(process.path().join("exe")) {
                Ok(_) => counts.0 += 1,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => counts.1 += 1,
                // A kernel thread has no program; a process can end meanwhile.
                Err(_) => {}
            }
        }
        counts
    }

    fn begin(&mut self) {
        self.users.refresh();
        self.boot_unix_ns = boot_unix_ns();
    }

    fn start(&self, pid: u32) -> Option<u64> {
        let content = fs::read(self.root.join(pid.to_string()).join("stat")).ok()?;
        Some(Stat::parse(&content)?.id().start_boottime_ns)
    }

    fn read(&self, pid: u32, cgroups: &CgroupTree) -> Result<Read, Failure> {
        let folder = self.root.join(pid.to_string());
        let content = fs::read(folder.join("stat")).map_err(|_| Failure::Gone)?;
        let stat = Stat::parse(&content).ok_or(Failure::Malformed)?;
        // A leader that ended before its threads looks like a zombie, too, but the process lives.
        if matches!(stat.state, b'Z' | b'X') && stat.threads <= 1 {
            return Err(Failure::Gone);
        }
        let id = stat.id();
        let status = read_or_empty(&folder.join("status")).map_err(|_| Failure::Gone)?;
        let status = Status::parse(&String::from_utf8_lossy(&status));
        let cmdline = read_or_empty(&folder.join("cmdline")).map_err(|_| Failure::Gone)?;
        let (argv, argv_truncated) = arguments(&cmdline);
        let membership = fs::read(folder.join("cgroup"))
            .map(|content| cgroups.membership(&String::from_utf8_lossy(&content)))
            .unwrap_or_default();
        let network_namespace = fs::read_link(folder.join("ns/net"));
        let started_unix_ns = self.boot_unix_ns.saturating_add(id.start_boottime_ns);
        let process = Process {
            key: Some(key(id)),
            cause: ProcessCause::Snapshot.into(),
            time_unix_ns: started_unix_ns,
            parent: (stat.parent_pid != 0).then_some(ProcessKey {
                pid: stat.parent_pid,
                start_boottime_ns: 0,
            }),
            name: String::from_utf8_lossy(stat.comm).into_owned(),
            argv,
            argv_truncated,
            uid: status.uid,
            user: self.users.name(status.uid).to_owned(),
            cwd: link(&folder, "cwd"),
            executable: link(&folder, "exe"),
            cgroup_id: membership.cgroup_id,
            container_id: membership
                .container
                .map_or_else(String::new, |container| container.id.clone()),
            namespaced_pid: if status.namespaced_pid == pid {
                0
            } else {
                status.namespaced_pid
            },
            network_namespace: network_namespace.as_deref().map_or(0, namespace_inode),
            started_unix_ns,
            exit: None,
            kernel_thread: stat.kernel_thread,
        };
        Ok(Read {
            id,
            process,
            complete: network_namespace.is_ok(),
        })
    }
}

struct Read {
    id: ProcessId,
    process: Process,
    complete: bool,
}

enum Failure {
    Gone,
    Malformed,
}

fn key(id: ProcessId) -> ProcessKey {
    ProcessKey {
        pid: id.pid,
        start_boottime_ns: id.start_boottime_ns,
    }
}

/// Completes the parent's key; a parent that is gone has none.
fn set_parent_start(process: &mut Process, start: impl Fn(u32) -> Option<u64>) {
    process.parent = process.parent.and_then(|parent| {
        Some(ProcessKey {
            pid: parent.pid,
            start_boottime_ns: start(parent.pid)?,
        })
    });
}

fn pid_of(name: &[u8]) -> Option<u32> {
    u32::try_from(number(name)?).ok()
}

/// A file's content; a file that we may not read is as empty, one that is gone an error.
fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        other => other,
    }
}

fn link(folder: &Path, name: &str) -> String {
    fs::read_link(folder.join(name))
        .map(|target| target.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Splits `/proc/PID/cmdline` and cuts it at [`ARGV_BYTES_MAX`]. A program may have overwritten it
/// with any bytes (setproctitle).
fn arguments(cmdline: &[u8]) -> (Vec<String>, bool) {
    let content = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    let trimmed = content.iter().rposition(|&byte| byte != 0);
    let Some(last) = trimmed else {
        return (Vec::new(), false);
    };
    // Empty arguments at the end are arguments; only what setproctitle(3) left behind is filler.
    let filler = content.len() - last > 16;
    let content = if filler { &content[..=last] } else { content };
    let truncated = content.len() > ARGV_BYTES_MAX;
    let content = &content[..content.len().min(ARGV_BYTES_MAX)];
    let argv = content
        .split(|&byte| byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    (argv, truncated)
}

/// What we need of `/proc/PID/status`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    /// Real user id, as the kernel's events tell it.
    uid: u32,
    /// Pid in the innermost namespace.
    namespaced_pid: u32,
}

impl Status {
    fn parse(content: &str) -> Self {
        let mut status = Self::default();
        for line in content.lines() {
            if let Some(ids) = line.strip_prefix("Uid:") {
                status.uid = first_number(ids.split_ascii_whitespace().next());
            } else if let Some(pids) = line.strip_prefix("NStgid:") {
                status.namespaced_pid = first_number(pids.split_ascii_whitespace().last());
            }
        }
        status
    }
}

fn first_number(word: Option<&str>) -> u32 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arguments_are_split_and_cut() {
        assert_eq!(
            arguments(b"sh\0-c\0\0"),
            (vec!["sh".into(), "-c".into(), String::new()], false)
        );
        assert_eq!(arguments(b""), (vec![], false));
        assert_eq!(arguments(b"\0\0\0"), (vec![], false));
        let mut title = b"nginx: worker process".to_vec();
        title.extend([0; 40]);
        assert_eq!(
            arguments(&title),
            (vec!["nginx: worker process".into()], false)
        );
        let (argv, truncated) = arguments(&[b'a'; ARGV_BYTES_MAX + 1]);
        assert!(truncated);
        assert_eq!(argv[0].len(), ARGV_BYTES_MAX);
    }

    #[test]
    fn status_of_a_container() {
        let status =
            Status::parse("Name:\tx\nUid:\t33\t0\t0\t0\nNStgid:\t900\t12\t1\nNSpid:\t901\t1\n");
        assert_eq!(
            status,
            Status {
                uid: 33,
                namespaced_pid: 1
            }
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (argv, _) = arguments(&bytes);
            prop_assert!(argv.len() <= bytes.len());
            Status::parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn arguments_come_back(argv in proptest::collection::vec("[a-z]{1,8}", 1..9)) {
            let mut cmdline = Vec::new();
            for argument in &argv {
                cmdline.extend(argument.bytes());
                cmdline.push(0);
            }
            prop_assert_eq!(arguments(&cmdline), (argv, false));
        }
    }
}
