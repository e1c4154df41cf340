//! Why something that people ask of a container was not done, whatever its engine.

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No engine of this node has such a container.
    #[error("no container engine of this node has a container {0}")]
    NotFound(String),
    /// The container has no such file.
    #[error("{0}")]
    NoFile(String),
    /// The container's state, or that of a file, does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// More than is carried.
    #[error("{0}")]
    TooLarge(String),
    /// The engine or a disk does not answer, or not in time.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}
