//! The current task, as far as helpers tell of it.

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
};

pub fn tgid() -> u32 {
    // SAFETY: gives numbers of the current task.
    (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32
}

pub fn cgroup() -> u64 {
    // SAFETY: gives a number of the current task.
    unsafe { bpf_get_current_cgroup_id() }
}

pub fn uid() -> u32 {
    // SAFETY: gives numbers of the current task.
    unsafe { bpf_get_current_uid_gid() as u32 }
}
