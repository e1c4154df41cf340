//! Errors as `{"error": "...", "hint": "..."}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::Code;
use utoipa::ToSchema;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Body,
}

/// What was wrong, with what, and what to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct Body {
    /// What was wrong, with what.
    error: String,
    /// What to do.
    hint: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl ToString, hint: impl ToString) -> Self {
        let (error, hint) = (error.to_string(), hint.to_string());
        Self {
            status,
            body: Body { error, hint },
        }
    }

    pub(super) fn bad_request(error: impl ToString, hint: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    pub(super) fn not_found(error: impl ToString, hint: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, hint)
    }

    /// How it is answered.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What to do.
    pub(super) fn hint(&self) -> &str {
        &self.body.hint
    }

    /// What was wrong, without the hint.
    pub(super) fn reason(&self) -> &str {
        &self.body.error
    }

    /// The same for gRPC: what was wrong, and what to do.
    pub(super) fn grpc(&self) -> tonic::Status {
        let code = match self.status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::SERVICE_UNAVAILABLE => Code::ResourceExhausted,
            _ => Code::Internal,
        };
        tonic::Status::new(code, format!("{}; {}", self.body.error, self.body.hint))
    }

    /// The same as the text of a WebSocket message.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.body).unwrap_or_default()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
