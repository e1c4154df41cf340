//! Tier 0: cgroups of one hierarchy.
//!
//! # Minimum kernel version
//!
//! 5.5 (`tp_btf`), 5.8 (ring buffer). Needs BTF.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_str_bytes,
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use mesoscope_events::{
    records::{Cgroup, CgroupChange, Kind, PATH_BYTES},
    settings::MODE_PROBE_READ,
};

use crate::{
    kernel::{Object, cgroup_id, hierarchy, mode, offset},
    output::{begin_uncapped, emit_bytes},
};

#[repr(C)]
struct CgroupScratch {
    cgroup: Cgroup,
    path: [u8; PATH_BYTES],
}

#[map]
static CGROUP_SCRATCH: PerCpuArray<CgroupScratch> = PerCpuArray::with_max_entries(1, 0);

/// A cgroup was made (`kernel/cgroup/cgroup.c`).
#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    changed(&ctx, CgroupChange::Created)
}

/// A cgroup was removed.
#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    changed(&ctx, CgroupChange::Removed)
}

/// The first process came into a cgroup, or the last one left.
#[btf_tracepoint(function = "cgroup_notify_populated")]
pub fn cgroup_notify_populated(ctx: BtfTracePointContext) -> i32 {
    let populated = ctx.arg::<u64>(2) as u32 != 0;
    changed(&ctx, filled(populated))
}

#[inline(always)]
fn changed(ctx: &BtfTracePointContext, change: CgroupChange) -> i32 {
    let cgroup = Object::new(ctx.arg::<*const u8>(0));
    if cgroup
        .follow(offset!(cgroup_root))
        .get::<u32>(offset!(root_hierarchy))
        != hierarchy()
    {
        return 0;
    }
    report(cgroup_id(cgroup), change, |path| {
        if !mode(MODE_PROBE_READ) {
            return 0;
        }
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel_str_bytes(ctx.arg::<*const u8>(1), path) }
            .map_or(0, <[u8]>::len)
    });
    0
}

/// Whether a cgroup has processes now, as a change.
#[inline(always)]
pub fn filled(populated: bool) -> CgroupChange {
    if populated {
        CgroupChange::Populated
    } else {
        CgroupChange::Emptied
    }
}

/// Tells of a change, whichever tracepoint showed it; `write_path` gives the length of what it wrote.
#[inline(always)]
pub fn report(
    id: u64,
    change: CgroupChange,
    write_path: impl FnOnce(&mut [u8; PATH_BYTES]) -> usize,
) {
    let Some(scratch) = CGROUP_SCRATCH.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's element; the three tracepoints run with preemption off and under css_set_lock or cgroup_mutex.
    let scratch = unsafe { &mut *scratch };
    let header = begin_uncapped(Kind::Cgroup, 0);
    let len = write_path(&mut scratch.path);
    if len > PATH_BYTES {
        return;
    }
    scratch.cgroup = Cgroup {
        header,
        cgroup: id,
        action: change as u32,
        path_len: len as u32,
    };
    // SAFETY: `len` is at most PATH_BYTES.
    let bytes = unsafe {
        core::slice::from_raw_parts((&raw const *scratch).cast::<u8>(), Cgroup::SIZE + len)
    };
    emit_bytes(Kind::Cgroup, bytes);
}
