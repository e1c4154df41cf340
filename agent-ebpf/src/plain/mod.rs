//! The lower rung: what can be known without BTF. User space fills in what it can from `/proc`.
//!
//! - [`process`]: fork, exec, exit, by classic tracepoints
//! - [`cgroup`]: cgroups made, removed, populated, emptied, by classic tracepoints
//! - [`tcp`]: ends of TCP connections, by `sock_ops`
//! - [`caller`]: connect() and bind() without what only the task structure tells
//! - [`tracepoint`]: reading a tracepoint's record, at the offsets of this kernel's format files
//! - [`current`]: what helpers tell of the current task
//!
//! # Minimum kernel version
//!
//! 5.8 (ring buffer, `bpf_ktime_get_boot_ns`). BTF is not needed; the tracepoints need tracefs.

mod caller;
mod cgroup;
mod current;
mod process;
mod tcp;
mod tracepoint;
