//! API tokens, for admins: `/api/v1/tokens`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use mesoscope_access::book::{TokensError, Wanted};
use mesoscope_access::token::Token;
use mesoscope_access::{Identity, Role};
use mesoscope_service::units::Duration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};

const HINT: &str =
    "{\"name\": \"ci\", \"role\": \"viewer|operator|admin\", \"expires_in\": \"90d\"}";

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: String,
    role: Role,
    /// A duration: `90d`.
    expires_in: String,
}

/// A new token with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedToken)]
pub(super) struct Created {
    #[serde(flatten)]
    token: Token,
    /// The text, to be shown as `Authorization: Bearer TEXT`.
    #[serde(rename = "token")]
    text: String,
}

/// Tokens by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct List {
    tokens: Vec<Token>,
    cursor: Option<String>,
}

/// API tokens without their texts; those that expired within 30 days included.
///
/// Needs the role admin.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", operation_id = "list_tokens",
    params(parameters::Page),
    responses(
        (status = 200, description = "Tokens", body = List),
        (status = 400, description = "A parameter that makes no sense"),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<List>, ApiError> {
    identity.require(Role::Admin)?;
    let (limit, after) = query::page(&pairs)?;
    let mut tokens = api.sign_in.gate.tokens.list();
    tokens.retain(|token| after.as_ref().is_none_or(|after| token.id > *after));
    let more = tokens.len() > limit;
    tokens.truncate(limit);
    let cursor = tokens.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(List { tokens, cursor }))
}

/// Makes a token; only this answer holds its text.
///
/// Needs the role admin.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", operation_id = "create_token",
    request_body = Asked,
    responses(
        (status = 201, description = "The token", body = Created),
        (status = 400, description = "A name, role or duration that makes no sense"),
        (status = 409, description = "There is no --data-dir to keep it"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 507, description = "Too many tokens, or no room on the disk"),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    identity.require(Role::Admin)?;
    let Json(asked) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    let lives = asked.expires_in.parse::<Duration>();
    let lives = lives.map_err(|_| {
        let error = format!("expires_in is no duration: {:?}", asked.expires_in);
        ApiError::bad_request(error, HINT)
    })?;
    let lives_ms = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
    let parameters = serde_json::json!({ "role": asked.role, "expires_in": asked.expires_in });
    let entry = identity
        .entry("token.create", &asked.name)
        .with_parameters(parameters);
    let created_by = identity.name.clone();
    let now_ms = api.core.now_ms();
    let making = api.with_tokens(move |api| {
        let wanted = Wanted {
            name: &asked.name,
            role: asked.role,
            created_by: &created_by,
            lives_ms,
        };
        api.sign_in.gate.tokens.create(wanted, now_ms)
    });
    let (token, text) = api.audited(entry, making).await?;
    let created = Created { token, text };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revokes a token: from now on it opens nothing.
///
/// Needs the role admin.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access", operation_id = "revoke_token",
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 204, description = "It opens nothing any more"),
        (status = 404, description = "There is no such token"),
        (status = 507, description = "No room on the disk"),
    ))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    identity.require(Role::Admin)?;
    let entry = identity.entry("token.revoke", &id);
    let revoking = api.with_tokens(move |api| api.sign_in.gate.tokens.revoke(&id));
    api.audited(entry, revoking).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Api {
    /// Does what waits for the disk.
    async fn with_tokens<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, TokensError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let api = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.map_err(|panicked| {
            let hint = "the aggregator's log says more; report this";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
        })?
        .map_err(|error| refusal(&error))
    }
}

fn refusal(error: &TokensError) -> ApiError {
    let (status, hint) = match error {
        TokensError::Name | TokensError::Life => (StatusCode::BAD_REQUEST, HINT),
        TokensError::Unknown(_) => (StatusCode::NOT_FOUND, "GET /api/v1/tokens lists them"),
        TokensError::NoFolder => (
            StatusCode::CONFLICT,
            "start the aggregator with a --data-dir that it can write to",
        ),
        TokensError::TooMany => (StatusCode::INSUFFICIENT_STORAGE, "revoke some first"),
        TokensError::Unwritable { .. } | TokensError::File { .. } => (
            StatusCode::INSUFFICIENT_STORAGE,
            "nothing was changed; make room for --data-dir or repair it, and try again",
        ),
    };
    ApiError::new(status, error, hint)
}
