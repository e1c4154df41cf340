//! Processes, by the tracepoints that kernels without BTF have too.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm,
        generated::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns},
    },
    macros::{map, tracepoint},
    maps::PerCpuArray,
    programs::TracePointContext,
};
use mesoscope_events::records::{
    ARGV_BYTES, COMM_BYTES, EXEC_ARGV_TRUNCATED, EXIT_STATUS_UNKNOWN, Exec, Exit, Fork, Kind,
};

use super::{
    current,
    tracepoint::{field, format, text},
};
use crate::output::{begin, emit, emit_bytes};

/// `CLONE_THREAD` (include/uapi/linux/sched.h).
const CLONE_THREAD: u64 = 0x0001_0000;

/// A task was made; `task_newtask` tells threads from processes, `sched_process_fork` does not.
#[tracepoint]
pub fn plain_fork(ctx: TracePointContext) -> u32 {
    if field::<u64>(&ctx, format!(newtask_clone_flags)).unwrap_or(CLONE_THREAD) & CLONE_THREAD != 0
    {
        return 0;
    }
    let Some(tgid) = field::<u32>(&ctx, format!(newtask_pid)) else {
        return 0;
    };
    // The child is in its parent's cgroup unless clone3() says otherwise.
    let cgroup = current::cgroup();
    let Some(header) = begin(Kind::Fork, tgid, cgroup) else {
        return 0;
    };
    emit(
        Kind::Fork,
        Fork {
            header,
            // SAFETY: reads a clock; some microseconds after the kernel read it for the task.
            start: unsafe { bpf_ktime_get_boot_ns() },
            parent_start: 0,
            cgroup,
            parent_tgid: current::tgid(),
            uid: current::uid(),
            netns: 0,
            ns_pid: 0,
            comm: field::<[u8; COMM_BYTES]>(&ctx, format!(newtask_comm)).unwrap_or_default(),
        },
    );
    0
}

#[repr(C)]
struct ExecScratch {
    exec: Exec,
    argv: [u8; ARGV_BYTES],
}

#[map]
static PLAIN_EXEC: PerCpuArray<ExecScratch> = PerCpuArray::with_max_entries(1, 0);

/// A process replaced its program. The arguments are out of reach: the file name stands for them.
#[tracepoint]
pub fn plain_exec(ctx: TracePointContext) -> u32 {
    let cgroup = current::cgroup();
    let Some(header) = begin(Kind::Exec, current::tgid(), cgroup) else {
        return 0;
    };
    let Some(scratch) = PLAIN_EXEC.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's element; tracepoints run with preemption off, and no interrupt executes programs.
    let scratch = unsafe { &mut *scratch };
    let len = text(&ctx, format!(exec_filename), &mut scratch.argv);
    scratch.exec = Exec {
        header,
        start: 0,
        parent_start: 0,
        cgroup,
        exe_inode: 0,
        exe_device: 0,
        parent_tgid: 0,
        uid: current::uid(),
        netns: 0,
        ns_pid: 0,
        argv_len: len as u16,
        flags: EXEC_ARGV_TRUNCATED,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    // SAFETY: `len` is below ARGV_BYTES.
    let bytes = unsafe {
        core::slice::from_raw_parts((&raw const *scratch).cast::<u8>(), Exec::SIZE + len)
    };
    emit_bytes(Kind::Exec, bytes);
    0
}

/// A task ends. Kernels from 6.16 on say whether it is the last of its process; before, the end of the
/// first thread stands for it. How it ended is out of reach.
#[tracepoint]
pub fn plain_exit(ctx: TracePointContext) -> u32 {
    // SAFETY: gives numbers of the current task.
    let ids = unsafe { bpf_get_current_pid_tgid() };
    let last = match field::<u8>(&ctx, format!(exit_group_dead)) {
        Some(dead) => dead != 0,
        None => ids as u32 == (ids >> 32) as u32,
    };
    if !last {
        return 0;
    }
    let cgroup = current::cgroup();
    if let Some(header) = begin(Kind::Exit, (ids >> 32) as u32, cgroup) {
        emit(
            Kind::Exit,
            Exit {
                header,
                start: 0,
                cgroup,
                rss_pages_max: 0,
                cpu_ns: 0,
                status: 0,
                flags: EXIT_STATUS_UNKNOWN,
            },
        );
    }
    0
}
