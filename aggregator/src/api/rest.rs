//! The REST handlers.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use mesoscope_proto::v1::{AgentInfo, ConnectionDetails, NodeDetails, NodeRef, TopologyDiff};
use mesoscope_service::listen::Posture;
use mesoscope_topology::Part;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};

type Pairs = Query<Vec<(String, String)>>;

/// Health: the process serves. Agents that are gone are no failure of the aggregator.
#[utoipa::path(get, path = "/health", tag = "aggregator",
    responses((status = 200, description = "It serves", body = Health)))]
pub(super) async fn health(State(api): State<Api>) -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: (api.core.now_ms() - api.core.started_ms()) / 1_000,
    })
}

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
}

/// Liveness.
#[utoipa::path(get, path = "/api/v1/ping", tag = "aggregator",
    responses((status = 200, description = "It answers", body = Pong)))]
pub(super) async fn ping() -> Json<Pong> {
    Json(Pong { pong: true })
}

/// The answer to a ping.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pong {
    pong: bool,
}

/// How this aggregator is set up.
#[utoipa::path(get, path = "/api/v1/status", tag = "aggregator",
    responses((status = 200, description = "How it is set up", body = Status)))]
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

/// How this aggregator is set up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    version: &'static str,
    started_unix_ms: u64,
    tls: bool,
    /// Everyone has to sign in.
    authentication: bool,
    /// Others reach it without TLS and authentication.
    insecure_listen: bool,
    /// The audit survives a restart.
    audit_kept: bool,
    /// What operators set survives a restart.
    settings_kept: bool,
    agents: usize,
    agents_connected: usize,
}

/// A whole view, as a difference with `reset`.
#[utoipa::path(get, path = "/api/topology", tag = "map",
    params(parameters::ViewWithOptions, parameters::At),
    responses(
        (status = 200, description = "The view", body = TopologyDiff),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 404, description = "The history does not go back to that moment"),
        (status = 503, description = "Too many views are watched"),
    ))]
pub(super) async fn topology(
    State(api): State<Api>,
    Query(pairs): Pairs,
) -> Result<Json<TopologyDiff>, ApiError> {
    let (at_ms, pairs) = query::moment(pairs)?;
    let (kind, options) = query::view(&pairs)?;
    api.view(at_ms, kind, options).await.map(Json)
}

/// Everything known of one node.
#[utoipa::path(get, path = "/api/topology/{view}/{id}", tag = "map",
    params(
        ("view" = String, Path, description = "The view"),
        ("id" = String, Path, description = "The node's id, percent-encoded"),
        ("environment" = Option<bool>, Query, description = "With environment variables (false)"),
        parameters::At,
    ),
    responses(
        (status = 200, description = "The node", body = NodeDetails),
        (status = 400, description = "No such view, or an unknown parameter"),
        (status = 404, description = "The view has no such node"),
    ))]
pub(super) async fn node(
    State(api): State<Api>,
    Path((view, id)): Path<(String, String)>,
    Query(pairs): Pairs,
) -> Result<Json<NodeDetails>, ApiError> {
    let kind = query::kind_of(&view)?;
    let (at_ms, pairs) = query::moment(pairs)?;
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
    let node = match at_ms {
        None => api.node(kind, &id, environment),
        Some(at_ms) => api.node_at(at_ms, kind, id.clone(), environment).await?,
    };
    node.map(Json).ok_or_else(|| no_node(&view, &id))
}

/// Children of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Children {
    children: Vec<NodeRef>,
    /// To go on with; null at the end.
    cursor: Option<String>,
}

/// Connections of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connections {
    connections: Vec<ConnectionDetails>,
    /// To go on with; null at the end.
    cursor: Option<String>,
}

/// The children of a node in parts, by their labels (processes by their start).
///
/// What comes or ends between two parts may be told twice or not at all.
#[utoipa::path(get, path = "/api/topology/{view}/{id}/children", tag = "map",
    params(
        ("view" = String, Path, description = "The view"),
        ("id" = String, Path, description = "The node's id, percent-encoded"),
        parameters::Page,
        parameters::At,
    ),
    responses(
        (status = 200, description = "Children", body = Children),
        (status = 400, description = "No such view, or a parameter that makes no sense"),
        (status = 404, description = "The view has no such node"),
    ))]
pub(super) async fn children(
    State(api): State<Api>,
    Path((view, id)): Path<(String, String)>,
    Query(pairs): Pairs,
) -> Result<Json<Children>, ApiError> {
    let (at_ms, pairs) = query::moment(pairs)?;
    let part = part(&pairs)?;
    let kind = query::kind_of(&view)?;
    let of = id.clone();
    let details = api
        .read_map(at_ms, kind, move |topology, _| {
            topology.node_in_part(kind, &of, false, part, Part::NONE)
        })
        .await?;
    let details = details.ok_or_else(|| no_node(&view, &id))?;
    Ok(Json(Children {
        cursor: next(part, details.children_left_out),
        children: details.children,
    }))
}

/// The connections of a node in parts: those that are open first, the latest before the others.
///
/// What opens or closes between two parts may be told twice or not at all.
#[utoipa::path(get, path = "/api/topology/{view}/{id}/connections", tag = "map",
    params(
        ("view" = String, Path, description = "The view"),
        ("id" = String, Path, description = "The node's id, percent-encoded"),
        parameters::Page,
        parameters::At,
    ),
    responses(
        (status = 200, description = "Connections", body = Connections),
        (status = 400, description = "No such view, or a parameter that makes no sense"),
        (status = 404, description = "The view has no such node"),
    ))]
pub(super) async fn connections(
    State(api): State<Api>,
    Path((view, id)): Path<(String, String)>,
    Query(pairs): Pairs,
) -> Result<Json<Connections>, ApiError> {
    let (at_ms, pairs) = query::moment(pairs)?;
    let part = part(&pairs)?;
    let kind = query::kind_of(&view)?;
    let of = id.clone();
    let details = api
        .read_map(at_ms, kind, move |topology, _| {
            topology.node_in_part(kind, &of, false, Part::NONE, part)
        })
        .await?;
    let details = details.ok_or_else(|| no_node(&view, &id))?;
    Ok(Json(Connections {
        cursor: next(part, details.connections_left_out),
        connections: details.connections,
    }))
}

/// The part that `limit` and `cursor` mean; the cursor is how many came before.
fn part(pairs: &[(String, String)]) -> Result<Part, ApiError> {
    let (take, cursor) = query::page(pairs)?;
    let skip = cursor.map(|cursor| cursor.parse::<u32>()).transpose();
    let skip = skip.map_err(|_| ApiError::bad_request("the cursor is of no answer", "cursor=N"))?;
    Ok(Part {
        skip: usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX),
        take,
    })
}

fn next(part: Part, left_out: u32) -> Option<String> {
    (left_out > 0).then(|| part.skip.saturating_add(part.take).to_string())
}

fn no_node(view: &str, id: &str) -> ApiError {
    ApiError::not_found(
        format!("the view {view} has no node {id:?}"),
        "ids change when what they name ends; GET /api/topology lists them",
    )
}

/// Agents by their ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agents)]
pub(super) struct List {
    agents: Vec<AgentInfo>,
    /// To go on with; null at the end.
    cursor: Option<String>,
}

/// Agents and reporters, by id, with what operators set for them.
#[utoipa::path(get, path = "/api/v1/agents/list", tag = "agents", operation_id = "list_agents",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1_000,
            description = "Agents in one answer (all)"),
        ("cursor" = Option<String>, Query, description = "From the answer before"),
    ),
    responses(
        (status = 200, description = "Agents", body = List),
        (status = 400, description = "A parameter that makes no sense"),
    ))]
pub(super) async fn agents(
    State(api): State<Api>,
    Query(pairs): Pairs,
) -> Result<Json<List>, ApiError> {
    let (limit, after) = query::page(&pairs)?;
    let is_limited = pairs.iter().any(|(key, _)| key == "limit");
    let limit = if is_limited { limit } else { usize::MAX };
    let mut agents = api.agents();
    agents.retain(|agent| after.as_ref().is_none_or(|after| agent.agent_id > *after));
    let more = agents.len() > limit;
    agents.truncate(limit);
    let last = agents.last().filter(|_| more);
    let cursor = last.map(|last| last.agent_id.clone());
    Ok(Json(List { agents, cursor }))
}

/// How long the page took to draw.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RenderTime {
    /// From 0 to 3,600,000.
    ms: f64,
}

/// The page tells how long it took to draw (`scope_ui_render_time_ms`).
#[utoipa::path(post, path = "/api/v1/ui/render_time", tag = "aggregator",
    request_body = RenderTime,
    responses(
        (status = 204, description = "It is taken"),
        (status = 400, description = "Not JSON, or out of range"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
    ))]
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
