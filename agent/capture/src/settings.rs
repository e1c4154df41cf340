//! What may change while the programs run.

use std::time::{Duration, Instant};

use aya::{Ebpf, maps::Array};
use mesoscope_events::settings::WINDOW_SHIFT;

use crate::{
    CaptureError,
    error::{chain, kernel},
};

/// How long connections from before tier 2 was turned on are looked at: one that is silent for longer
/// stays unrecognised.
const ADOPTION: Duration = Duration::from_mins(1);

/// The only element of the map `SETTINGS`, and what user space remembers about it.
#[derive(Default)]
pub struct LiveSettings {
    cap_per_window: u64,
    adopting_until: Option<Instant>,
}

impl LiveSettings {
    /// Sets the cap, given per second, as the programs want it: per window.
    ///
    /// # Errors
    /// When the kernel refuses the update.
    pub fn set_cap(&mut self, ebpf: &mut Ebpf, events_per_second: u32) -> Result<(), CaptureError> {
        self.cap_per_window =
            (u64::from(events_per_second) << WINDOW_SHIFT).div_ceil(1_000_000_000);
        self.write(ebpf, "setting the event-rate cap")
    }

    /// Hooks of tier 2 were attached: connections from before are looked at for a while.
    ///
    /// # Errors
    /// When the kernel refuses the update.
    pub fn adopt(&mut self, ebpf: &mut Ebpf) -> Result<(), CaptureError> {
        self.adopting_until = Some(Instant::now() + ADOPTION);
        self.write(ebpf, "having open connections recognised")
    }

    /// Ends the adoption when its time has come.
    ///
    /// # Errors
    /// When the kernel refuses the update.
    pub fn tick(&mut self, ebpf: &mut Ebpf) -> Result<(), CaptureError> {
        match self.adopting_until {
            Some(until) if until <= Instant::now() => {
                self.adopting_until = None;
                self.write(ebpf, "leaving open connections alone")
            }
            _ => Ok(()),
        }
    }

    fn write(&self, ebpf: &mut Ebpf, doing: &'static str) -> Result<(), CaptureError> {
        let map = ebpf
            .map_mut("SETTINGS")
            .ok_or_else(|| kernel(doing, "the object has no map SETTINGS"))?;
        let mut map =
            Array::<_, [u64; 2]>::try_from(map).map_err(|error| kernel(doing, chain(&error)))?;
        let adopting = u64::from(self.adopting_until.is_some());
        map.set(0, [self.cap_per_window, adopting], 0)
            .map_err(|error| kernel(doing, chain(&error)))
    }
}
