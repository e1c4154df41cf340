//! Counters of the capture.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Ebpf,
    maps::{HashMap, PerCpuArray},
};

use crate::{
    decode::record_kind,
    event::{LossCounters, MapFill, ProgramStats, RecordKind, Withheld},
};
use mesoscope_events::{records::KINDS, settings::WITHHELD_ENTRIES};

/// What user space counts itself.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records read.
    pub received: BTreeMap<RecordKind, u64>,
    /// Records refused.
    pub malformed: u64,
    /// Bytes that the last drain found.
    pub ring_used_bytes: u64,
    /// The most that a drain found since this was last looked at.
    pub ring_high_bytes: u64,
}

impl Counters {
    /// A drain found this much.
    pub fn ring_drained(&mut self, bytes: u64) {
        self.ring_used_bytes = bytes;
        self.ring_high_bytes = self.ring_high_bytes.max(bytes);
    }
}

/// One loaded program's counters, as `/proc/self/fdinfo` shows them.
pub struct ProgramInfo {
    stats: ProgramStats,
    recursion_misses: u64,
}

/// Runs that the kernel skipped, per kind of the record that each would have made: the program was
/// interrupted by itself on the same CPU.
#[derive(Debug, Default)]
pub struct Missed(BTreeMap<RecordKind, u64>);

impl Missed {
    /// Of all programs.
    pub fn of(programs: &[ProgramInfo]) -> Self {
        let mut missed = BTreeMap::new();
        for info in programs {
            if let Some(kind) = record_of_program(&info.stats.name) {
                *missed.entry(kind).or_default() += info.recursion_misses;
            }
        }
        Self(missed)
    }
}

/// Run time and run count per program: all zero unless the kernel keeps its statistics.
pub fn run_times(programs: Vec<ProgramInfo>) -> Vec<ProgramStats> {
    programs.into_iter().map(|info| info.stats).collect()
}

/// Records that the kernel did not deliver: the ring was full, the run was skipped, or the cap bit.
pub fn losses(ebpf: &Ebpf, missed: &Missed) -> LossCounters {
    let mut lost = missed.0.clone();
    if let Some(map) = ebpf
        .map("LOST")
        .and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok())
    {
        for kind in 1..u32::try_from(KINDS).unwrap_or(0) {
            let (Some(record), Ok(counts)) = (record_kind(kind), map.get(&kind, 0)) else {
                continue;
            };
            *lost.entry(record).or_default() += counts.iter().sum::<u64>();
        }
    }
    LossCounters {
        lost: lost.into_iter().collect(),
        withheld: withheld(ebpf),
    }
}

/// Events that the cap withheld, per cgroup.
fn withheld(ebpf: &Ebpf) -> Vec<Withheld> {
    let Some(map) = ebpf
        .map("WITHHELD")
        .and_then(|map| HashMap::<_, u64, [u64; 2]>::try_from(map).ok())
    else {
        return Vec::new();
    };
    map.iter()
        .filter_map(Result::ok)
        .filter(|(_, [count, _])| *count != 0)
        .map(|(cgroup_id, [count, last])| Withheld {
            cgroup_id,
            count,
            last,
        })
        .collect()
}

/// How full the maps are that can fill, and what user space remembers of starts.
pub fn maps(withheld: &[Withheld], starts: (u64, u64)) -> Vec<MapFill> {
    let fill = |name: &str, entries, capacity| MapFill {
        name: name.to_owned(),
        entries,
        capacity,
    };
    vec![
        fill("WITHHELD", withheld.len() as u64, WITHHELD_ENTRIES.into()),
        fill("starts", starts.0, starts.1),
    ]
}

/// The counters of every program that is loaded.
pub fn programs(ebpf: &Ebpf) -> Vec<ProgramInfo> {
    ebpf.programs()
        .filter_map(|(name, program)| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let field = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            Some(ProgramInfo {
                stats: ProgramStats {
                    name: name.to_owned(),
                    run_time_ns: field("run_time_ns:"),
                    run_count: field("run_cnt:"),
                },
                recursion_misses: field("recursion_misses:"),
            })
        })
        .collect()
}

fn record_of_program(name: &str) -> Option<RecordKind> {
    Some(match name {
        "sched_process_fork" | "plain_fork" => RecordKind::Fork,
        "sched_process_exec" | "plain_exec" => RecordKind::Exec,
        "sched_process_exit" | "plain_exit" => RecordKind::Exit,
        "tcp_destroy_sock" | "inet_sk_error_report" | "tcp_send_reset" => RecordKind::TcpEnd,
        "cgroup_mkdir"
        | "cgroup_rmdir"
        | "cgroup_notify_populated"
        | "plain_cgroup_mkdir"
        | "plain_cgroup_rmdir"
        | "plain_cgroup_populated" => RecordKind::Cgroup,
        _ => return None,
    })
}
