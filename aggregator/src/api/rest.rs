//! The REST handlers.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use mesoscope_proto::v1::{ListAgentsResponse, NodeDetails, TopologyDiff};
use mesoscope_service::listen::Posture;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::{Api, query};

type Pairs = Query<Vec<(String, String)>>;

/// `GET /health`: the process serves. Agents that are gone are no failure of the aggregator.
pub(super) async fn health(State(api): State<Api>) -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: (api.core.now_ms() - api.core.started_ms()) / 1_000,
    })
}

/// Body of `/health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
}

/// `GET /api/v1/ping`.
pub(super) async fn ping() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "pong": true }))
}

/// `GET /api/v1/status`: how this aggregator is set up.
pub(super) async fn status(State(api): State<Api>) -> Json<Status> {
    let agents = api.core.read().agents(api.core.now_ms());
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_unix_ms: api.core.started_ms(),
        tls: api.tls,
        authentication: api.sign_in.is_required(),
        insecure_listen: api.posture == Posture::Insecure,
        audit_kept: api.audit.is_kept(),
        settings_kept: api.settings.are_kept(),
        agents: agents.len(),
        agents_connected: agents.iter().filter(|agent| agent.connected).count(),
    })
}

/// Body of `/api/v1/status`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    started_unix_ms: u64,
    tls: bool,
    authentication: bool,
    insecure_listen: bool,
    audit_kept: bool,
    settings_kept: bool,
    agents: usize,
    agents_connected: usize,
}

/// `GET /api/topology?view=...`: a whole view.
pub(super) async fn topology(
    State(api): State<Api>,
    Query(pairs): Pairs,
) -> Result<Json<TopologyDiff>, ApiError> {
    let (kind, options) = query::view(&pairs)?;
    let snapshot = api.views.snapshot(kind, options).await;
    snapshot.map(Json).map_err(|full| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            full,
            "try again in a minute",
        )
    })
}

/// `GET /api/topology/{view}/{id}`: everything known of one node.
pub(super) async fn node(
    State(api): State<Api>,
    Path((view, id)): Path<(String, String)>,
    Query(pairs): Pairs,
) -> Result<Json<NodeDetails>, ApiError> {
    let kind = query::kind_of(&view)?;
    let mut environment = false;
    for (key, value) in pairs {
        environment = match (key.as_str(), value.as_str()) {
            ("environment", "true" | "1") => true,
            ("environment", "false" | "0") => false,
            _ => {
                let error = format!("unknown parameter {key}={value}");
                return Err(ApiError::bad_request(error, "environment=true|false"));
            }
        };
    }
    let node = api.node(kind, &id, environment);
    node.map(Json).ok_or_else(|| {
        let error = format!("the view {view} has no node {id:?}");
        ApiError::not_found(
            error,
            "ids change when what they name ends; GET /api/topology lists them",
        )
    })
}

/// `GET /api/v1/agents/list`.
pub(super) async fn agents(State(api): State<Api>) -> Json<ListAgentsResponse> {
    Json(ListAgentsResponse {
        agents: api.agents(),
    })
}

/// Body of a render-time report.
#[derive(Debug, Deserialize)]
pub(super) struct RenderTime {
    ms: f64,
}

/// `POST /api/v1/ui/render_time`: how long the page took to draw.
pub(super) async fn render_time(
    State(api): State<Api>,
    body: Result<Json<RenderTime>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let hint = "{\"ms\": 12.5}";
    let Json(told) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), hint))?;
    if !(0.0..=3_600_000.0).contains(&told.ms) {
        return Err(ApiError::bad_request("ms is from 0 to 3600000", hint));
    }
    api.metrics.ui_render_time_ms.set(told.ms);
    Ok(StatusCode::NO_CONTENT)
}

/// A path that exists, with another method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let error = format!("{} does not take {method}", uri.path());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        error,
        "docs/api.md lists paths and methods",
    )
}
