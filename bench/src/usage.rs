//! CPU time and memory of processes, as the kernel accounts them.

use anyhow::{Context, Result, ensure};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// /proc gives times in ticks of 10 ms on every architecture that Linux's user space sees.
const TICK: Duration = Duration::from_millis(10);

/// utime + stime of a process.
pub fn process_cpu(pid: u32) -> Result<Duration> {
    stat_cpu(Path::new(&format!("/proc/{pid}/stat")))
}

/// CPU time of one thread of this process, in nanoseconds.
pub fn thread_cpu(thread: i32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
    let nanos = text
        .split_whitespace()
        .next()
        .context("schedstat starts with the time on a CPU")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn stat_cpu(path: &Path) -> Result<Duration> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let ticks =
        stat_ticks(&text).with_context(|| format!("{} is not as proc(5) says", path.display()))?;
    Ok(TICK * ticks)
}

/// Fields 14 and 15; the name in field 2 may hold anything, so count from its last parenthesis.
fn stat_ticks(text: &str) -> Option<u32> {
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let utime: u32 = fields.next()?.parse().ok()?;
    let stime: u32 = fields.next()?.parse().ok()?;
    utime.checked_add(stime)
}

/// Resident memory of a process now.
pub fn rss_bytes(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .next()
        .context("no VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}

/// Run time of all BPF programs that a process holds, where the kernel keeps statistics.
pub fn bpf_run_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let Ok(text) = std::fs::read_to_string(entry?.path()) else {
            continue;
        };
        if !text.contains("prog_type:") {
            continue;
        }
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("run_time_ns:"));
        nanos += value
            .and_then(|value| value.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Time that the CPUs of the host were neither idle nor waiting for a disk, added up.
pub fn host_busy() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u32> = text
        .lines()
        .next()
        .context("/proc/stat starts with the sum of all CPUs")?
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user.
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&index| fields.get(index))
        .sum::<u32>();
    Ok(TICK * busy)
}

/// utime + stime of all processes with one of these names.
pub fn named_cpu(names: &[&str]) -> Duration {
    pids_named(names)
        .into_iter()
        .filter_map(|pid| process_cpu(pid).ok())
        .sum()
}

/// Processes with one of these names.
pub fn pids_named(names: &[&str]) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok())
        .filter(|pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            names.contains(&name.trim())
        })
        .collect()
}

/// Where the cgroup v2 hierarchy is mounted.
pub fn cgroup2_root() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// Keeps the kernel's statistics of BPF programs on while it is open, and not a moment longer however
/// this process ends: their clock costs every run of every program 35-70 ns.
pub fn bpf_statistics() -> Result<OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .context("this kernel keeps no statistics of BPF programs")
}

/// Refuses a machine where somebody has left these statistics on: what is measured would be theirs.
pub fn refuse_bpf_statistics() -> Result<()> {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
    let on = std::fs::read_to_string(SWITCH).is_ok_and(|value| value.trim() != "0");
    ensure!(
        !on,
        "kernel.bpf_stats_enabled is 1: every run of a BPF program pays for a clock, and the slowdown \
         would be that of the clock. Switch it off: sysctl -w kernel.bpf_stats_enabled=0"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::stat_ticks;

    #[test]
    fn a_name_with_parentheses_and_spaces() {
        let line = "7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 99";
        assert_eq!(stat_ticks(line), Some(300));
    }

    #[test]
    fn a_truncated_line_is_refused() {
        assert_eq!(stat_ticks("7 (a) S 1 2 3"), None);
        assert_eq!(stat_ticks(""), None);
    }
}
