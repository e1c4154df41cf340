//! Kernel events and socket snapshots as typed values.
//!
//! [`Capture::start`] loads the kernel programs, injects the running kernel's structure offsets,
//! attaches what it can and says in [`Capture::capabilities`] what it could not, and why. The caller
//! then drains events ([`Capture::drain`]) every 50-100 ms, or when the descriptor of the ring
//! ([`std::os::fd::AsRawFd`]) becomes readable: the kernel side wakes nobody until a quarter of the ring is full.
//!
//! Nothing is pinned: every program, map and link dies with the process that made it.

pub mod btf;
pub mod capability;
pub mod capture;
pub mod clock;
pub mod config;
mod cost;
pub mod decode;
pub mod error;
pub mod event;
mod exits;
mod formats;
pub mod memory;
mod mounts;
mod packets;
pub mod payload;
mod privileges;
mod programs;
mod settings;
mod snapshot;
mod starts;
mod stats;

pub use capability::{Capability, probe};
pub use capture::Capture;
pub use clock::Clock;
pub use config::{CaptureConfig, Rung, Tier2};
pub use error::CaptureError;
pub use event::{
    CaptureStats, Event, EventKind, LossCounters, MapFill, MonoNs, ProcessId, ProgramStats,
    Protocol, RecordKind, Socket, Withheld,
};
pub use programs::SNAPSHOT as SNAPSHOT_PROGRAM;
