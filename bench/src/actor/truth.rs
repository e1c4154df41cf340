//! Where an actor writes down what it did.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Unix nanoseconds now.
pub fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// An append-only file of facts, shared by many processes.
pub struct Truth(File);

impl Truth {
    /// Opens the file at `path`, making it where it is not there yet.
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self(
            OpenOptions::new().create(true).append(true).open(path)?,
        ))
    }

    /// Writes one line.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes())
    }
}
