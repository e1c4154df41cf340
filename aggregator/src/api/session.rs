//! Signing in and out: `/api/v1/session`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesoscope_access::credentials::{Authorization, COOKIE};
use mesoscope_access::sessions::SESSION_MS_MAX;
use mesoscope_access::{How, Identity, Outcome};
use mesoscope_service::listen::Peer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, access};

const HINT: &str = "{\"name\": \"...\", \"password\": \"...\"} or {\"token\": \"...\"}";

/// A token, or a name and a password.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignIn)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Shown {
    Token { token: String },
    Password { name: String, password: String },
}

/// Who somebody is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    how: How,
    /// Whether there is anything to sign in with.
    sign_in: bool,
    /// By a session, which can be ended.
    session: bool,
}

impl Whoami {
    fn of(identity: &Identity, session: bool, api: &Api) -> Self {
        Self {
            name: identity.name.clone(),
            role: identity.role.name(),
            how: identity.how,
            sign_in: api.sign_in.is_required(),
            session,
        }
    }
}

/// Who the request comes from.
#[utoipa::path(get, path = "/api/v1/session", tag = "access",
    responses((status = 200, description = "Who it is", body = Whoami)))]
pub(super) async fn whoami(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Json<Whoami> {
    // The order in which it is looked at who somebody is.
    let session = api.sign_in.is_required()
        && !headers.contains_key(header::AUTHORIZATION)
        && identity.how != How::Certificate
        && access::session(&headers).is_some();
    Json(Whoami::of(&identity, session, &api))
}

/// Begins a session, kept in a cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "access", operation_id = "begin_session",
    request_body = Shown,
    responses(
        (status = 200, description = "Who it is; the cookie is set", body = Whoami,
            headers(("set-cookie" = String, description = "The session"))),
        (status = 400, description = "Not JSON"),
        (status = 401, description = "What was shown opens nothing"),
        (status = 409, description = "Nobody has to sign in here"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 429, description = "Too many failed sign-ins",
            headers(("retry-after" = u64, description = "Seconds to wait"))),
    ))]
pub(super) async fn begin(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Json<Shown>, JsonRejection>,
) -> Result<Response, ApiError> {
    // The rejection's text would repeat the body.
    let Json(shown) =
        body.map_err(|error| ApiError::new(error.status(), "this is no sign-in", HINT))?;
    if !api.sign_in.is_required() {
        let error = "nobody has to sign in here";
        let hint = "docs/security.md tells how a sign-in is configured";
        return Err(ApiError::new(StatusCode::CONFLICT, error, hint));
    }
    let authorization = match shown {
        Shown::Token { token } => Authorization::Token(token),
        Shown::Password { name, password } => Authorization::Password { name, password },
    };
    let from = peer.address.ip().to_canonical();
    let now_ms = api.core.now_ms();
    let who = match api.sign_in.shown(authorization, from, now_ms).await {
        Ok(who) => who,
        Err(refused) => return Ok(access::answer(&api, refused, &headers)),
    };
    let identity = Identity {
        from: Some(from),
        ..Identity::from(who.clone())
    };
    api.note(
        identity
            .entry("session.begin", "")
            .with_outcome(Outcome::Done),
    )
    .await;
    let secret = api.sign_in.gate.begin_session(who, now_ms);
    let cookie = cookie(&secret, SESSION_MS_MAX / 1_000, peer.tls);
    let told = Json(Whoami::of(&identity, true, &api));
    Ok(([(header::SET_COOKIE, cookie)], told).into_response())
}

/// Ends the session of the cookie.
#[utoipa::path(delete, path = "/api/v1/session", tag = "access", operation_id = "end_session",
    responses((status = 204, description = "It has ended")))]
pub(super) async fn end(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Response {
    let ended = access::session(&headers).and_then(|secret| api.sign_in.gate.end_session(&secret));
    if ended.is_some() {
        api.note(
            identity
                .entry("session.end", "")
                .with_outcome(Outcome::Done),
        )
        .await;
    }
    let cookie = cookie("", 0, peer.tls);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

pub(super) fn cookie(secret: &str, lives_s: u64, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Max-Age={lives_s}; HttpOnly; SameSite=Strict; Path=/{secure}")
}
