//! Signing in by a provider: `/api/v1/session/oidc`, and what one may sign in with at all.

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use mesoscope_access::sessions::{Credential, SESSION_MS_MAX, SignedIn};
use mesoscope_access::{How, Identity, Outcome, credentials};
use mesoscope_service::listen::Peer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::access::{self, Refused};
use super::error::ApiError;
use super::{Api, session};
use crate::oidc::{ATTEMPT_MS_MAX, CALLBACK, Person, Provider, ProviderError};

/// Name of the cookie of a sign-in under way.
const COOKIE: &str = "mesoscope_sign_in";

/// What one may sign in with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignInWays)]
pub(super) struct Ways {
    /// Whether everyone has to sign in.
    required: bool,
    /// Name and password.
    passwords: bool,
    /// What the provider is called, where there is one.
    provider: Option<String>,
}

/// What one may sign in with here. Tokens always open what they are for.
#[utoipa::path(get, path = "/api/v1/session/ways", tag = "access", operation_id = "sign_in_ways",
    responses((status = 200, description = "The ways", body = Ways)))]
pub(super) async fn ways(State(api): State<Api>) -> Json<Ways> {
    let sign_in = &api.sign_in;
    Json(Ways {
        required: sign_in.is_required(),
        passwords: sign_in.gate.users.is_some(),
        provider: sign_in.provider().map(|one| one.name().to_owned()),
    })
}

/// Where the browser is to go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignInBegun)]
pub(super) struct Begun {
    /// The provider's page.
    location: String,
}

/// Begins a sign-in by the provider, tied to this browser by a cookie.
#[utoipa::path(post, path = "/api/v1/session/oidc", tag = "access", operation_id = "begin_provider_sign_in",
    responses(
        (status = 200, description = "Where the browser is to go; the cookie is set", body = Begun,
            headers(("set-cookie" = String, description = "Ties what comes back to this browser"))),
        (status = 409, description = "No provider is configured"),
        (status = 429, description = "Too many failed sign-ins",
            headers(("retry-after" = u64, description = "Seconds to wait"))),
        (status = 502, description = "The provider can't be asked; other ways of signing in go on"),
    ))]
pub(super) async fn begin(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let provider = provider(&api)?;
    let now_ms = api.core.now_ms();
    let from = peer.address.ip().to_canonical();
    if let Some(wait_ms) = api.sign_in.gate.wait_ms(from, now_ms) {
        return Ok(access::answer(
            &api,
            Refused::TooOften { wait_ms },
            &headers,
        ));
    }
    let (location, attempt) = provider.begin(now_ms).await.map_err(|error| {
        let hint = "sign in another way, or try again later; the aggregator's log says more";
        let error = format!("{} does not answer as it should", provider.name())
            + if matches!(error, ProviderError::Unreachable(_)) {
                ""
            } else {
                ", and the sign-in did not begin"
            };
        ApiError::new(StatusCode::BAD_GATEWAY, error, hint)
    })?;
    let lives_s = ATTEMPT_MS_MAX / 1_000;
    let cookie = cookie(&attempt.cookie, lives_s, peer.tls || provider.is_secure());
    Ok(([(header::SET_COOKIE, cookie)], Json(Begun { location })).into_response())
}

/// What the provider sends the browser back with.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct Back {
    /// What ties it to the sign-in that was begun.
    state: String,
    /// What stands for the person.
    code: String,
    /// Why there is no code.
    error: String,
    /// Who says so (RFC 9207).
    iss: Option<String>,
}

/// Ends a sign-in by the provider: the browser goes on to the page, which says what went wrong.
#[utoipa::path(get, path = "/api/v1/session/oidc/callback", tag = "access",
    operation_id = "end_provider_sign_in", params(Back),
    responses(
        (status = 303, description = "On to the page, signed in or with the reason",
            headers(("location" = String, description = "The page"),
                ("set-cookie" = String, description = "The session"))),
        (status = 400, description = "A parameter is there twice"),
        (status = 409, description = "No provider is configured"),
    ))]
pub(super) async fn callback(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    back: Result<Query<Back>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    // The rejection's text would repeat the query.
    let hint = "begin again at the page";
    let Query(back) = back.map_err(|_| ApiError::bad_request("this is no sign-in", hint))?;
    let provider = provider(&api)?;
    let from = peer.address.ip().to_canonical();
    let now_ms = api.core.now_ms();
    let secure = peer.tls || provider.is_secure();
    let over = cookie("", 0, secure);
    if api.sign_in.gate.wait_ms(from, now_ms).is_some() {
        return Ok(to_page(Some("throttled"), [over].into()));
    }
    let person = match person(provider, &back, &headers, now_ms).await {
        Ok(person) => person,
        Err(error) => {
            tracing::warn!(%from, %error, "a sign-in failed");
            if !matches!(error, ProviderError::Unreachable(_) | ProviderError::Busy) {
                api.sign_in.gate.failed(from, now_ms);
            }
            return Ok(to_page(Some(reason(&error)), [over].into()));
        }
    };
    let who = SignedIn {
        name: person.name,
        role: person.role,
        how: How::OpenidConnect,
        credential: Credential::Provider,
    };
    let identity = Identity {
        from: Some(from),
        ..Identity::from(who.clone())
    };
    let mut entry = identity.entry("session.begin", "");
    // Names change hands; a subject does not.
    entry.parameters = json!({ "issuer": provider.issuer(), "subject": person.subject });
    api.note(entry.with_outcome(Outcome::Done)).await;
    let secret = api.sign_in.gate.begin_session(who, now_ms);
    let session = session::cookie(&secret, SESSION_MS_MAX / 1_000, secure);
    Ok(to_page(None, [session, over].into()))
}

fn provider(api: &Api) -> Result<&Provider, ApiError> {
    api.sign_in.provider().ok_or_else(|| {
        let error = "no provider is configured";
        ApiError::new(
            StatusCode::CONFLICT,
            error,
            "docs/security.md tells how: --oidc-file",
        )
    })
}

async fn person(
    provider: &Provider,
    back: &Back,
    headers: &HeaderMap,
    now_ms: u64,
) -> Result<Person, ProviderError> {
    let kept = headers.get_all(header::COOKIE).iter();
    let kept = kept
        .filter_map(|value| credentials::cookie(value.to_str().ok()?, COOKIE))
        .next();
    let attempt = provider.attempt(kept.unwrap_or_default(), &back.state, now_ms)?;
    if back
        .iss
        .as_ref()
        .is_some_and(|iss| iss != provider.issuer())
    {
        return Err(ProviderError::Invalid("another issuer answered".to_owned()));
    }
    if !back.error.is_empty() {
        let said = back.error.chars().filter(|letter| !letter.is_control());
        return Err(ProviderError::Refused(said.take(100).collect()));
    }
    provider.finish(&attempt, &back.code, now_ms).await
}

/// What the page says, by a word that it knows: nothing of what others wrote stands in its address.
fn reason(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Unreachable(_) => "unreachable",
        ProviderError::Refused(_) => "refused",
        ProviderError::Invalid(_) => "invalid",
        ProviderError::NoRole { .. } => "no-role",
        ProviderError::Expired => "expired",
        ProviderError::Busy => "busy",
    }
}

fn to_page(problem: Option<&'static str>, cookies: Vec<String>) -> Response {
    let location = problem.map_or("/".to_owned(), |why| format!("/?sign-in={why}"));
    let cookies = cookies
        .iter()
        .filter_map(|cookie| HeaderValue::from_str(cookie).ok())
        .map(|cookie| (header::SET_COOKIE, cookie));
    let cookies = AppendHeaders(cookies.collect::<Vec<_>>());
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location)],
        cookies,
    )
        .into_response()
}

/// Lax: the browser comes from the provider's page with it.
fn cookie(value: &str, lives_s: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Max-Age={lives_s}; HttpOnly; SameSite=Lax; Path={CALLBACK}{secure}")
}
