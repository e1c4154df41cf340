//! Actions are recorded before they are done; without a record nothing is done.

use axum::http::StatusCode;
use mesoscope_access::{Denied, Entry, Outcome};

use super::Api;
use super::error::ApiError;

impl Api {
    /// Records that it is about to be done, does it, and records how it went. Where the first
    /// record fails, nothing is done.
    pub(super) async fn audited<T>(
        &self,
        entry: Entry,
        action: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        self.record(entry.clone()).await?;
        let done = action.await;
        let outcome = match &done {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.reason().to_owned()),
        };
        if self.record(entry.with_outcome(outcome)).await.is_err() {
            tracing::error!("how an action went is missing in the audit; that it began is in it");
        }
        done
    }

    /// Records one entry; 507 where it can't be.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), ApiError> {
        let audit = self.audit.clone();
        // It waits for the disk.
        let recorded = tokio::task::spawn_blocking(move || audit.record(entry)).await;
        let error = match recorded {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        };
        tracing::error!(error, "the audit can't be written: an action was refused");
        Err(ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!("the audit can't be written ({error}), and nothing is done without it"),
            "nothing was changed; make room for --data-dir or repair it, and try again",
        ))
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, &denied, denied.hint())
    }
}
