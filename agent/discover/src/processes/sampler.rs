//! What processes use: CPU, memory, descriptors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use mesoscope_capture::event::ProcessId;
use mesoscope_proto::v1::{ProcessKey, ProcessMetrics};
use rustc_hash::FxHashMap;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::read;

use super::fds::{self, FdCounting};
use super::stat::Stat;
use crate::error::Error;
use crate::time::{TICK_NS, boottime_now_ns, unix_now_ns};

/// How much one pass may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerLimits {
    /// Processes remembered between passes; those beyond it are not sampled.
    pub processes_max: usize,
    /// Entries of `fd` folders listed in one pass, where the kernel (before 6.2) has no cheaper way
    /// to count them. The passes take turns over the processes.
    pub fd_entries_per_pass: u32,
}

impl Default for SamplerLimits {
    fn default() -> Self {
        Self {
            processes_max: 32_768,
            fd_entries_per_pass: 5_000,
        }
    }
}

/// Counters of the sampler, totals since it began, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplerStats {
    /// Processes remembered now; its bound is [`SamplerLimits::processes_max`].
    pub processes: usize,
    /// Processes that were gone (or their pid another's) when their turn came.
    pub vanished_total: u64,
    /// Lines of `/proc/PID/stat` that were not understood.
    pub malformed_total: u64,
    /// Processes passed over because `processes_max` were remembered already.
    pub over_limit_total: u64,
    /// Counts of descriptors put off to a later pass.
    pub fd_counts_deferred_total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Previous {
    cpu_ticks: u64,
    boottime_ns: u64,
    open_files: u32,
    fd_pass: u64,
    pass: u64,
}

/// Samples what processes use. Between passes it keeps 40 bytes a process; a pass allocates nothing
/// while the processes stay the same.
#[derive(Debug)]
pub struct ProcessSampler {
    proc_root: OwnedFd,
    page_bytes: u64,
    fd_counting: FdCounting,
    limits: SamplerLimits,
    previous: FxHashMap<ProcessId, Previous>,
    pass: u64,
    /// Passes between two listings of one process' descriptors, so that all of them fit the budget.
    fd_period: u64,
    stats: SamplerStats,
}

impl ProcessSampler {
    /// # Errors
    /// When `proc_root` cannot be opened.
    pub fn new(proc_root: &Path, limits: SamplerLimits) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(proc_root, flags, Mode::empty())
            .map_err(|errno| Error::read(proc_root, errno.into()))?;
        Ok(Self {
            fd_counting: FdCounting::probe(root.as_fd()),
            proc_root: root,
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            limits,
            previous: FxHashMap::default(),
            pass: 0,
            fd_period: 1,
            stats: SamplerStats::default(),
        })
    }

    /// Samples `processes` into `out` (cleared first); those that are gone are left out. The first
    /// sample of a process tells its average since it started, each later one the average since the
    /// sample before. `connections` is left to the caller, who knows the sockets.
    pub fn sample(
        &mut self,
        processes: impl IntoIterator<Item = ProcessId>,
        out: &mut Vec<ProcessMetrics>,
    ) {
        out.clear();
        self.pass += 1;
        let time_unix_ns = unix_now_ns();
        let mut fd_budget = self.limits.fd_entries_per_pass;
        for id in processes {
            if let Some(metrics) = self.sample_one(id, time_unix_ns, &mut fd_budget) {
                out.push(metrics);
            }
        }
        let pass = self.pass;
        self.previous.retain(|_, previous| previous.pass == pass);
        self.fd_period = self.passes_per_fd_round();
        self.stats.processes = self.previous.len();
    }

    /// Counters for metrics.
    #[must_use]
    pub fn stats(&self) -> SamplerStats {
        self.stats
    }

    fn passes_per_fd_round(&self) -> u64 {
        if self.fd_counting == FdCounting::BySize {
            return 1;
        }
        let counts = self.previous.values();
        let entries: u64 = counts.map(|known| u64::from(known.open_files.max(1))).sum();
        entries.div_ceil(u64::from(self.limits.fd_entries_per_pass.max(1)))
    }

    fn sample_one(
        &mut self,
        id: ProcessId,
        time_unix_ns: u64,
        fd_budget: &mut u32,
    ) -> Option<ProcessMetrics> {
        let known = self.previous.get(&id).copied();
        if known.is_none() && self.previous.len() >= self.limits.processes_max {
            self.stats.over_limit_total += 1;
            return None;
        }
        let mut buffer = [0_u8; 1024];
        let mut path = PathBuffer::new(id.pid);
        let Ok(length) = self.read_file(path.file(b"stat"), &mut buffer) else {
            self.stats.vanished_total += 1;
            return None;
        };
        let Some(stat) = Stat::parse(&buffer[..length]) else {
            self.stats.malformed_total += 1;
            return None;
        };
        if stat.id() != id {
            self.stats.vanished_total += 1;
            return None;
        }
        let now_ns = boottime_now_ns();
        let (ticks_before, since_ns) = known.map_or((0, id.start_boottime_ns), |previous| {
            (previous.cpu_ticks, previous.boottime_ns)
        });
        let (open_files, fd_pass) = self.open_files(known, path.file(b"fd"), fd_budget);
        self.previous.insert(
            id,
            Previous {
                cpu_ticks: stat.cpu_ticks,
                boottime_ns: now_ns,
                open_files,
                fd_pass,
                pass: self.pass,
            },
        );
        Some(ProcessMetrics {
            key: Some(ProcessKey {
                pid: id.pid,
                start_boottime_ns: id.start_boottime_ns,
            }),
            time_unix_ns,
            cpu_cores_used: cores(
                stat.cpu_ticks.saturating_sub(ticks_before),
                now_ns,
                since_ns,
            ),
            rss_bytes: stat.rss_pages.saturating_mul(self.page_bytes),
            virtual_bytes: stat.virtual_bytes,
            open_files,
            threads: stat.threads,
            connections: 0,
        })
    }

    fn open_files(&mut self, known: Option<Previous>, path: &[u8], budget: &mut u32) -> (u32, u64) {
        let root = self.proc_root.as_fd();
        if self.fd_counting == FdCounting::BySize {
            return (fds::by_size(root, path).unwrap_or(0), self.pass);
        }
        let (count_before, pass_before) =
            known.map_or((0, 0), |previous| (previous.open_files, previous.fd_pass));
        let due = pass_before == 0 || self.pass - pass_before >= self.fd_period;
        if *budget == 0 || !due {
            self.stats.fd_counts_deferred_total += 1;
            return (count_before, pass_before);
        }
        // A listing may overrun the budget by one process: cutting it would show a false number.
        let count = fds::by_listing(root, path, u32::MAX).unwrap_or(0);
        *budget = budget.saturating_sub(count.max(1));
        (count, self.pass)
    }

    fn read_file(&self, path: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        let file = openat(
            &self.proc_root,
            path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(read(&file, buffer)?)
    }
}

/// Cores used: `ticks` of CPU time in the time from `since_ns` to `now_ns`.
#[expect(clippy::cast_precision_loss, reason = "a ratio; 52 bits are plenty")]
fn cores(ticks: u64, now_ns: u64, since_ns: u64) -> f64 {
    let elapsed_ns = now_ns.saturating_sub(since_ns).max(TICK_NS);
    ticks.saturating_mul(TICK_NS) as f64 / elapsed_ns as f64
}

/// `PID/file`, built without allocating.
struct PathBuffer {
    bytes: [u8; 24],
    prefix: usize,
}

impl PathBuffer {
    fn new(pid: u32) -> Self {
        let mut digits = [0_u8; 10];
        let mut at = digits.len();
        let mut rest = pid;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut bytes = [0_u8; 24];
        let prefix = digits.len() - at;
        bytes[..prefix].copy_from_slice(&digits[at..]);
        bytes[prefix] = b'/';
        Self {
            bytes,
            prefix: prefix + 1,
        }
    }

    fn file(&mut self, name: &[u8]) -> &[u8] {
        let end = self.prefix + name.len();
        self.bytes[self.prefix..end].copy_from_slice(name);
        &self.bytes[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn paths_are_those_of_the_pid(pid: u32) {
            let mut path = PathBuffer::new(pid);
            let stat = format!("{pid}/stat");
            prop_assert_eq!(path.file(b"stat"), stat.as_bytes());
            let fd = format!("{pid}/fd");
            prop_assert_eq!(path.file(b"fd"), fd.as_bytes());
        }
    }

    /// A kernel before 6.2: descriptors are counted by listing, within a budget.
    #[test]
    fn listings_take_turns_within_their_budget() {
        let root = tempfile::tempdir().expect("a folder");
        let processes: Vec<ProcessId> = (1..=10)
            .map(|pid| ProcessId {
                pid,
                start_boottime_ns: 70_000_000,
            })
            .collect();
        for process in &processes {
            let folder = root.path().join(process.pid.to_string());
            std::fs::create_dir_all(folder.join("fd")).expect("a folder");
            let stat = format!(
                "{} (x) S 1 1 1 0 -1 0 0 0 0 0 5 5 0 0 20 0 1 0 7 4096 1 0\n",
                process.pid
            );
            std::fs::write(folder.join("stat"), stat).expect("a file");
            for fd in 0..20 {
                std::fs::write(folder.join("fd").join(fd.to_string()), "").expect("a file");
            }
        }
        let limits = SamplerLimits {
            fd_entries_per_pass: 50,
            ..SamplerLimits::default()
        };
        let mut sampler = ProcessSampler::new(root.path(), limits).expect("a folder");
        assert_eq!(sampler.fd_counting, FdCounting::ByListing);
        let mut out = Vec::new();
        let mut counted = Vec::new();
        for _ in 0..5 {
            sampler.sample(processes.iter().copied(), &mut out);
            counted.push(
                out.iter()
                    .filter(|metrics| metrics.open_files == 20)
                    .count(),
            );
        }
        // Three listings use a pass' budget up.
        assert_eq!(counted, [3, 6, 9, 10, 10]);
        assert!(sampler.stats().fd_counts_deferred_total > 0);
    }
}
