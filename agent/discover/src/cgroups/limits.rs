//! What a container may use, by its cgroup: for containers of which no runtime tells.

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, hierarchies};
use mesoscope_proto::v1::ContainerLimits;

use super::tree::ContainerCgroup;

/// v1 tells "no limit" of memory as the largest whole number of pages.
const NO_MEMORY_LIMIT_V1: i64 = i64::MAX - 0xffff;

/// What a container may use, as its cgroup says; 0 for no limit. The mounts are those of our own
/// mount namespace, by cgroups-rs.
#[must_use]
pub fn limits(container: &ContainerCgroup) -> ContainerLimits {
    let cgroup = Cgroup::load(hierarchies::auto(), container.path.trim_start_matches('/'));
    ContainerLimits {
        cpus: cpus(&cgroup),
        memory_bytes: memory_bytes(&cgroup),
        pids: pids(&cgroup),
    }
}

#[expect(clippy::cast_precision_loss, reason = "cores; 52 bits are plenty")]
fn cpus(cgroup: &Cgroup) -> f64 {
    let Some(cpu) = cgroup.controller_of::<CpuController>() else {
        return 0.0;
    };
    match (cpu.cfs_quota(), cpu.cfs_period()) {
        (Ok(quota), Ok(period)) if quota > 0 && period > 0 => quota as f64 / period as f64,
        _ => 0.0,
    }
}

fn memory_bytes(cgroup: &Cgroup) -> u64 {
    let Some(memory) = cgroup.controller_of::<MemController>() else {
        return 0;
    };
    let limit = memory.memory_stat().limit_in_bytes;
    if (1..NO_MEMORY_LIMIT_V1).contains(&limit) {
        u64::try_from(limit).unwrap_or(0)
    } else {
        0
    }
}

fn pids(cgroup: &Cgroup) -> u64 {
    let pids = cgroup.controller_of::<PidController>();
    match pids.map(PidController::get_pid_max) {
        Some(Ok(MaxValue::Value(limit))) => u64::try_from(limit).unwrap_or(0),
        _ => 0,
    }
}
