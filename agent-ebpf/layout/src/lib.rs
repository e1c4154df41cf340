//! The layout of what the kernel programs and the agent exchange.
//!
//! - `record`: the macro that makes a `#[repr(C)]` struct without padding and its safe reader
//! - [`records`]: what goes through the ring buffer and the socket iterator
//! - [`settings`]: what the agent injects into the programs before they load, or changes afterwards
//!
//! Both sides are built from this crate on the same machine, so numbers are in its own byte order.
#![no_std]

mod record;
pub mod records;
pub mod settings;
