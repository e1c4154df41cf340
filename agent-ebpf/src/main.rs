//! The kernel programs.
//!
//! - [`process`]: fork, exec, exit (tier 0)
//! - [`tcp`]: ends of TCP sockets (tier 0)
//! - [`cgroup`]: cgroups made, removed, populated, emptied (tier 0)
//! - [`sockets`]: one pass over all sockets of all processes (tier 0)
//! - [`caller`]: connect() and bind() in their caller's context (tier 1)
//! - [`packets`]: UDP bytes, DNS answers, first payloads (tier 2)
//! - [`plain`]: tiers 0 and 1 without BTF (the lower rung)
//! - [`connect`]: what both rungs tell of connect() and bind()
//! - [`output`]: the ring, its loss counters and the per-cgroup cap
//! - [`kernel`]: reading the running kernel's structures
//!
//! Nothing here decides anything about the workload: every hook that could refuse allows.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)] // the one atomic addition that is needed

mod caller;
mod cgroup;
mod connect;
mod kernel;
mod output;
mod packets;
mod plain;
mod process;
mod sockets;
mod tcp;

/// The verifier proves that no program can panic; the language wants a handler all the same.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Helpers that read kernel memory are for programs under the GPL; the source is under Apache-2.0 too.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
