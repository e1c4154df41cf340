//! What this kernel and these privileges allow, one entry per thing the map can know.

use crate::{Capture, CaptureConfig};

/// One rung of the capability ladder, as `mesoscope.v1.Capability`.
///
/// Names used here: `process-events`, `tcp-events`, `connect-pid`, `bind-pid`, `socket-snapshot`,
/// `cgroup-events`, `udp-bytes`, `protocol-recognition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What can be known.
    pub name: &'static str,
    /// Whether it is, here and now.
    pub available: bool,
    /// How it is provided (`tp_btf`, `iter`, `cgroup-connect`, `sock_ops`, `tracepoint`), or empty.
    pub provider: &'static str,
    /// Why it is missing or second best and how to get it; empty when there is nothing to say.
    pub reason: String,
}

/// Tries everything that `config` asks for on this machine and reports it; whatever was loaded and
/// attached for the trial is gone when this returns.
#[must_use]
pub fn probe(config: &CaptureConfig) -> Vec<Capability> {
    match Capture::start(config) {
        Ok(capture) => capture.capabilities(),
        Err(error) => crate::capture::nothing(&error.to_string()),
    }
}
