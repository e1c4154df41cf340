//! A capture and what it has told.

use std::time::{Duration, Instant};

use mesoscope_capture::{Capture, CaptureConfig, Event, EventKind, RecordKind, Rung};

use super::because;

/// Longest wait for events that must come: a virtual machine without acceleration is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running capture.
pub struct Session {
    /// The capture.
    pub capture: Capture,
    /// All events so far.
    pub events: Vec<Event>,
}

impl Session {
    /// With the defaults and no cap.
    pub fn start() -> Result<Self, String> {
        Self::with(&CaptureConfig {
            events_per_second_per_cgroup: 0,
            ..CaptureConfig::default()
        })
    }

    /// With a configuration. Fails when a capability is missing that this machine should have.
    pub fn with(config: &CaptureConfig) -> Result<Self, String> {
        let capture = Capture::start(config).map_err(because("starting the capture"))?;
        let lower = config.rung < Rung::Btf;
        for name in [
            "process-events",
            "tcp-events",
            "connect-pid",
            "bind-pid",
            "cgroup-events",
            "socket-snapshot",
        ] {
            if lower && name == "socket-snapshot" {
                continue;
            }
            let capability = capture
                .capabilities()
                .into_iter()
                .find(|capability| capability.name == name);
            match capability {
                Some(capability) if capability.available => {}
                Some(capability) => {
                    return Err(format!("{name} is not available: {}", capability.reason));
                }
                None => return Err(format!("{name} is not told of")),
            }
        }
        Ok(Self {
            capture,
            events: Vec::new(),
        })
    }

    /// Takes what is waiting.
    pub fn drain(&mut self) {
        let events = &mut self.events;
        while self.capture.drain(&mut |event| events.push(event)) > 0 {}
    }

    /// Waits for an event and gives what `pick` made of it.
    pub fn wait<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&EventKind) -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            self.drain();
            if let Some(found) = self.events[seen..]
                .iter()
                .find_map(|event| pick(&event.kind))
            {
                return Ok(found);
            }
            seen = self.events.len();
            if Instant::now() > end {
                return Err(format!(
                    "no event: {what}; {} events in all, lost {:?}",
                    self.events.len(),
                    self.lost()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All events so far that `pick` takes.
    pub fn all<T>(&self, pick: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
        self.events
            .iter()
            .filter_map(|event| pick(&event.kind))
            .collect()
    }

    /// Records that the kernel could not deliver.
    pub fn lost(&mut self) -> u64 {
        self.capture
            .stats()
            .losses
            .lost
            .iter()
            .map(|(_, count)| count)
            .sum()
    }

    /// Lost records of one kind.
    pub fn lost_of(&mut self, kind: RecordKind) -> u64 {
        self.capture
            .stats()
            .losses
            .lost
            .iter()
            .filter(|(lost, _)| *lost == kind)
            .map(|(_, count)| count)
            .sum()
    }
}
