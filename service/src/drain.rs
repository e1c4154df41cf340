//! The end of a service: a signal becomes a cancellation that every task watches.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGINT or SIGTERM. A second signal ends the process at
/// once, for when a drain hangs.
///
/// # Errors
/// When the handlers can't be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let drain = token.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for second in [false, true] {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            if second {
                tracing::warn!(signal = name, "second signal: ending at once");
                std::process::exit(crate::exit::FAILURE);
            }
            tracing::info!(signal = name, "draining");
            drain.cancel();
        }
    });
    Ok(token)
}
