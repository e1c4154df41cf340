//! What the agent injects into the kernel programs.

use crate::record::record;

/// Offset of a field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$meta:meta])* $field:ident: $structure:literal $path:literal $(| $other_structure:literal $other:literal)*,)*) => {
        record! {
            /// Byte offsets inside the running kernel's structures, read from its BTF and frozen before
            /// the programs load: the verifier sees constants and checks each access against the type.
            pub struct Offsets { $($(#[$meta])* pub $field: u32,)* }
        }

        impl Offsets {
            /// Where each offset comes from, in the order of the fields: (field, alternatives of
            /// structure and dotted path).
            pub const SOURCES: &[(&str, &[(&str, &str)])] = &[$((stringify!($field), &[($structure, $path) $(, ($other_structure, $other))*]),)*];
        }
    };
}

offsets! {
    /// task -> its thread-group id
    task_tgid: "task_struct" "tgid",
    /// task -> its thread id
    task_pid: "task_struct" "pid",
    /// task -> the parent that made it
    task_real_parent: "task_struct" "real_parent",
    /// task -> leader of its thread group
    task_group_leader: "task_struct" "group_leader",
    /// task -> CLOCK_BOOTTIME of its start
    task_start_boottime: "task_struct" "start_boottime" | "task_struct" "real_start_time",
    /// task -> credentials
    task_cred: "task_struct" "cred",
    /// credentials -> user
    cred_uid: "cred" "uid.val",
    /// task -> name
    task_comm: "task_struct" "comm",
    /// task -> memory
    task_mm: "task_struct" "mm",
    /// memory -> program file
    mm_exe_file: "mm_struct" "exe_file",
    /// memory -> start of the arguments
    mm_arg_start: "mm_struct" "arg_start",
    /// memory -> end of the arguments
    mm_arg_end: "mm_struct" "arg_end",
    /// file -> inode
    file_inode: "file" "f_inode",
    /// inode -> number
    inode_number: "inode" "i_ino",
    /// inode -> file system
    inode_superblock: "inode" "i_sb",
    /// file system -> device
    superblock_device: "super_block" "s_dev",
    /// task -> namespaces
    task_nsproxy: "task_struct" "nsproxy",
    /// namespaces -> network namespace
    nsproxy_net: "nsproxy" "net_ns",
    /// network namespace -> inode
    net_inum: "net" "ns.inum",
    /// task -> pid structure
    task_thread_pid: "task_struct" "thread_pid",
    /// pid structure -> depth of its pid namespace
    pid_level: "pid" "level",
    /// pid structure -> pid of each level
    pid_numbers: "pid" "numbers",
    /// task -> set of its cgroups
    task_cgroups: "task_struct" "cgroups",
    /// set of cgroups -> the one of the v2 hierarchy
    css_set_default: "css_set" "dfl_cgrp",
    /// set of cgroups -> controllers' states (v1)
    css_set_subsys: "css_set" "subsys",
    /// controller's state -> its cgroup
    css_cgroup: "cgroup_subsys_state" "cgroup",
    /// cgroup -> directory
    cgroup_kn: "cgroup" "kn",
    /// directory -> inode
    kn_id: "kernfs_node" "id" | "kernfs_node" "id.id",
    /// cgroup -> hierarchy
    cgroup_root: "cgroup" "root",
    /// hierarchy -> its number, 0 for v2
    root_hierarchy: "cgroup_root" "hierarchy_id",
    /// task -> what its threads share
    task_signal: "task_struct" "signal",
    /// shared -> threads that are alive
    signal_live: "signal_struct" "live.counter",
    /// shared -> exit status of the group
    signal_exit_code: "signal_struct" "group_exit_code",
    /// shared -> SIGNAL_*
    signal_flags: "signal_struct" "flags",
    /// shared -> most resident pages
    signal_maxrss: "signal_struct" "maxrss",
    /// shared -> run time of the threads that have ended
    signal_runtime: "signal_struct" "sum_sched_runtime",
    /// shared -> set when the kernel chose it to free memory
    signal_oom_mm: "signal_struct" "oom_mm",
    /// task -> its own run time
    task_runtime: "task_struct" "se.sum_exec_runtime",
    /// task -> exit status
    task_exit_code: "task_struct" "exit_code",
    /// socket -> family
    sk_family: "sock" "__sk_common.skc_family",
    /// socket -> state
    sk_state: "sock" "__sk_common.skc_state",
    /// socket -> remote IPv4 address
    sk_daddr: "sock" "__sk_common.skc_daddr",
    /// socket -> local IPv4 address
    sk_rcv_saddr: "sock" "__sk_common.skc_rcv_saddr",
    /// socket -> remote port, network order
    sk_dport: "sock" "__sk_common.skc_dport",
    /// socket -> local port, host order, 0 once unbound
    sk_num: "sock" "__sk_common.skc_num",
    /// socket -> remote IPv6 address
    sk_v6_daddr: "sock" "__sk_common.skc_v6_daddr",
    /// socket -> local IPv6 address
    sk_v6_rcv_saddr: "sock" "__sk_common.skc_v6_rcv_saddr",
    /// socket -> network namespace
    sk_net: "sock" "__sk_common.skc_net.net",
    /// socket -> flags (SOCK_DONE: the peer's FIN has come)
    sk_flags: "sock" "__sk_common.skc_flags" | "sock" "sk_flags",
    /// socket -> error
    sk_err: "sock" "sk_err",
    /// socket -> user
    sk_uid: "sock" "sk_uid.val",
    /// socket -> protocol
    sk_protocol: "sock" "sk_protocol",
    /// socket -> cgroup
    sk_cgroup: "sock" "sk_cgrp_data.cgroup",
    /// TCP socket -> local port, network order
    inet_sport: "inet_sock" "inet_sport",
    /// TCP socket -> payload sent
    tcp_bytes_sent: "tcp_sock" "bytes_sent",
    /// TCP socket -> payload sent again
    tcp_bytes_retrans: "tcp_sock" "bytes_retrans",
    /// TCP socket -> payload received
    tcp_bytes_received: "tcp_sock" "bytes_received",
    /// TCP socket -> smoothed round-trip time, in eighths of a microsecond
    tcp_srtt: "tcp_sock" "srtt_us",
    /// TCP socket -> segments sent again
    tcp_retransmits: "tcp_sock" "total_retrans",
    /// socket of a file system -> socket
    socket_sk: "socket" "sk",
}

macro_rules! formats {
    ($($(#[$meta:meta])* $field:ident: $event:literal $name:literal,)*) => {
        record! {
            /// Byte offsets inside the records of classic tracepoints, read from their format files.
            pub struct Formats { $($(#[$meta])* pub $field: u32,)* }
        }

        impl Formats {
            /// Where each offset comes from, in the order of the fields: (event, name of its field).
            pub const SOURCES: &[(&str, &str)] = &[$(($event, $name),)*];
        }
    };
}

formats! {
    /// the new task
    newtask_pid: "task/task_newtask" "pid",
    /// its name
    newtask_comm: "task/task_newtask" "comm",
    /// how it was made
    newtask_clone_flags: "task/task_newtask" "clone_flags",
    /// the program file
    exec_filename: "sched/sched_process_exec" "filename",
    /// whether the last thread ends
    exit_group_dead: "sched/sched_process_exit" "group_dead",
    /// hierarchy; the same place in all events of its class
    cgroup_root: "cgroup/cgroup_mkdir" "root",
    /// inode of the directory
    cgroup_id: "cgroup/cgroup_mkdir" "id",
    /// path
    cgroup_path: "cgroup/cgroup_mkdir" "path",
    /// 1 for populated
    populated_val: "cgroup/cgroup_notify_populated" "val",
}

/// What else the programs are told, frozen before they load.
/// `Modes::flags`: processes' cgroups are those of the v1 memory controller.
pub const MODE_CGROUP_V1: u32 = 1;
/// `Modes::flags`: `bpf_probe_read*` is allowed (not under lockdown=confidentiality).
pub const MODE_PROBE_READ: u32 = 2;
/// `Modes::flags`: `sched_process_exit` says whether the last thread ends.
pub const MODE_EXIT_GROUP_DEAD: u32 = 4;

record! {
    /// Modes that follow from the kernel and its mounts, frozen before the programs load.
    pub struct Modes {
        /// `MODE_*`.
        pub flags: u32,
        /// The one hierarchy whose cgroups are reported; 0 is v2.
        pub hierarchy: u32,
        /// Offset of the memory controller's state in `css_set` (v1).
        pub css_set_memory: u32,
        /// Waiting bytes in the ring from which on the consumer is woken.
        pub wake_bytes: u32,
    }

    /// What may change while the programs run: the only element of the map `SETTINGS`.
    pub struct Settings {
        /// Events of one cgroup in one window; 0 for no cap.
        pub cap_per_window: u64,
        /// Not 0 for a while after the hooks of tier 2 were attached: connections from before then are
        /// looked at too.
        pub adopting: u64,
    }

    /// One slot of the map `RATES`: the events of one cgroup in the current window.
    pub struct Rate {
        /// Cgroup.
        pub cgroup: u64,
        /// Number of the window.
        pub window: u64,
        /// Events in it.
        pub count: u64,
    }

    /// Value of the map `WITHHELD`, by cgroup.
    pub struct WithheldCount {
        /// Events withheld since the start.
        pub count: u64,
        /// CLOCK_MONOTONIC of the last one.
        pub last: u64,
    }
}

/// A window of the cap is 2^27 ns (134 ms): a shift instead of a division.
pub const WINDOW_SHIFT: u32 = 27;
/// Slots of `RATES`: sets of [`RATE_WAYS`].
pub const RATE_SETS: u32 = 256;
/// Slots that a cgroup may take.
pub const RATE_WAYS: u32 = 4;
/// Cgroups whose withheld events are told apart; those of further ones are counted under cgroup 0.
pub const WITHHELD_ENTRIES: u32 = 1024;
