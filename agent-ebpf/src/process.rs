//! Tier 0: processes. Threads are left out.
//!
//! # Minimum kernel version
//!
//! 5.5 (`tp_btf`), 5.8 (ring buffer); 5.11 for all that the agent loads. Needs BTF.

use aya_ebpf::{
    helpers::{bpf_probe_read_kernel, generated::bpf_probe_read_user},
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use mesoscope_events::{
    records::{ARGV_BYTES, EXEC_ARGV_TRUNCATED, EXIT_OOM, Exec, Exit, Fork, Kind},
    settings::{ABSENT, MODE_EXIT_GROUP_DEAD, MODE_PROBE_READ},
};

use crate::{
    kernel::{Object, cgroup_of_task, mode, netns_of_task, offset, start_of},
    output::{begin, emit, emit_bytes},
};

/// `signal_struct::flags`: group_exit_code is the status of the process (include/linux/sched/signal.h).
const SIGNAL_GROUP_EXIT: u32 = 4;

#[repr(C)]
struct ExecScratch {
    exec: Exec,
    argv: [u8; ARGV_BYTES],
}

#[map]
static EXEC_SCRATCH: PerCpuArray<ExecScratch> = PerCpuArray::with_max_entries(1, 0);

/// A process was made (`kernel/fork.c`).
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let child = Object::new(ctx.arg::<*const u8>(1));
    let tgid = child.get::<u32>(offset!(task_tgid));
    if tgid != child.get::<u32>(offset!(task_pid)) {
        return 0;
    }
    let cgroup = cgroup_of_task(child);
    let Some(header) = begin(Kind::Fork, tgid, cgroup) else {
        return 0;
    };
    let parent = child.follow(offset!(task_real_parent));
    emit(
        Kind::Fork,
        Fork {
            header,
            start: child.get(offset!(task_start_boottime)),
            parent_start: start_of(parent),
            cgroup,
            parent_tgid: parent.get(offset!(task_tgid)),
            uid: child.follow(offset!(task_cred)).get(offset!(cred_uid)),
            netns: netns_of_task(child),
            ns_pid: namespaced_pid(child),
            comm: child.get(offset!(task_comm)),
        },
    );
    0
}

/// A process replaced its program (`fs/exec.c`).
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let task = Object::new(ctx.arg::<*const u8>(0));
    let tgid = task.get::<u32>(offset!(task_tgid));
    let cgroup = cgroup_of_task(task);
    let Some(header) = begin(Kind::Exec, tgid, cgroup) else {
        return 0;
    };
    let Some(scratch) = EXEC_SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's element; tracepoints run with preemption off, and no interrupt executes programs.
    let scratch = unsafe { &mut *scratch };
    let parent = task.follow(offset!(task_real_parent));
    let mut exec = Exec {
        header,
        start: start_of(task),
        parent_start: start_of(parent),
        cgroup,
        exe_inode: 0,
        exe_device: 0,
        parent_tgid: parent.get(offset!(task_tgid)),
        uid: task.follow(offset!(task_cred)).get(offset!(cred_uid)),
        netns: netns_of_task(task),
        ns_pid: namespaced_pid(task),
        argv_len: 0,
        flags: 0,
        comm: task.get(offset!(task_comm)),
    };
    let mut len = 0u64;
    let mm = task.follow(offset!(task_mm));
    if !mm.is_null() {
        let file = mm.follow(offset!(mm_exe_file));
        if !file.is_null() {
            let inode = file.follow(offset!(file_inode));
            exec.exe_inode = inode.get(offset!(inode_number));
            exec.exe_device = inode
                .follow(offset!(inode_superblock))
                .get(offset!(superblock_device));
        }
        let start = mm.get::<u64>(offset!(mm_arg_start));
        len = mm.get::<u64>(offset!(mm_arg_end)).wrapping_sub(start);
        if len > ARGV_BYTES as u64 {
            len = ARGV_BYTES as u64;
            exec.flags = EXEC_ARGV_TRUNCATED;
        }
        if mode(MODE_PROBE_READ) {
            // SAFETY: the destination holds ARGV_BYTES; the source is checked by the helper.
            let read = unsafe {
                bpf_probe_read_user(
                    scratch.argv.as_mut_ptr().cast(),
                    len as u32,
                    start as *const _,
                )
            };
            if read != 0 {
                len = 0;
                exec.flags = EXEC_ARGV_TRUNCATED;
            }
        } else {
            len = 0;
            exec.flags = EXEC_ARGV_TRUNCATED;
        }
    }
    exec.argv_len = len as u16;
    scratch.exec = exec;
    // SAFETY: `len` is at most ARGV_BYTES, so the slice is inside of the scratch.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            (&raw const *scratch).cast::<u8>(),
            Exec::SIZE + len as usize,
        )
    };
    emit_bytes(Kind::Exec, bytes);
    0
}

/// A task ends (`kernel/exit.c`); the last one of its process is reported.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let task = Object::new(ctx.arg::<*const u8>(0));
    let signal = task.follow(offset!(task_signal));
    if mode(MODE_EXIT_GROUP_DEAD) {
        if ctx.arg::<u64>(1) as u8 == 0 {
            return 0;
        }
    } else if signal.get::<u32>(offset!(signal_live)) != 0 {
        return 0;
    }
    let tgid = task.get::<u32>(offset!(task_tgid));
    let cgroup = cgroup_of_task(task);
    let Some(header) = begin(Kind::Exit, tgid, cgroup) else {
        return 0;
    };
    let leader = task.follow(offset!(task_group_leader));
    let status = if signal.get::<u32>(offset!(signal_flags)) & SIGNAL_GROUP_EXIT != 0 {
        signal.get::<u32>(offset!(signal_exit_code))
    } else {
        leader.get::<u32>(offset!(task_exit_code))
    };
    let oom_mm = offset!(signal_oom_mm);
    let oom = oom_mm != ABSENT && signal.get::<u64>(oom_mm) != 0;
    emit(
        Kind::Exit,
        Exit {
            header,
            start: leader.get(offset!(task_start_boottime)),
            cgroup,
            rss_pages_max: signal.get(offset!(signal_maxrss)),
            cpu_ns: signal.get::<u64>(offset!(signal_runtime))
                + task.get::<u64>(offset!(task_runtime)),
            status,
            flags: if oom { EXIT_OOM } else { 0 },
        },
    );
    0
}

/// Pid of a task in its own pid namespace; 0 in the first, or where reading it is not allowed.
#[inline(always)]
fn namespaced_pid(task: Object) -> u32 {
    let pid = task.follow(offset!(task_thread_pid));
    let level = pid.get::<u32>(offset!(pid_level));
    if level == 0 || !mode(MODE_PROBE_READ) {
        return 0;
    }
    // `struct upid` is {int nr; struct pid_namespace *ns}: 16 bytes. The index is not a constant, so
    // the verifier wants the helper.
    let number = (pid.as_ptr() as u64) + u64::from(offset!(pid_numbers)) + u64::from(level) * 16;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(number as *const u32) }.unwrap_or(0)
}
