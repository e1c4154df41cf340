//! Actions are recorded before they are done; without a record nothing is done. And
//! `/api/v1/audit`, for admins.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesoscope_access::{AuditError, Denied, Entry, Identity, Outcome, Recorded, Role};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};

/// Pieces of an export that wait for the client.
const PIECES_MAX: usize = 4;
const PIECE_BYTES: usize = 64 << 10;

/// Entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntries)]
pub(super) struct List {
    entries: Vec<Recorded>,
    cursor: Option<String>,
    /// Whether entries survive a restart.
    kept: bool,
}

/// What was done by whom, newest first.
///
/// Needs the role admin.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", operation_id = "list_audit",
    params(parameters::Page),
    responses(
        (status = 200, description = "Entries", body = List),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 500, description = "The audit can't be read"),
        (status = 503, description = "Others are reading it"),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<List>, ApiError> {
    identity.require(Role::Admin)?;
    let (limit, cursor) = query::page(&pairs)?;
    let before = cursor.map(|cursor| cursor.parse());
    let before = before
        .transpose()
        .map_err(|_| ApiError::bad_request("the cursor is of no answer", "cursor=ID"))?;
    let _turn = turn(&api)?;
    let audit = api.audit.clone();
    let page = tokio::task::spawn_blocking(move || audit.read(before, limit)).await;
    let page = page.map_err(unreadable)?.map_err(unreadable)?;
    Ok(Json(List {
        entries: page.entries,
        cursor: page.cursor.map(|id| id.to_string()),
        kept: api.audit.is_kept(),
    }))
}

/// The whole audit, oldest first, as JSON lines.
///
/// Needs the role admin.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "access", operation_id = "export_audit",
    responses(
        (status = 200, description = "An entry a line", body = String,
            content_type = "application/x-ndjson"),
        (status = 503, description = "Others are reading it"),
    ))]
pub(super) async fn export(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, ApiError> {
    identity.require(Role::Admin)?;
    let turn = turn(&api)?;
    let audit = api.audit.clone();
    let (sender, receiver) = mpsc::channel::<Result<Bytes, AuditError>>(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut piece = String::new();
        let exported = audit.export(|line| {
            piece.push_str(&line);
            if piece.len() < PIECE_BYTES {
                return true;
            }
            // An error: the client is gone.
            let full = std::mem::take(&mut piece);
            sender.blocking_send(Ok(full.into())).is_ok()
        });
        let _ = sender.blocking_send(exported.map(|()| piece.into()));
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"mesoscope-audit.jsonl\"",
        ),
    ];
    let body = Body::from_stream(ReceiverStream::new(receiver).fuse());
    Ok((headers, body).into_response())
}

fn turn(api: &Api) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    api.audit_readers.clone().try_acquire_owned().map_err(|_| {
        let error = "others are reading the audit";
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error,
            "try again in a moment",
        )
    })
}

fn unreadable(error: impl ToString) -> ApiError {
    let hint = "look at the folder audit/ in --data-dir";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error, hint)
}

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
        let entry = entry.with_outcome(outcome);
        self.webhooks.acted(&entry);
        self.note(entry).await;
        done
    }

    /// Records one entry; 507 where it can't be, and then what it tells of must not be done.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), ApiError> {
        self.write_down(entry).await.map_err(|error| {
            tracing::error!(error, "an action was refused: the audit can't be written");
            ApiError::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!("the audit can't be written ({error}), and nothing is done without it"),
                "nothing was changed; make room for --data-dir or repair it, and try again",
            )
        })
    }

    /// Records what has happened already, or what changes nothing; the log tells where it can't.
    pub(super) async fn note(&self, entry: Entry) {
        if let Err(error) = self.write_down(entry).await {
            tracing::error!(error, "an entry is missing in the audit");
        }
    }

    async fn write_down(&self, entry: Entry) -> Result<(), String> {
        let audit = self.audit.clone();
        // It waits for the disk.
        let recorded = tokio::task::spawn_blocking(move || audit.record(entry)).await;
        let error = match recorded {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        };
        self.metrics.audit_errors.inc();
        Err(error)
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, &denied, denied.hint())
    }
}
