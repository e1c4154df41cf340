//! Processes of `/proc`.
//!
//! * [`ProcessReader`]: every process at once, or the details of one.
//! * [`ProcessSampler`]: what processes use, cheap enough for thousands of them every few seconds.
//! * [`stat`]: the parser of `/proc/PID/stat` that both use.
//! * [`users`]: names of user ids.

mod fds;
mod reader;
mod sampler;
pub mod stat;
pub mod users;

pub use reader::{ARGV_BYTES_MAX, ProcessReader, ProcessSnapshot};
pub use sampler::{ProcessSampler, SamplerLimits, SamplerStats};
