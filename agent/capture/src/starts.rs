//! When processes started, for records that do not say it (the lower rung): remembered from their
//! forks, else read from `/proc`.

use std::{collections::VecDeque, fs};

use rustc_hash::FxHashMap;

use crate::{EventKind, ProcessId, decode::process};

/// How many processes are remembered.
const REMEMBERED: usize = 65_536;
/// Nanoseconds of a clock tick in `/proc` (CLK_TCK 100).
const TICK_NS: u64 = 10_000_000;
/// A process is told to be made some microseconds after the kernel read the clock for it: what `/proc`
/// says holds when it differs by no more than this.
const SKEW_NS: u64 = 2 * TICK_NS;
/// Most bytes of arguments that are taken, as in the records of the better rung.
const ARGV_BYTES: usize = 256;

/// Starts by pid.
#[derive(Debug, Default)]
pub struct Starts {
    by_pid: FxHashMap<u32, u64>,
    order: VecDeque<u32>,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    start_boottime_ns: u64,
}

impl Starts {
    /// Fills in what the records of the lower rung leave out. Events of the better rung pass unchanged.
    pub fn complete(&mut self, event: &mut EventKind) {
        match event {
            EventKind::Fork { child, parent, .. } if parent.start_boottime_ns == 0 => {
                *parent = self.of(parent.pid);
                *child = self.born(*child);
            }
            EventKind::Exec {
                process,
                parent,
                argv,
                argv_truncated,
                ..
            } if process.start_boottime_ns == 0 => {
                *process = self.of(process.pid);
                if let Some(stat) = read_stat(process.pid)
                    && stat.start_boottime_ns == process.start_boottime_ns
                {
                    *parent = self.of(stat.parent);
                    if let Some((arguments, truncated)) = read_arguments(process.pid) {
                        (*argv, *argv_truncated) = (arguments, truncated);
                    }
                }
            }
            EventKind::Exit { process, .. } if process.start_boottime_ns == 0 => {
                *process = self.of(process.pid);
                self.by_pid.remove(&process.pid);
            }
            EventKind::Connect { process, .. } | EventKind::Bind { process, .. }
                if process.start_boottime_ns == 0 =>
            {
                *process = self.of(process.pid);
            }
            _ => {}
        }
    }

    /// Entries in use and capacity.
    pub fn fill(&self) -> (u64, u64) {
        (self.by_pid.len() as u64, REMEMBERED as u64)
    }

    fn born(&mut self, child: ProcessId) -> ProcessId {
        let start = match read_stat(child.pid) {
            Some(stat) if stat.start_boottime_ns.abs_diff(child.start_boottime_ns) <= SKEW_NS => {
                stat.start_boottime_ns
            }
            _ => child.start_boottime_ns,
        };
        self.remember(child.pid, start);
        process(child.pid, start)
    }

    /// The process that has a pid now; start 0 when that can not be known any more.
    fn of(&mut self, pid: u32) -> ProcessId {
        if let Some(start) = self.by_pid.get(&pid) {
            return process(pid, *start);
        }
        let Some(stat) = read_stat(pid) else {
            return process(pid, 0);
        };
        self.remember(pid, stat.start_boottime_ns);
        process(pid, stat.start_boottime_ns)
    }

    fn remember(&mut self, pid: u32, start: u64) {
        if self.by_pid.insert(pid, start).is_none() {
            self.order.push_back(pid);
        }
        // Pids that ended are in the order still, so it is bounded by itself.
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.by_pid.remove(&oldest);
            }
        }
    }
}

fn read_stat(pid: u32) -> Option<Stat> {
    stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 4 and 22 (proc_pid_stat(5)); the name in field 2 may hold anything, parentheses too.
fn stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        parent,
        start_boottime_ns: ticks.checked_mul(TICK_NS)?,
    })
}

/// The arguments and whether they are cut; nothing for a process that is gone.
fn read_arguments(pid: u32) -> Option<(Vec<String>, bool)> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline"))
        .ok()
        .filter(|bytes| !bytes.is_empty())?;
    let cut = bytes.get(..ARGV_BYTES).unwrap_or(&bytes);
    Some((crate::decode::arguments(cut), cut.len() < bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name() {
        let line = "12 (a ) b (c) S 7 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(
            stat(line),
            Some(Stat {
                parent: 7,
                start_boottime_ns: 47_110_000_000
            })
        );
        assert_eq!(stat("12 (a) S 7"), None);
        assert_eq!(stat(""), None);
        assert_eq!(stat(")"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut starts = Starts::default();
        for pid in 0..200_000 {
            starts.remember(pid, 1);
        }
        assert_eq!(starts.fill(), (REMEMBERED as u64, REMEMBERED as u64));
        assert!(starts.order.len() <= REMEMBERED);
        // A pid that comes and goes does not grow the order without bound.
        for _ in 0..200_000 {
            starts.remember(1, 1);
            starts.by_pid.remove(&1);
        }
        assert!(starts.order.len() <= REMEMBERED);
    }

    #[test]
    fn a_living_process_is_found_and_others_are_said_to_be_unknown() {
        let mut starts = Starts::default();
        assert!(starts.of(std::process::id()).start_boottime_ns > 0);
        assert_eq!(starts.of(u32::MAX).start_boottime_ns, 0);
    }
}
