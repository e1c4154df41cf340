//! The lower rung: what can be known without BTF. Classic tracepoints, with the field offsets of this
//! kernel's format files; `sock_ops` for the ends of TCP connections; connect() and bind() without what
//! only the task structure tells. User space fills in what it can from `/proc`.
//!
//! # Minimum kernel version
//!
//! 5.8 (ring buffer, `bpf_ktime_get_boot_ns`). BTF is not needed; the tracepoints need tracefs.

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock_ops,
    },
    helpers::{
        bpf_get_current_comm, bpf_probe_read_kernel,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
            bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_probe_read_kernel_str,
        },
    },
    macros::{cgroup_sock, cgroup_sock_addr, map, sock_ops, tracepoint},
    maps::PerCpuArray,
    programs::{SockAddrContext, SockContext, SockOpsContext, TracePointContext},
};
use mesoscope_events::{
    records::{
        ARGV_BYTES, COMM_BYTES, Cgroup, CgroupChange, Connect4, Connect6, EXEC_ARGV_TRUNCATED,
        EXIT_STATUS_UNKNOWN, Exec, Exit, Fork, Kind, PATH_BYTES, TcpEnd, TcpEnd4, TcpEnd6, TcpHook,
    },
    settings::{ABSENT, Formats},
};

use crate::{
    caller::{ALLOW, IPPROTO_TCP, IPPROTO_UDP, bound4, bound6, destination4, destination6, words},
    kernel::hierarchy,
    output::{begin, begin_uncapped, bounded, emit, emit_bytes},
};

#[unsafe(no_mangle)]
static FORMATS: Formats = Formats::ZERO;

/// The offset of one field of a tracepoint's record.
macro_rules! format {
    ($field:ident) => {
        // SAFETY: a plain read of a static, volatile as in `offset!`.
        unsafe { core::ptr::read_volatile(&raw const FORMATS.$field) }
    };
}

/// `CLONE_THREAD` (include/uapi/linux/sched.h).
const CLONE_THREAD: u64 = 0x0001_0000;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const TCP_FIN_WAIT2: u32 = 5;
const TCP_CLOSE: u32 = 7;
const TCP_LAST_ACK: u32 = 9;
const TCP_CLOSING: u32 = 11;

/// A field of a tracepoint's record.
#[inline(always)]
fn field<T>(ctx: &TracePointContext, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(ctx.as_ptr().cast::<u8>().add(offset as usize).cast::<T>()) }
        .ok()
}

/// Copies the text of a `__data_loc` field; gives its length without the final zero byte.
#[inline(always)]
fn text<const SIZE: usize>(ctx: &TracePointContext, offset: u32, to: &mut [u8; SIZE]) -> usize {
    const { assert!(SIZE.is_power_of_two()) }
    let Some(place) = field::<u32>(ctx, offset) else {
        return 0;
    };
    // SAFETY: the helper checks the address; `to` holds `SIZE` bytes.
    let len = unsafe {
        bpf_probe_read_kernel_str(
            to.as_mut_ptr().cast(),
            SIZE as u32,
            ctx.as_ptr()
                .cast::<u8>()
                .add((place & 0xffff) as usize)
                .cast(),
        )
    };
    if len > 0 {
        bounded(len as u64 - 1, SIZE as u64 - 1) as usize
    } else {
        0
    }
}

fn current_tgid() -> u32 {
    // SAFETY: gives numbers of the current task.
    (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32
}

fn current_cgroup() -> u64 {
    // SAFETY: gives a number of the current task.
    unsafe { bpf_get_current_cgroup_id() }
}

fn current_uid() -> u32 {
    // SAFETY: gives numbers of the current task.
    unsafe { bpf_get_current_uid_gid() as u32 }
}

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
    let cgroup = current_cgroup();
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
            parent_tgid: current_tgid(),
            uid: current_uid(),
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
    let cgroup = current_cgroup();
    let Some(header) = begin(Kind::Exec, current_tgid(), cgroup) else {
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
        uid: current_uid(),
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
    let cgroup = current_cgroup();
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

#[repr(C)]
struct CgroupScratch {
    cgroup: Cgroup,
    path: [u8; PATH_BYTES],
}

#[map]
static PLAIN_CGROUP: PerCpuArray<CgroupScratch> = PerCpuArray::with_max_entries(1, 0);

/// A cgroup was made.
#[tracepoint]
pub fn plain_cgroup_mkdir(ctx: TracePointContext) -> u32 {
    cgroup(&ctx, CgroupChange::Created)
}

/// A cgroup was removed.
#[tracepoint]
pub fn plain_cgroup_rmdir(ctx: TracePointContext) -> u32 {
    cgroup(&ctx, CgroupChange::Removed)
}

/// The first process came into a cgroup, or the last one left.
#[tracepoint]
pub fn plain_cgroup_populated(ctx: TracePointContext) -> u32 {
    let populated = field::<u32>(&ctx, format!(populated_val)).unwrap_or(0) != 0;
    cgroup(
        &ctx,
        if populated {
            CgroupChange::Populated
        } else {
            CgroupChange::Emptied
        },
    )
}

#[inline(always)]
fn cgroup(ctx: &TracePointContext, action: CgroupChange) -> u32 {
    if field::<u32>(ctx, format!(cgroup_root)) != Some(hierarchy()) {
        return 0;
    }
    let Some(id) = field::<u64>(ctx, format!(cgroup_id)) else {
        return 0;
    };
    let Some(scratch) = PLAIN_CGROUP.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's element; see `plain_exec`.
    let scratch = unsafe { &mut *scratch };
    let len = text(ctx, format!(cgroup_path), &mut scratch.path);
    scratch.cgroup = Cgroup {
        header: begin_uncapped(Kind::Cgroup, 0),
        cgroup: id,
        action: action as u32,
        path_len: len as u32,
    };
    // SAFETY: `len` is below PATH_BYTES.
    let bytes = unsafe {
        core::slice::from_raw_parts((&raw const *scratch).cast::<u8>(), Cgroup::SIZE + len)
    };
    emit_bytes(Kind::Cgroup, bytes);
    0
}

/// connect() to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn plain_connect4(ctx: SockAddrContext) -> i32 {
    let (protocol, port, address) = destination4(&ctx);
    report4(
        Kind::Connect4,
        ctx.sock_addr.cast(),
        protocol,
        port,
        address,
    );
    ALLOW
}

/// connect() to an IPv6 address.
#[cgroup_sock_addr(connect6)]
pub fn plain_connect6(ctx: SockAddrContext) -> i32 {
    let (protocol, port, address) = destination6(&ctx);
    report6(
        Kind::Connect6,
        ctx.sock_addr.cast(),
        protocol,
        port,
        address,
    );
    ALLOW
}

/// An explicit bind() to an IPv4 address has worked.
#[cgroup_sock(post_bind4)]
pub fn plain_bind4(ctx: SockContext) -> i32 {
    let (protocol, port, address) = bound4(&ctx);
    report4(Kind::Bind4, ctx.sock.cast(), protocol, port, address);
    ALLOW
}

/// An explicit bind() to an IPv6 address has worked.
#[cgroup_sock(post_bind6)]
pub fn plain_bind6(ctx: SockContext) -> i32 {
    let (protocol, port, address) = bound6(&ctx);
    report6(Kind::Bind6, ctx.sock.cast(), protocol, port, address);
    ALLOW
}

#[inline(always)]
fn report4(kind: Kind, ctx: *mut core::ffi::c_void, protocol: u32, port: u16, address: [u8; 4]) {
    if protocol != IPPROTO_TCP && protocol != IPPROTO_UDP {
        return;
    }
    let cgroup = current_cgroup();
    let Some(header) = begin(kind, current_tgid(), cgroup) else {
        return;
    };
    // SAFETY: `ctx` is the context of the running program.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    emit(
        kind,
        Connect4 {
            header,
            cookie,
            start: 0,
            cgroup,
            netns: 0,
            protocol: protocol as u16,
            port,
            address,
            zero: 0,
        },
    );
}

#[inline(always)]
fn report6(kind: Kind, ctx: *mut core::ffi::c_void, protocol: u32, port: u16, address: [u8; 16]) {
    if protocol != IPPROTO_TCP && protocol != IPPROTO_UDP {
        return;
    }
    let cgroup = current_cgroup();
    let Some(header) = begin(kind, current_tgid(), cgroup) else {
        return;
    };
    // SAFETY: `ctx` is the context of the running program.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    emit(
        kind,
        Connect6 {
            header,
            cookie,
            start: 0,
            cgroup,
            netns: 0,
            protocol: protocol as u16,
            port,
            address,
        },
    );
}

/// The life of a TCP socket: asks to be called for its changes of state, and reports the last one.
#[sock_ops]
pub fn plain_tcp(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB
        | BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_TCP_LISTEN_CB => {
            let flags = ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG;
            // Refused only for a socket that is no full one: then there is nothing to report.
            let _ = ctx.set_cb_flags(flags as i32);
        }
        BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == TCP_CLOSE => tcp_end(ctx.ops),
        _ => {}
    }
    1
}

#[inline(always)]
fn tcp_end(ops: *mut bpf_sock_ops) {
    let header = begin_uncapped(Kind::TcpEnd4, 0);
    // SAFETY: the context is valid for the run of the program.
    unsafe {
        let before = (*ops).__bindgen_anon_1.args[0];
        // bytes_acked counts our SYN, and our FIN once it is acknowledged; bytes_received counts the peer's FIN.
        let fin_acknowledged =
            before == TCP_FIN_WAIT2 || before == TCP_LAST_ACK || before == TCP_CLOSING;
        let fin_received =
            before == TCP_FIN_WAIT2 || before == TCP_LAST_ACK || before == TCP_CLOSING;
        let (acknowledged, received) = ((*ops).bytes_acked, (*ops).bytes_received);
        let overhead = 1 + u64::from(fin_acknowledged);
        let end = TcpEnd {
            header,
            cookie: bpf_get_socket_cookie(ops.cast()),
            cgroup: 0,
            bytes_sent: if acknowledged > overhead {
                acknowledged - overhead
            } else {
                0
            },
            bytes_received: if received > 0 {
                received - u64::from(fin_received)
            } else {
                0
            },
            netns: 0,
            uid: 0,
            rtt_us: (*ops).srtt_us >> 3,
            retransmits: (*ops).total_retrans,
            error: 0,
            hook: TcpHook::Destroyed as u16,
            local_port: (*ops).local_port as u16,
            remote_port: u32::from_be((*ops).remote_port) as u16,
        };
        match (*ops).family {
            AF_INET => emit(
                Kind::TcpEnd4,
                TcpEnd4 {
                    end,
                    local: (*ops).local_ip4.to_ne_bytes(),
                    remote: (*ops).remote_ip4.to_ne_bytes(),
                },
            ),
            AF_INET6 => {
                let mut end = end;
                end.header.kind = Kind::TcpEnd6 as u32;
                emit(
                    Kind::TcpEnd6,
                    TcpEnd6 {
                        end,
                        local: words(&raw const (*ops).local_ip6),
                        remote: words(&raw const (*ops).remote_ip6),
                    },
                );
            }
            _ => {}
        }
    }
}
