//! Loading and attaching the kernel programs, one by one: what one of them lacks costs only what it
//! alone knows.

use std::{collections::BTreeMap, os::fd::AsFd, path::Path};

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{CgroupAttachMode, Program},
};
use mesoscope_events::settings::{MODE_CGROUP_V1, MODE_EXIT_GROUP_DEAD, MODE_PROBE_READ};

use crate::{
    CaptureConfig, CaptureError,
    btf::KernelTypes,
    error::{chain, kernel},
    mounts::Hierarchies,
};

/// Path of the kernel's own type information.
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The compiled kernel programs, or nothing when the agent was built without them.
#[cfg(kernel_programs)]
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("MESOSCOPE_EBPF_OBJECT_PATH"));
/// The compiled kernel programs, or nothing when the agent was built without them.
#[cfg(not(kernel_programs))]
pub static OBJECT: &[u8] = &[];

/// What to say when [`OBJECT`] is empty.
pub const WITHOUT_OBJECT: &str =
    "built without kernel programs: run cargo xtask build-ebpf, then build again";

/// The `tp_btf` programs; each is named as its tracepoint.
pub const TRACEPOINTS: [&str; 9] = [
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
    "tcp_destroy_sock",
    "inet_sk_error_report",
    "tcp_send_reset",
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_notify_populated",
];
/// The programs on connect().
pub const CONNECT: [&str; 2] = ["connect4", "connect6"];
/// The programs after bind().
pub const BIND: [&str; 2] = ["post_bind4", "post_bind6"];
/// The program of the socket iterator.
pub const SNAPSHOT: &str = "socket_snapshot";

/// Outcome of each program by name: attached, or why not.
pub type Outcomes = BTreeMap<&'static str, Result<(), String>>;

/// Injects the offsets and makes the maps.
///
/// # Errors
/// When there is no BTF, or the kernel refuses a map.
pub fn prepare(config: &CaptureConfig, hierarchies: &Hierarchies) -> Result<Ebpf, CaptureError> {
    if OBJECT.is_empty() {
        return Err(kernel("loading kernel programs", WITHOUT_OBJECT));
    }
    let types = KernelTypes::read(Path::new(VMLINUX_BTF))
        .map_err(|error| kernel("reading the kernel's types", chain(&error)))?;
    let (offsets, missing) = types.offsets();
    if !missing.is_empty() {
        tracing::debug!(?missing, "fields that this kernel does not have");
    }
    let v1 = hierarchies.pure_v1();
    let mut flags = 0;
    if v1 {
        flags |= MODE_CGROUP_V1;
    }
    if !locked_down() {
        flags |= MODE_PROBE_READ;
    }
    if types.tracepoint_arguments("sched_process_exit") == Some(2) {
        flags |= MODE_EXIT_GROUP_DEAD;
    }
    let memory = types
        .enum_value("cgroup_subsys_id", "memory_cgrp_id")
        .unwrap_or(0);
    let css_set_memory = types.offset("css_set", "subsys").unwrap_or(0) + memory * 8;
    let hierarchy = if v1 { hierarchies.memory_v1 } else { 0 };
    let modes = [flags, hierarchy, css_set_memory, config.ring_bytes / 4];
    EbpfLoader::new()
        .btf(None)
        .override_global("OFFSETS", offsets.as_slice(), true)
        .override_global("MODES", modes.as_slice(), true)
        .map_max_entries("EVENTS", config.ring_bytes)
        .load(OBJECT)
        .map_err(|error| kernel("making the maps of the kernel programs", chain(&error)))
}

/// Loads and attaches tiers 0 and 1.
pub fn attach(
    ebpf: &mut Ebpf,
    config: &CaptureConfig,
    root: &Result<std::os::fd::OwnedFd, String>,
) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let btf = Btf::from_sys_fs().map_err(|error| chain(&error));
    for name in TRACEPOINTS {
        outcomes.insert(
            name,
            btf.as_ref()
                .map_err(Clone::clone)
                .and_then(|btf| tracepoint(ebpf, name, btf)),
        );
    }
    outcomes.insert(
        SNAPSHOT,
        btf.as_ref()
            .map_err(Clone::clone)
            .and_then(|btf| load_iterator(ebpf, btf)),
    );
    for name in CONNECT.into_iter().chain(BIND) {
        let outcome = if config.tier1 {
            root.as_ref()
                .map_err(Clone::clone)
                .and_then(|root| cgroup(ebpf, name, root))
        } else {
            Err("turned off in the configuration".to_owned())
        };
        outcomes.insert(name, outcome);
    }
    outcomes
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, String> {
    ebpf.program_mut(name)
        .ok_or_else(|| format!("the object has no program {name}"))
}

fn tracepoint(ebpf: &mut Ebpf, name: &str, btf: &Btf) -> Result<(), String> {
    let Program::BtfTracePoint(program) = program(ebpf, name)? else {
        return Err(format!("{name} is no tp_btf program"));
    };
    program.load(name, btf).map_err(|error| chain(&error))?;
    program.attach().map_err(|error| chain(&error))?;
    Ok(())
}

fn load_iterator(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), String> {
    let Program::Iter(program) = program(ebpf, SNAPSHOT)? else {
        return Err(format!("{SNAPSHOT} is no iterator"));
    };
    program
        .load("task_file", btf)
        .map_err(|error| chain(&error))
}

/// Loads a program of a cgroup hook and attaches it there.
pub fn cgroup(ebpf: &mut Ebpf, name: &str, directory: impl AsFd) -> Result<(), String> {
    // Links are always many to a hook; AllowMultiple is a flag of the older way to attach and refused here.
    let mode = CgroupAttachMode::Single;
    match program(ebpf, name)? {
        Program::CgroupSockAddr(program) => {
            program.load().map_err(|error| chain(&error))?;
            program
                .attach(directory, mode)
                .map_err(|error| chain(&error))?;
        }
        Program::CgroupSock(program) => {
            program.load().map_err(|error| chain(&error))?;
            program
                .attach(directory, mode)
                .map_err(|error| chain(&error))?;
        }
        _ => return Err(format!("{name} is no program of a cgroup hook")),
    }
    Ok(())
}

/// lockdown=confidentiality forbids programs to read kernel memory by helper.
fn locked_down() -> bool {
    std::fs::read_to_string("/sys/kernel/security/lockdown")
        .is_ok_and(|text| text.contains("[confidentiality]"))
}
