//! Cgroups of one hierarchy, by the tracepoints that kernels without BTF have too.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use mesoscope_events::records::CgroupChange;

use super::tracepoint::{field, format, text};
use crate::{
    cgroup::{filled, report},
    kernel::hierarchy,
};

/// A cgroup was made.
#[tracepoint]
pub fn plain_cgroup_mkdir(ctx: TracePointContext) -> u32 {
    changed(&ctx, CgroupChange::Created)
}

/// A cgroup was removed.
#[tracepoint]
pub fn plain_cgroup_rmdir(ctx: TracePointContext) -> u32 {
    changed(&ctx, CgroupChange::Removed)
}

/// The first process came into a cgroup, or the last one left.
#[tracepoint]
pub fn plain_cgroup_populated(ctx: TracePointContext) -> u32 {
    let populated = field::<u32>(&ctx, format!(populated_val)).unwrap_or(0) != 0;
    changed(&ctx, filled(populated))
}

#[inline(always)]
fn changed(ctx: &TracePointContext, change: CgroupChange) -> u32 {
    if field::<u32>(ctx, format!(cgroup_root)) != Some(hierarchy()) {
        return 0;
    }
    if let Some(id) = field::<u64>(ctx, format!(cgroup_id)) {
        report(id, change, |path| text(ctx, format!(cgroup_path), path));
    }
    0
}
