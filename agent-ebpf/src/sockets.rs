//! Tier 0: one pass over the files of all processes, for their sockets: owner, tuple, live counters.
//!
//! # Minimum kernel version
//!
//! 5.13 (`bpf_sock_from_file` in iterators, `bpf_get_socket_cookie` in tracing programs). Needs BTF.

use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_seq_write, bpf_sock_from_file};
use mesoscope_events::records::SocketEntry;

use crate::{
    kernel::{Object, cgroup_id, offset, start_of},
    packets::udp_totals,
    tcp::counters,
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;

/// `struct bpf_iter__task_file`.
#[repr(C)]
pub struct TaskFile {
    meta: *const IterMeta,
    task: *const u8,
    fd: u32,
    _pad: u32,
    file: *const u8,
}

/// `struct bpf_iter_meta`.
#[repr(C)]
pub struct IterMeta {
    seq: *mut u8,
}

/// Called for each open file of each process.
#[unsafe(link_section = "iter/task_file")]
#[unsafe(no_mangle)]
pub extern "C" fn socket_snapshot(ctx: *const TaskFile) -> i32 {
    // SAFETY: the kernel passes its own structure, whose first fields are as declared.
    let (meta, task, fd, file) = unsafe {
        (
            (*ctx).meta,
            Object::new((*ctx).task),
            (*ctx).fd,
            (*ctx).file,
        )
    };
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: the helper checks the type and gives null for a file that is no socket.
    let socket = Object::new(unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast());
    if socket.is_null() {
        return 0;
    }
    let sk = socket.follow(offset!(socket_sk));
    if sk.is_null() {
        return 0;
    }
    let family = sk.get::<u16>(offset!(sk_family));
    let protocol = sk.get::<u16>(offset!(sk_protocol));
    if (family != AF_INET && family != AF_INET6)
        || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
    {
        return 0;
    }
    let mut entry = SocketEntry {
        // SAFETY: the helper checks the type.
        cookie: unsafe { bpf_get_socket_cookie(sk.as_ptr().cast_mut().cast()) },
        cgroup: cgroup_id(sk.follow(offset!(sk_cgroup))),
        start: start_of(task),
        tgid: task.get(offset!(task_tgid)),
        fd,
        netns: sk.follow(offset!(sk_net)).get(offset!(net_inum)),
        uid: sk.get_or(offset!(sk_uid), 0),
        local_port: sk.get(offset!(sk_num)),
        remote_port: u16::from_be(sk.get(offset!(sk_dport))),
        state: sk.get(offset!(sk_state)),
        protocol: protocol as u8,
        family: family as u8,
        ..SocketEntry::ZERO
    };
    if protocol == IPPROTO_TCP
        && let Some(counters) = counters(sk)
    {
        entry.bytes_sent = counters.bytes_sent;
        entry.bytes_received = counters.bytes_received;
        entry.rtt_us = counters.rtt_us;
        entry.retransmits = counters.retransmits;
        if entry.local_port == 0 {
            entry.local_port = u16::from_be(counters.local_port);
        }
    }
    if protocol == IPPROTO_UDP {
        (entry.bytes_sent, entry.bytes_received) = udp_totals(sk.as_ptr());
    }
    if family == AF_INET {
        entry.local[..4].copy_from_slice(&sk.get::<[u8; 4]>(offset!(sk_rcv_saddr)));
        entry.remote[..4].copy_from_slice(&sk.get::<[u8; 4]>(offset!(sk_daddr)));
    } else {
        entry.local = sk.get(offset!(sk_v6_rcv_saddr));
        entry.remote = sk.get(offset!(sk_v6_daddr));
    }
    // SAFETY: `entry` has no padding and lives on this stack; a full buffer makes the kernel call again.
    unsafe {
        bpf_seq_write(
            (*meta).seq.cast(),
            (&raw const entry).cast(),
            SocketEntry::SIZE as u32,
        )
    };
    0
}
