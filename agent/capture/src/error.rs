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

pub(crate) fn kernel(doing: &str, detail: impl Into<String>) -> CaptureError {
    CaptureError::Kernel {
        doing: doing.to_owned(),
        detail: detail.into(),
    }
}

/// An error with its causes on one line; of a verifier's log only the end says anything.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    const LOG: &str = "Verifier output:";
    const LOG_LINES: usize = 3;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    if let Some((said, log)) = text.split_once(LOG) {
        let statistics = ["processed ", "verification time", "stack depth"];
        let mut lines: Vec<&str> = log
            .lines()
            .rev()
            .filter(|line| {
                !line.trim().is_empty() && !statistics.iter().any(|word| line.starts_with(word))
            })
            .take(LOG_LINES)
            .collect();
        lines.reverse();
        text = match lines.join(" | ") {
            log if log.is_empty() => said.trim_end().to_owned(),
            log => format!("{said}{LOG} {log}"),
        };
    }
    text.replace('\n', " | ")
}
