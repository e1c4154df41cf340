//! Loading and attaching the kernel programs, one by one: what one of them lacks costs only what it
//! alone knows.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{CgroupAttachMode, Program},
};
use mesoscope_events::settings::{
    ABSENT, MODE_CGROUP_V1, MODE_EXIT_GROUP_DEAD, MODE_PROBE_READ, Offsets,
};

use crate::{
    CaptureConfig, CaptureError, Rung,
    btf::KernelTypes,
    error::{chain, kernel},
    formats,
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

/// One thing that a program reports, and which programs can: the best first.
struct Hook {
    /// The program with BTF; a `tp_btf` program is named as its tracepoint.
    best: &'static str,
    /// What provides it then.
    provider: &'static str,
    /// The program without BTF, what provides it then, its tracepoint if it is one, and what is lost.
    plain: Option<Plain>,
}

struct Plain {
    program: &'static str,
    provider: &'static str,
    tracepoint: Option<(&'static str, &'static str)>,
    lost: &'static str,
}

const fn tracepoint_hook(best: &'static str, plain: Option<Plain>) -> Hook {
    Hook {
        best,
        provider: "tp_btf",
        plain,
    }
}

const fn cgroup_hook(best: &'static str, program: &'static str) -> Hook {
    let lost = "the network namespace is not told, and the caller's start is looked up in /proc";
    Hook {
        best,
        provider: "cgroup",
        plain: Some(Plain {
            program,
            provider: "cgroup",
            tracepoint: None,
            lost,
        }),
    }
}

const fn classic(
    program: &'static str,
    category: &'static str,
    name: &'static str,
    lost: &'static str,
) -> Option<Plain> {
    Some(Plain {
        program,
        provider: "tracepoint",
        tracepoint: Some((category, name)),
        lost,
    })
}

const TRACEPOINT_HOOKS: [Hook; 9] = [
    tracepoint_hook(
        "sched_process_fork",
        classic(
            "plain_fork",
            "task",
            "task_newtask",
            "the start is looked up in /proc",
        ),
    ),
    tracepoint_hook(
        "sched_process_exec",
        classic(
            "plain_exec",
            "sched",
            "sched_process_exec",
            "arguments are looked up in /proc",
        ),
    ),
    tracepoint_hook(
        "sched_process_exit",
        classic(
            "plain_exit",
            "sched",
            "sched_process_exit",
            "how a process ended is not known",
        ),
    ),
    tracepoint_hook(
        "tcp_destroy_sock",
        Some(Plain {
            program: "plain_tcp",
            provider: "sock_ops",
            tracepoint: None,
            lost: "errors, user and cgroup are not told, counters may be off by a byte, and connections from before the start are not seen ending",
        }),
    ),
    tracepoint_hook("inet_sk_error_report", None),
    tracepoint_hook("tcp_send_reset", None),
    tracepoint_hook(
        "cgroup_mkdir",
        classic("plain_cgroup_mkdir", "cgroup", "cgroup_mkdir", ""),
    ),
    tracepoint_hook(
        "cgroup_rmdir",
        classic("plain_cgroup_rmdir", "cgroup", "cgroup_rmdir", ""),
    ),
    tracepoint_hook(
        "cgroup_notify_populated",
        classic(
            "plain_cgroup_populated",
            "cgroup",
            "cgroup_notify_populated",
            "",
        ),
    ),
];

const CALLER_HOOKS: [Hook; 4] = [
    cgroup_hook("connect4", "plain_connect4"),
    cgroup_hook("connect6", "plain_connect6"),
    cgroup_hook("post_bind4", "plain_bind4"),
    cgroup_hook("post_bind6", "plain_bind6"),
];

/// The programs on connect().
pub const CONNECT: [&str; 2] = ["connect4", "connect6"];
/// The programs after bind().
pub const BIND: [&str; 2] = ["post_bind4", "post_bind6"];
/// The program of the socket iterator.
pub const SNAPSHOT: &str = "socket_snapshot";

/// How something is provided, and what is second best about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// `tp_btf`, `cgroup`, `iter`, `sock_ops` or `tracepoint`.
    pub provider: &'static str,
    /// Empty when it is the best there is.
    pub note: String,
}

/// Outcome of each hook by the name of its best program: how it is provided, or why not.
pub type Outcomes = BTreeMap<&'static str, Result<Provided, String>>;

/// The object with its maps made, and what the tp_btf programs need, or why they can not be had.
pub struct Prepared {
    /// The object.
    pub ebpf: Ebpf,
    /// The kernel's types.
    btf: Result<Btf, String>,
}

/// Injects the offsets and makes the maps.
///
/// # Errors
/// When there are no programs, or the kernel refuses a map.
pub fn prepare(
    config: &CaptureConfig,
    hierarchies: &Hierarchies,
) -> Result<Prepared, CaptureError> {
    if OBJECT.is_empty() {
        return Err(kernel("loading kernel programs", WITHOUT_OBJECT));
    }
    let types = if config.rung >= Rung::Btf {
        KernelTypes::read(Path::new(VMLINUX_BTF)).map_err(|error| chain(&error))
    } else {
        Err("BTF is turned off in the configuration".to_owned())
    };
    let v1 = hierarchies.pure_v1();
    let (offsets, flags, css_set_memory) = match &types {
        Ok(types) => offsets(types, v1),
        Err(_) => (vec![ABSENT; Offsets::SOURCES.len()], 0, 0),
    };
    let hierarchy = if v1 { hierarchies.memory_v1 } else { 0 };
    let modes = [flags, hierarchy, css_set_memory, config.ring_bytes / 4];
    let formats = formats::read(&config.tracefs_root);
    let ebpf = EbpfLoader::new()
        .btf(None)
        .override_global("OFFSETS", offsets.as_slice(), true)
        .override_global("MODES", modes.as_slice(), true)
        .override_global("FORMATS", formats.as_slice(), true)
        .map_max_entries("EVENTS", config.ring_bytes)
        .load(OBJECT)
        .map_err(|error| kernel("making the maps of the kernel programs", chain(&error)))?;
    let btf = types.and_then(|_| Btf::from_sys_fs().map_err(|error| chain(&error)));
    Ok(Prepared { ebpf, btf })
}

/// What is frozen into the programs: offsets, flags of the modes, place of the memory controller.
fn offsets(types: &KernelTypes, v1: bool) -> (Vec<u32>, u32, u32) {
    let (offsets, missing) = types.offsets();
    if !missing.is_empty() {
        tracing::debug!(?missing, "fields that this kernel does not have");
    }
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
    (
        offsets,
        flags,
        types.offset("css_set", "subsys").unwrap_or(0) + memory * 8,
    )
}

/// Loads and attaches tiers 0 and 1, each hook on the best rung that works.
pub fn attach(
    prepared: &mut Prepared,
    config: &CaptureConfig,
    root: &Result<OwnedFd, String>,
) -> Outcomes {
    let Prepared { ebpf, btf } = prepared;
    let mut outcomes = Outcomes::new();
    for hook in &TRACEPOINT_HOOKS {
        let best = btf
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|btf| tracepoint(ebpf, hook.best, btf));
        outcomes.insert(hook.best, best_or_plain(ebpf, hook, best, root));
    }
    let snapshot = btf
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|btf| load_iterator(ebpf, btf));
    outcomes.insert(
        SNAPSHOT,
        snapshot.map(|()| Provided {
            provider: "iter",
            note: String::new(),
        }),
    );
    for hook in &CALLER_HOOKS {
        let outcome = if config.tier1 {
            let best = match (&*btf, root) {
                (Ok(_), Ok(root)) => cgroup(ebpf, hook.best, root),
                (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
            };
            best_or_plain(ebpf, hook, best, root)
        } else {
            Err("turned off in the configuration".to_owned())
        };
        outcomes.insert(hook.best, outcome);
    }
    outcomes
}

fn best_or_plain(
    ebpf: &mut Ebpf,
    hook: &Hook,
    best: Result<(), String>,
    root: &Result<OwnedFd, String>,
) -> Result<Provided, String> {
    let Err(reason) = best else {
        return Ok(Provided {
            provider: hook.provider,
            note: String::new(),
        });
    };
    let Some(plain) = &hook.plain else {
        return Err(reason);
    };
    let second = match plain.tracepoint {
        Some((category, name)) => classic_tracepoint(ebpf, plain.program, category, name),
        None => root
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|root| cgroup(ebpf, plain.program, root)),
    };
    match second {
        Ok(()) => {
            let lost = if plain.lost.is_empty() {
                String::new()
            } else {
                format!(": {}", plain.lost)
            };
            Ok(Provided {
                provider: plain.provider,
                note: format!("second best{lost} ({reason})"),
            })
        }
        Err(second) => Err(format!("{reason}; {}: {second}", plain.program)),
    }
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

fn classic_tracepoint(
    ebpf: &mut Ebpf,
    name: &str,
    category: &str,
    event: &str,
) -> Result<(), String> {
    let Program::TracePoint(program) = program(ebpf, name)? else {
        return Err(format!("{name} is no program of a tracepoint"));
    };
    program.load().map_err(|error| chain(&error))?;
    program
        .attach(category, event)
        .map_err(|error| chain(&error))?;
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
fn cgroup(ebpf: &mut Ebpf, name: &str, directory: impl AsFd) -> Result<(), String> {
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
        Program::SockOps(program) => {
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
