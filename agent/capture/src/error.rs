//! Why a capture could not be had at all. What is merely missing is a [`crate::Capability`].

/// Errors of the capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The configuration can not work.
    #[error("capture configuration: {0}")]
    Config(String),
    /// A snapshot of all sockets was asked for, but the iterator is not loaded.
    #[error("socket snapshot is not available: {0}")]
    NoSnapshot(String),
    /// Reading the socket iterator failed.
    #[error("reading the socket snapshot: {0}")]
    Snapshot(#[source] std::io::Error),
    /// A kernel operation on a program or a map failed.
    #[error("{doing}: {detail}")]
    Kernel {
        /// What was being done.
        doing: String,
        /// What the kernel or the loader said.
        detail: String,
    },
}
