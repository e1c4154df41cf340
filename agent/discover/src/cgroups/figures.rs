//! What a cgroup used so far, out of the files of v1 or v2.
//!
//! Our own reader and not cgroups-rs: that one reads every file of a controller for one figure and
//! opens each by a path of its own (measured side by side by `examples/costs.rs`).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::read;

use super::parse::{self, StackedDevices};
use crate::paths::Paths;

/// The longest file is `io.stat` with some 100 bytes a device.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Totals of a cgroup and all below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub cpu_ns: u64,
    /// Periods in which it ran under a limit, and those in which the limit held it back.
    pub periods: u64,
    pub throttled: u64,
    /// In use, without file pages that nobody used for long: what Docker and the kubelet show.
    pub memory_bytes: u64,
    pub oom_kills: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub processes: u32,
}

/// Where a controller's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    V1(PathBuf),
    V2(PathBuf),
}

/// Reads figures of cgroups.
#[derive(Debug)]
pub(super) struct Reader {
    cpu: Option<Source>,
    throttling: Option<Source>,
    memory: Option<Source>,
    io: Option<Source>,
    pids: Option<Source>,
    stacked: StackedDevices,
    scratch: Scratch,
}

impl Reader {
    pub(super) fn new(paths: &Paths) -> Self {
        let root = &paths.cgroup;
        let unified = [root.clone(), root.join("unified")]
            .into_iter()
            .find(|path| path.join("cgroup.controllers").exists());
        let controllers = unified.as_ref().and_then(|unified| {
            let listed = fs::read_to_string(unified.join("cgroup.controllers")).ok()?;
            Some(listed)
        });
        let has = |name: &str| {
            let mut listed = controllers
                .iter()
                .flat_map(|list| list.split_ascii_whitespace());
            listed.any(|controller| controller == name)
        };
        let source = |v1: &str, v2: &str| {
            let folder = root.join(v1);
            if has(v2) {
                unified.clone().map(Source::V2)
            } else {
                folder
                    .join("cgroup.procs")
                    .exists()
                    .then_some(Source::V1(folder))
            }
        };
        let devices = fs::read_to_string(paths.proc.join("devices")).unwrap_or_default();
        Self {
            cpu: source("cpuacct", "cpu").or_else(|| {
                // v2 counts CPU time also where the controller is not switched on.
                unified.clone().map(Source::V2)
            }),
            throttling: source("cpu", "cpu"),
            memory: source("memory", "memory"),
            io: source("blkio", "io"),
            pids: source("pids", "pids"),
            stacked: StackedDevices::parse(&devices),
            scratch: Scratch::default(),
        }
    }

    /// The figures of the cgroup with this path; `None` when it is gone.
    pub(super) fn read(&mut self, cgroup: &str) -> Option<Figures> {
        let mut figures = Figures::default();
        let alive = self.cpu(cgroup, &mut figures) | self.memory(cgroup, &mut figures);
        if !alive {
            return None;
        }
        self.throttling(cgroup, &mut figures);
        self.io(cgroup, &mut figures);
        self.pids(cgroup, &mut figures);
        Some(figures)
    }

    fn cpu(&mut self, cgroup: &str, figures: &mut Figures) -> bool {
        let cpu_ns = match &self.cpu {
            Some(Source::V1(root)) => self
                .scratch
                .file(root, cgroup, "cpuacct.usage")
                .and_then(parse::single),
            Some(Source::V2(root)) => self
                .scratch
                .file(root, cgroup, "cpu.stat")
                .and_then(|stat| parse::flat(stat, "usage_usec"))
                .map(|microseconds| microseconds.saturating_mul(1000)),
            None => None,
        };
        figures.cpu_ns = cpu_ns.unwrap_or(0);
        cpu_ns.is_some()
    }

    fn throttling(&mut self, cgroup: &str, figures: &mut Figures) {
        // The file and its keys are the same in v1 and v2.
        let Some(Source::V1(root) | Source::V2(root)) = &self.throttling else {
            return;
        };
        if let Some(stat) = self.scratch.file(root, cgroup, "cpu.stat") {
            figures.periods = parse::flat(stat, "nr_periods").unwrap_or(0);
            figures.throttled = parse::flat(stat, "nr_throttled").unwrap_or(0);
        }
    }

    fn memory(&mut self, cgroup: &str, figures: &mut Figures) -> bool {
        let (root, usage_file, inactive_key, oom_file) = match &self.memory {
            Some(Source::V1(root)) => (
                root,
                "memory.usage_in_bytes",
                "total_inactive_file",
                "memory.oom_control",
            ),
            Some(Source::V2(root)) => (root, "memory.current", "inactive_file", "memory.events"),
            None => return false,
        };
        let scratch = &mut self.scratch;
        let usage = scratch
            .file(root, cgroup, usage_file)
            .and_then(parse::single);
        let inactive = scratch
            .file(root, cgroup, "memory.stat")
            .and_then(|stat| parse::flat(stat, inactive_key));
        let oom_kills = scratch
            .file(root, cgroup, oom_file)
            .and_then(|events| parse::flat(events, "oom_kill"));
        figures.memory_bytes = usage.unwrap_or(0).saturating_sub(inactive.unwrap_or(0));
        figures.oom_kills = oom_kills.unwrap_or(0);
        usage.is_some()
    }

    fn io(&mut self, cgroup: &str, figures: &mut Figures) {
        let bytes = match &self.io {
            Some(Source::V1(root)) => self
                .scratch
                .file(root, cgroup, "blkio.throttle.io_service_bytes")
                .map(|content| parse::io_v1(content, &self.stacked)),
            Some(Source::V2(root)) => self
                .scratch
                .file(root, cgroup, "io.stat")
                .map(|content| parse::io_v2(content, &self.stacked)),
            None => None,
        };
        (figures.read_bytes, figures.written_bytes) = bytes.unwrap_or_default();
    }

    fn pids(&mut self, cgroup: &str, figures: &mut Figures) {
        let Some(Source::V1(root) | Source::V2(root)) = &self.pids else {
            return;
        };
        let current = self.scratch.file(root, cgroup, "pids.current");
        let current = current.and_then(parse::single).unwrap_or(0);
        figures.processes = u32::try_from(current).unwrap_or(u32::MAX);
    }
}

/// Room for a path and a file's content, used again for each file.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    path: Vec<u8>,
    content: Vec<u8>,
}

impl Scratch {
    /// The content of `root/cgroup/name`, as far as [`FILE_BYTES_MAX`].
    pub(super) fn file(&mut self, root: &Path, cgroup: &str, name: &str) -> Option<&[u8]> {
        self.path.clear();
        self.path.extend(root.as_os_str().as_bytes());
        self.path.push(b'/');
        self.path.extend(cgroup.trim_matches('/').bytes());
        self.path.push(b'/');
        self.path.extend(name.bytes());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = open(self.path.as_slice(), flags, Mode::empty()).ok()?;
        self.content.resize(FILE_BYTES_MAX, 0);
        let mut length = 0;
        while length < FILE_BYTES_MAX {
            match read(&file, &mut self.content[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(_) => return None,
            }
        }
        self.content.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(files: &[(&str, &str)]) -> (tempfile::TempDir, Reader) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        let paths = Paths {
            cgroup: root.path().to_path_buf(),
            ..Paths::default()
        };
        let reader = Reader::new(&paths);
        (root, reader)
    }

    const FIGURES: Figures = Figures {
        cpu_ns: 7_000,
        periods: 10,
        throttled: 4,
        memory_bytes: 900,
        oom_kills: 2,
        read_bytes: 11,
        written_bytes: 22,
        processes: 3,
    };

    #[test]
    fn v2() {
        let (_root, mut reader) = reader(&[
            ("cgroup.controllers", "cpuset cpu io memory pids\n"),
            (
                "c/cpu.stat",
                "usage_usec 7\nuser_usec 3\nnr_periods 10\nnr_throttled 4\n",
            ),
            ("c/memory.current", "1000\n"),
            ("c/memory.stat", "anon 1\nfile 2\ninactive_file 100\n"),
            (
                "c/memory.events",
                "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
            ),
            (
                "c/io.stat",
                "8:0 rbytes=11 wbytes=22 rios=1 wios=1 dbytes=0 dios=0\n",
            ),
            ("c/pids.current", "3\n"),
        ]);
        assert_eq!(reader.read("/c"), Some(FIGURES));
        assert_eq!(reader.read("/gone"), None);
    }

    #[test]
    fn v1() {
        let (_root, mut reader) = reader(&[
            ("cpuacct/cgroup.procs", ""),
            ("cpu/cgroup.procs", ""),
            ("memory/cgroup.procs", ""),
            ("blkio/cgroup.procs", ""),
            ("pids/cgroup.procs", ""),
            ("cpuacct/c/cpuacct.usage", "7000\n"),
            (
                "cpu/c/cpu.stat",
                "nr_periods 10\nnr_throttled 4\nthrottled_time 5\n",
            ),
            ("memory/c/memory.usage_in_bytes", "1000\n"),
            (
                "memory/c/memory.stat",
                "inactive_file 5\ntotal_inactive_file 100\n",
            ),
            (
                "memory/c/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
            (
                "blkio/c/blkio.throttle.io_service_bytes",
                "8:0 Read 11\n8:0 Write 22\n8:0 Total 33\nTotal 33\n",
            ),
            ("pids/c/pids.current", "3\n"),
        ]);
        assert_eq!(reader.read("/c"), Some(FIGURES));
        assert_eq!(reader.read("/gone"), None);
    }
}
