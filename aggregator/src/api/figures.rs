//! The map in parts, the latest of an agent, and how full everything is.

use axum::Json;
use axum::extract::{Path, Query, State};
use mesoscope_proto::v1::{AgentInfo, Edge, Node, NodeDetails, TopologyDiff};
use mesoscope_topology::ViewKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};

type Pairs = Query<Vec<(String, String)>>;

/// A part of a view: nodes by their ids, and the edges that begin at them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewPart {
    view: String,
    time_unix_ms: u64,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// To go on with; null at the end.
    cursor: Option<String>,
}

/// The latest of an agent or reporter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Latest {
    agent: AgentInfo,
    /// Its host, as in the view of hosts.
    host: Option<NodeDetails>,
}

/// How much is known and how full everything is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Figures {
    time_unix_ms: u64,
    started_unix_ms: u64,
    agents: usize,
    agents_connected: usize,
    /// Of whose nodes nothing is missing.
    agents_complete: usize,
    /// Running, of all agents.
    processes: u64,
    containers: u64,
    connections: u64,
    /// Time series held, and their bytes.
    series: u64,
    series_bytes: u64,
    /// What each bound of the map holds.
    bounds: Vec<Bound>,
    /// What the map has done since the start.
    totals: Vec<Total>,
}

/// A bound.
#[derive(Debug, Serialize, ToSchema)]
struct Bound {
    name: &'static str,
    used: usize,
    limit: usize,
}

/// A total since the start.
#[derive(Debug, Serialize, ToSchema)]
struct Total {
    name: &'static str,
    total: u64,
}

/// A view in parts, by the ids of its nodes.
///
/// A node that is there all the while comes once; an edge comes with the node where it begins.
#[utoipa::path(get, path = "/api/v1/query/topology", tag = "query", operation_id = "query_topology",
    params(parameters::ViewWithOptions, parameters::Page, parameters::At),
    responses(
        (status = 200, description = "Nodes and edges", body = ViewPart),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 404, description = "The history does not go back to that moment"),
        (status = 503, description = "Too many views are watched"),
    ))]
pub(super) async fn topology(
    State(api): State<Api>,
    Query(pairs): Pairs,
) -> Result<Json<ViewPart>, ApiError> {
    let (at_ms, pairs) = query::moment(pairs)?;
    let of_page = |(key, _): &(String, String)| matches!(key.as_str(), "limit" | "cursor");
    let (page, view): (Vec<_>, Vec<_>) = pairs.into_iter().partition(of_page);
    let (limit, after) = query::page(&page)?;
    let (kind, options) = query::view(&view)?;
    let snapshot = api.view(at_ms, kind, options).await?;
    Ok(Json(part(snapshot, limit, after.as_deref())))
}

fn part(view: TopologyDiff, limit: usize, after: Option<&str>) -> ViewPart {
    let mut nodes = view.nodes;
    nodes.retain(|node| after.is_none_or(|after| node.id.as_str() > after));
    nodes.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    let more = nodes.len() > limit;
    nodes.truncate(limit);
    let cursor = nodes.last().filter(|_| more).map(|last| last.id.clone());
    let begins = |edge: &Edge| {
        let found = nodes.binary_search_by(|node| node.id.cmp(&edge.source));
        found.is_ok()
    };
    let mut edges = view.edges;
    edges.retain(begins);
    edges.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    ViewPart {
        view: view.view,
        time_unix_ms: view.time_unix_ms,
        nodes,
        edges,
        cursor,
    }
}

/// How an agent or reporter is, and the latest that is known of its host.
#[utoipa::path(get, path = "/api/v1/query/agents/{agent_id}/latest", tag = "query",
    operation_id = "latest_of_agent",
    params(("agent_id" = String, Path, description = "The agent")),
    responses(
        (status = 200, description = "The latest", body = Latest),
        (status = 404, description = "No such agent is known"),
    ))]
pub(super) async fn latest(
    State(api): State<Api>,
    Path(agent_id): Path<String>,
) -> Result<Json<Latest>, ApiError> {
    let agent = api.agent(&agent_id).ok_or_else(|| {
        let error = format!("no agent {agent_id:?}");
        ApiError::not_found(error, "GET /api/v1/agents/list lists them")
    })?;
    let host = api.node(ViewKind::Hosts, &format!("host;{agent_id}"), false);
    Ok(Json(Latest { agent, host }))
}

/// How much is known, and how full everything is.
#[utoipa::path(get, path = "/api/v1/query/stats", tag = "query", operation_id = "query_stats",
    responses((status = 200, description = "Figures", body = Figures)))]
pub(super) async fn stats(State(api): State<Api>) -> Json<Figures> {
    Json(figures(&api))
}

/// How much is known, and how full everything is.
pub(super) fn figures(api: &Api) -> Figures {
    let now_ms = api.core.now_ms();
    let (agents, stats) = {
        let topology = api.core.read();
        (topology.agents(now_ms), topology.stats())
    };
    let count = |is: fn(&AgentInfo) -> bool| agents.iter().filter(|agent| is(agent)).count();
    let sum = |of: fn(&AgentInfo) -> u32| agents.iter().map(|agent| u64::from(of(agent))).sum();
    let series = api.series.stats();
    let whole = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    Figures {
        time_unix_ms: now_ms,
        started_unix_ms: api.core.started_ms(),
        agents: agents.len(),
        agents_connected: count(|agent| agent.connected),
        agents_complete: count(|agent| agent.complete),
        processes: sum(|agent| agent.processes),
        containers: sum(|agent| agent.containers),
        connections: sum(|agent| agent.connections),
        series: whole(series.series),
        series_bytes: whole(series.bytes),
        bounds: stats
            .fills
            .iter()
            .map(|fill| Bound {
                name: fill.name,
                used: fill.used,
                limit: fill.limit,
            })
            .collect(),
        totals: stats
            .counters
            .iter()
            .map(|counter| Total {
                name: counter.name,
                total: counter.total,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn view(nodes: &BTreeSet<u8>, edges: &BTreeSet<(u8, u8)>) -> TopologyDiff {
        let node = |id: &u8| Node {
            id: id.to_string(),
            ..Node::default()
        };
        let edge = |(source, target): &(u8, u8)| Edge {
            id: format!("{source}>{target}>tcp"),
            source: source.to_string(),
            target: target.to_string(),
            ..Edge::default()
        };
        TopologyDiff {
            nodes: nodes.iter().rev().map(node).collect(),
            edges: edges.iter().rev().map(edge).collect(),
            ..TopologyDiff::default()
        }
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_each_once(
            nodes in prop::collection::btree_set(any::<u8>(), 0..40),
            ends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
            limit in 1_usize..20,
        ) {
            let all: Vec<_> = nodes.iter().copied().collect();
            let edges: BTreeSet<_> = ends
                .iter()
                .filter(|_| !all.is_empty())
                .map(|(source, target)| (*source.get(&all), *target))
                .collect();
            let (mut seen, mut drawn) = (Vec::new(), Vec::new());
            let mut after = None;
            loop {
                let part = part(view(&nodes, &edges), limit, after.as_deref());
                prop_assert!(part.nodes.len() <= limit);
                seen.extend(part.nodes.into_iter().map(|node| node.id));
                drawn.extend(part.edges.into_iter().map(|edge| edge.id));
                after = part.cursor;
                if after.is_none() {
                    break;
                }
            }
            let whole = view(&nodes, &edges);
            let mut wanted: Vec<_> = whole.nodes.into_iter().map(|node| node.id).collect();
            wanted.sort();
            prop_assert_eq!(seen, wanted);
            let mut wanted: Vec<_> = whole.edges.into_iter().map(|edge| edge.id).collect();
            wanted.sort();
            drawn.sort();
            prop_assert_eq!(drawn, wanted);
        }
    }
}
