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

/// An error with its causes, each said once: the libraries' own texts hide "permission denied".
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let netlink = Error::Netlink {
            doing: "open a socket",
            source: denied(),
        };
        let said = with_causes(&netlink);
        assert_eq!(said.matches("permission denied").count(), 1, "{said}");

        #[derive(Debug, thiserror::Error)]
        #[error("transport error")]
        struct Opaque(#[source] io::Error);
        let said = with_causes(&Opaque(denied()));
        assert_eq!(said, "transport error: permission denied");
    }
}
