//! The capture itself: what is attached, and reading from it.

use std::os::fd::{AsRawFd, RawFd};

use crate::{Capability, CaptureConfig, CaptureError, CaptureStats, Event, Socket, Tier2};

/// Kernel programs at work. Dropping it detaches everything.
pub struct Capture {
    capabilities: Vec<Capability>,
    idle: rustix::fd::OwnedFd,
}

pub(crate) fn nothing(reason: &str) -> Vec<Capability> {
    ["process-events", "tcp-events", "connect-pid", "bind-pid", "socket-snapshot", "cgroup-events", "udp-bytes", "protocol-recognition"]
        .map(|name| Capability { name, available: false, provider: "", reason: reason.to_owned() })
        .into()
}

impl Capture {
    /// Attaches everything that this machine allows. Missing parts are lower rungs with a reason in
    /// [`Capture::capabilities`], not errors.
    ///
    /// # Errors
    /// Only when the configuration can not work anywhere.
    pub fn start(config: &CaptureConfig) -> Result<Self, CaptureError> {
        if !config.ring_bytes.is_power_of_two() || config.ring_bytes < 4096 {
            return Err(CaptureError::Config(format!("ring_bytes is {}: must be a power of two of at least 4096", config.ring_bytes)));
        }
        let idle = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(|error| CaptureError::Kernel { doing: "making an eventfd".into(), detail: error.to_string() })?;
        Ok(Self { capabilities: nothing("built without kernel programs: run cargo xtask build-ebpf"), idle })
    }

    /// What is available, how, and why the rest is not.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        self.capabilities.clone()
    }

    /// Hands over every event that is waiting, oldest first, and returns how many there were.
    pub fn drain(&mut self, each: &mut dyn FnMut(Event)) -> usize {
        let _ = each;
        0
    }

    /// One pass over all sockets of all network namespaces, TCP and UDP, with owner and live counters.
    ///
    /// # Errors
    /// When the iterator is not available here, or the kernel fails it.
    pub fn sockets(&mut self) -> Result<Vec<Socket>, CaptureError> {
        Err(CaptureError::NoSnapshot("built without kernel programs: run cargo xtask build-ebpf".into()))
    }

    /// Counters since the start.
    pub fn stats(&mut self) -> CaptureStats {
        CaptureStats::default()
    }

    /// Attaches or detaches the per-packet hooks; what could not be attached is named in
    /// [`Capture::capabilities`] afterwards. Cheap enough (~50 µs) for duty-cycling.
    ///
    /// # Errors
    /// When nothing of what was asked for could be attached. What was attached before stays then.
    pub fn set_tier2(&mut self, tier2: Tier2) -> Result<(), CaptureError> {
        let _ = tier2;
        Ok(())
    }

    /// Changes the per-cgroup cap on events per second; 0 for no cap.
    ///
    /// # Errors
    /// When the kernel refuses the update of the map.
    pub fn set_event_rate_cap(&mut self, events_per_second: u32) -> Result<(), CaptureError> {
        let _ = events_per_second;
        Ok(())
    }
}

impl AsRawFd for Capture {
    /// Readable once a quarter of the ring is full, so that a burst is drained before the timer.
    fn as_raw_fd(&self) -> RawFd {
        self.idle.as_raw_fd()
    }
}
