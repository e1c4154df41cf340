//! Reporters: programs that tell of a node by JSON, in place of an agent's stream. They show what
//! agents show.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use mesoscope_access::credentials::Authorization;
use mesoscope_access::secret::SecretDigest;
use mesoscope_proto::v1::{Configure, Hello};
use mesoscope_service::access::Admitted;
use mesoscope_service::listen::Peer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::{self, Refused};
use super::error::ApiError;
use crate::ingest::{
    ENTRIES_MAX, Holder, InvalidReport, REPORT_BYTES_MAX, REPORT_WITHIN, Report, ReporterRefused,
};

/// Reports taken in at the same time; each may need a few times its bytes.
pub(super) const REPORTS_MAX: usize = 4;
/// How long a report waits for its turn, and how long it may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
const BODY_PATIENCE: Duration = Duration::from_secs(30);
const REGISTER_HINT: &str =
    "{\"agent_id\": \"...\", \"hostname\": \"...\", \"version\": \"...\", \"generation\": UNIX_NS}";
const REPORT_HINT: &str =
    "docs/api.md#reports tells what a report holds; nothing of it was taken in";

/// A reporter that says that it is there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// Of the node: 1 to 256 bytes without spaces, `;` and `>`.
    agent_id: String,
    /// Of the node; its id without it.
    #[serde(default)]
    hostname: String,
    /// Of the reporter.
    #[serde(default)]
    version: String,
    /// Grows with each start of the reporter: the start as Unix nanoseconds.
    #[serde(default)]
    generation: u64,
}

/// What is asked of a reporter, and what it may send.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReporterConfig {
    agent_id: String,
    /// What operators asked of it; null: nothing.
    settings: Option<Configure>,
    /// It reports or sends a heartbeat at least so often, else it is away.
    report_within_s: u64,
    /// Bytes of a report at most.
    report_bytes_max: usize,
    /// Things in a report at most.
    entries_max: usize,
}

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// Things that were taken in.
    entries: usize,
}

/// The middleware: agents' tokens and certificates open these routes, and nothing else does.
pub(super) async fn identify(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match holder(&api, &request, &peer) {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Err(refused) => access::answer(&api, refused, request.headers()),
    }
}

fn holder(api: &Api, request: &Request, peer: &Peer) -> Result<Holder, Refused> {
    if !api.reporters.is_required() {
        return Ok(Holder::Anyone);
    }
    if let Ok(Admitted::Certificate(digest)) = api.reporters.admit(None, Some(peer)) {
        return Ok(Holder::Certificate(digest));
    }
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.ok_or(Refused::Missing)?;
    let shown = header.to_str().ok().and_then(Authorization::parse);
    if let Some(
        Authorization::Token(token)
        | Authorization::Password {
            password: token, ..
        },
    ) = shown
    {
        let digest = SecretDigest::of(&token);
        if api.reporters.knows(digest.bytes()) {
            return Ok(Holder::Token(digest));
        }
    }
    let (from, now_ms) = (peer.address.ip().to_canonical(), api.core.now_ms());
    if let Some(wait_ms) = api.sign_in.gate.wait_ms(from, now_ms) {
        return Err(Refused::TooOften { wait_ms });
    }
    api.sign_in.gate.failed(from, now_ms);
    tracing::warn!(%from, "a reporter was not let in");
    Err(Refused::Wrong)
}

/// A reporter says that it is there. A report does, too.
#[utoipa::path(post, path = "/api/v1/agents/register", tag = "agents",
    operation_id = "register_reporter",
    request_body = Registration,
    responses(
        (status = 200, description = "It is known", body = ReporterConfig),
        (status = 400, description = "Not JSON, or an id or name that can't be one"),
        (status = 409, description = "An agent with this id is connected, it is another's, or a newer generation is there"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 507, description = "No more agents fit"),
    ))]
pub(super) async fn register(
    State(api): State<Api>,
    Extension(holder): Extension<Holder>,
    body: Result<Json<Registration>, JsonRejection>,
) -> Result<Json<ReporterConfig>, ApiError> {
    let Json(asked) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), REGISTER_HINT))?;
    let hello = Hello {
        agent_id: asked.agent_id,
        hostname: asked.hostname,
        version: asked.version,
        generation: asked.generation,
        ..Hello::default()
    };
    api.registry
        .register(&hello, &holder, |known| api.still_holds(known))?;
    Ok(Json(api.config_of(hello.agent_id)))
}

/// A reporter is still there, and nothing has changed.
#[utoipa::path(post, path = "/api/v1/agents/heartbeat/{agent_id}", tag = "agents",
    operation_id = "reporter_heartbeat",
    params(("agent_id" = String, Path, description = "The reporter's")),
    responses(
        (status = 204, description = "It was heard"),
        (status = 404, description = "It is not registered, or was silent for too long: report again"),
        (status = 409, description = "An agent with this id is connected, or it is another's"),
    ))]
pub(super) async fn heartbeat(
    State(api): State<Api>,
    Path(agent_id): Path<String>,
    Extension(holder): Extension<Holder>,
) -> Result<StatusCode, ApiError> {
    api.registry.beat(&agent_id, &holder)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What operators asked of an agent or reporter, and what a reporter may send.
#[utoipa::path(get, path = "/api/v1/agents/config/{agent_id}", tag = "agents",
    operation_id = "reporter_config",
    params(("agent_id" = String, Path, description = "The reporter's")),
    responses(
        (status = 200, description = "What is asked of it", body = ReporterConfig),
        (status = 404, description = "No such agent is known"),
    ))]
pub(super) async fn config(
    State(api): State<Api>,
    Path(agent_id): Path<String>,
) -> Result<Json<ReporterConfig>, ApiError> {
    if api.core.read().find_agent(&agent_id).is_none() {
        let error = format!("no agent {agent_id:?} is known");
        return Err(ApiError::not_found(error, "register it, or report"));
    }
    Ok(Json(api.config_of(agent_id)))
}

/// All that a reporter knows of its node.
///
/// It says the same as an agent's snapshot: what was in the report before and is not in this one is
/// gone. What is malformed is refused as a whole. Enumerations are numbers or words (`tcp`).
#[utoipa::path(post, path = "/api/v1/reports", tag = "agents", operation_id = "report",
    request_body = Report,
    responses(
        (status = 200, description = "It is on the map", body = Taken),
        (status = 400, description = "Not a report, or something in it can't be on the map; the error names its place"),
        (status = 408, description = "It did not come in time"),
        (status = 409, description = "An agent with this id is connected, it is another's, or a newer generation is there"),
        (status = 413, description = "More bytes than a report may have"),
        (status = 503, description = "Others are taken in"),
        (status = 507, description = "No more agents fit"),
    ))]
pub(super) async fn report(
    State(api): State<Api>,
    Extension(holder): Extension<Holder>,
    body: Body,
) -> Result<Json<Taken>, ApiError> {
    let turn = tokio::time::timeout(PATIENCE, api.reports.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let error = format!("{REPORTS_MAX} reports are taken in already");
        let hint = "try again in a few seconds";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, hint));
    };
    let whole = axum::body::to_bytes(body, REPORT_BYTES_MAX);
    let json = tokio::time::timeout(BODY_PATIENCE, whole).await;
    let json = json
        .map_err(|_| {
            let error = "the report did not come in time";
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                error,
                "send it faster, or less",
            )
        })?
        .map_err(|_| {
            let error = format!("a report has at most {REPORT_BYTES_MAX} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error, REPORT_HINT)
        })?;
    let taking = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let report = Report::parse(&json).inspect_err(|_| {
            let refused = &api.metrics.ingest.refused;
            refused.with_label_values(&["report"]).inc();
        })?;
        let entries = report.len();
        api.registry
            .report(report, &holder, |known| api.still_holds(known))?;
        Ok::<_, ApiError>(Taken { entries })
    });
    let taken = taking.await.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
    })?;
    taken.map(Json)
}

impl Api {
    /// Whether who was let in would still be: tokens leave their file.
    fn still_holds(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Token(digest) => self.reporters.knows(digest.bytes()),
            Holder::Anyone => !self.reporters.is_required(),
            Holder::Certificate(_) => true,
        }
    }

    fn config_of(&self, agent_id: String) -> ReporterConfig {
        ReporterConfig {
            settings: self.settings.of(&agent_id).map(Into::into),
            agent_id,
            report_within_s: REPORT_WITHIN.as_secs(),
            report_bytes_max: REPORT_BYTES_MAX,
            entries_max: ENTRIES_MAX,
        }
    }

    /// Reports that are taken in, and how many may be.
    pub(super) fn reports_fill(&self) -> (usize, usize) {
        let free = self.reports.available_permits();
        (REPORTS_MAX.saturating_sub(free), REPORTS_MAX)
    }
}

impl From<InvalidReport> for ApiError {
    fn from(invalid: InvalidReport) -> Self {
        Self::bad_request(invalid, REPORT_HINT)
    }
}

impl From<ReporterRefused> for ApiError {
    fn from(refused: ReporterRefused) -> Self {
        let (status, hint) = match &refused {
            ReporterRefused::Agent(_) => {
                (StatusCode::CONFLICT, "give the reporter an id of its own")
            }
            ReporterRefused::Other(_) => (
                StatusCode::CONFLICT,
                "give the reporter an id of its own, or the token that it had",
            ),
            ReporterRefused::Older(_) => (
                StatusCode::CONFLICT,
                "two reporters may share an id; the generation is the time of the start",
            ),
            ReporterRefused::Unknown(_) => (StatusCode::NOT_FOUND, "register it, or report"),
            ReporterRefused::Malformed(_) => (StatusCode::BAD_REQUEST, REPORT_HINT),
            ReporterRefused::Full(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "agents that are gone are forgotten after --max-data-age",
            ),
        };
        Self::new(status, &refused, hint)
    }
}
