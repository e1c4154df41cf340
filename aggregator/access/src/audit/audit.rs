//! The audit.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::{Entry, Recorded};
use super::files::Files;

/// How long entries are kept.
pub const KEEP_DEFAULT: Duration = Duration::from_hours(365 * 24);
/// Entries that are kept where there is no folder for them.
const MEMORY_ENTRIES_MAX: usize = 10_000;

/// An entry that was not recorded: what it tells of must not be done.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}", path = path.display())]
pub struct AuditError {
    pub(super) doing: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// Entries, newest first, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Recorded>,
    /// The id below which there may be more.
    pub cursor: Option<u64>,
}

/// What was done, by whom. Shared by all who act; everything here but [`Audit::is_kept`] blocks
/// for the disk.
#[derive(Debug)]
pub struct Audit {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Files(Mutex<Files>),
    Memory(Mutex<(u64, VecDeque<Recorded>)>),
}

impl Audit {
    /// In `audit/` under this folder; entries older than `keep` go with their file. A folder that
    /// can't be written to is no error here: every [`Audit::record`] tries again, and fails.
    #[must_use]
    pub fn open(data_dir: &Path, keep: Duration) -> Self {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let mut files = Files::new(data_dir.join("audit"), keep_ms);
        if let Err(error) = files.prepare(now_ms()) {
            tracing::error!(%error, "the audit can't be written: control is refused until it can");
        }
        Self {
            sink: Sink::Files(Mutex::new(files)),
        }
    }

    /// Without a folder: the last 10,000 entries in memory, each in the log as well.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            sink: Sink::Memory(Mutex::new((1, VecDeque::new()))),
        }
    }

    /// Whether entries survive a restart.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.sink, Sink::Files(_))
    }

    /// Records an entry and returns once it is on the disk. Names longer than 1 KiB are cut and
    /// parameters larger than 16 KiB left out.
    ///
    /// # Errors
    /// [`AuditError`] when it is not on the disk: then the action is refused.
    pub fn record(&self, entry: Entry) -> Result<(), AuditError> {
        let entry = entry.bounded();
        tracing::info!(
            target: "audit",
            who = entry.who,
            how = ?entry.how,
            from = ?entry.from,
            action = entry.action,
            on = entry.target,
            parameters = %entry.parameters,
            outcome = ?entry.outcome,
            "audit"
        );
        let unix_ms = now_ms();
        match &self.sink {
            Sink::Files(files) => lock(files).append(entry, unix_ms),
            Sink::Memory(memory) => {
                let (next_id, entries) = &mut *lock(memory);
                if entries.len() == MEMORY_ENTRIES_MAX {
                    entries.pop_front();
                }
                let id = *next_id;
                *next_id += 1;
                entries.push_back(Recorded { id, unix_ms, entry });
                Ok(())
            }
        }
    }

    /// The newest entries with an id below `before`, newest first.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(&self, before: Option<u64>, limit: usize) -> Result<Page, AuditError> {
        let before = before.unwrap_or(u64::MAX);
        let entries = match &self.sink {
            Sink::Files(files) => {
                let paths = lock(files).paths()?;
                Files::newest(&paths, before, limit)?
            }
            Sink::Memory(memory) => {
                let (_, entries) = &*lock(memory);
                let below = entries.iter().rev().filter(|entry| entry.id < before);
                below.take(limit).cloned().collect()
            }
        };
        let cursor = (entries.len() == limit)
            .then(|| entries.last().map(|entry| entry.id))
            .flatten();
        Ok(Page { entries, cursor })
    }

    /// All lines, oldest first, each with its end, given to `take` until it returns false.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn export(&self, mut take: impl FnMut(String) -> bool) -> Result<(), AuditError> {
        match &self.sink {
            Sink::Files(files) => {
                let paths = lock(files).paths()?;
                Files::lines(&paths, take)
            }
            Sink::Memory(memory) => {
                let entries: Vec<_> = lock(memory).1.iter().map(Recorded::line).collect();
                let _ = entries.into_iter().all(&mut take);
                Ok(())
            }
        }
    }

    /// Removes files whose last entry is older than what is kept.
    ///
    /// # Errors
    /// When one can't be removed.
    pub fn clean(&self) -> Result<(), AuditError> {
        match &self.sink {
            Sink::Files(files) => lock(files).clean(now_ms()),
            Sink::Memory(_) => Ok(()),
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
