//! Why something could not be learned.

use std::io;
use std::path::PathBuf;

/// Why something could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the kernel's could not be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file was read, but does not have the form that the kernel documents.
    #[error("{} is not understood: {reason}", path.display())]
    Malformed {
        /// What was read.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A netlink socket could not be used.
    #[error("netlink: could not {doing}: {source}")]
    Netlink {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The node lacks what is needed; the message says how to get it.
    #[error("{what} is not available: {reason}")]
    Unavailable {
        /// What is missing.
        what: &'static str,
        /// Why, and what to do about it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }
}
