//! What can be wrong with the settings and their file.

use std::io;
use std::path::PathBuf;

use super::settings::{AGENTS_MAX, CONTAINERS_MAX};
use crate::tier2::Refused;

/// The file can't be used. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder or the file can't be written to.
    #[error("{path} can't be written to: {source}")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another aggregator has it.
    #[error(
        "{path} is in use by another aggregator: end that one, or give this one a --data-dir of its own"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error(
        "{path} is not a file of the aggregator's settings ({found}): name another folder with \
         --data-dir, or move the file away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: String,
    },
    /// It was written by a newer version.
    #[error(
        "{path} has format {format} and this version reads format {known}: start the version that \
         wrote it, or move the file away to begin without settings"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// Ours.
        known: u64,
    },
    /// It is damaged.
    #[error("{path} is damaged ({reason}): restore it, or move it away to begin without settings")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Anything else that went wrong between us and the disk.
    #[error("{doing} {path}: {reason}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A change of the settings that was not made; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The request makes no sense now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The bound on agents with settings.
    #[error("{AGENTS_MAX} agents have settings already, the most that are kept")]
    TooManyAgents,
    /// The bound on containers with settings.
    #[error("tier 2 is on for {CONTAINERS_MAX} single containers already, the most that are kept")]
    TooManyContainers,
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
