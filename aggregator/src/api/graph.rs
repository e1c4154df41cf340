//! The map for Grafana: the three endpoints of its Node Graph API data source, over any view.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use mesoscope_proto::v1::{Edge, Node, TopologyDiff};
use mesoscope_service::units::ByteSize;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Api, parameters, query};

/// Nodes in one answer: Grafana draws 1,500 at most.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_500;

type Pairs = Query<Vec<(String, String)>>;

/// The graph can be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphHealth)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

/// What nodes and edges of the graph have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphFields)]
pub(super) struct Fields {
    nodes_fields: Vec<Field>,
    edges_fields: Vec<Field>,
}

/// A field by the names of Grafana's node graph.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphField)]
struct Field {
    field_name: &'static str,
    /// `string` or `number`.
    r#type: &'static str,
    #[serde(rename = "displayName", skip_serializing_if = "Option::is_none")]
    display_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
}

/// A view as Grafana draws it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Graph)]
pub(super) struct Graph {
    nodes: Vec<GraphNode>,
    edges: Vec<GraphEdge>,
    /// Nodes beyond the limit: those with the fewest connections.
    nodes_left_out: usize,
}

/// A node. Of the arcs one is 1: its health.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct GraphNode {
    id: String,
    title: String,
    #[serde(rename = "subTitle")]
    sub_title: String,
    /// Cores in use.
    #[serde(rename = "mainStat")]
    main_stat: String,
    /// Memory in use.
    #[serde(rename = "secondaryStat")]
    secondary_stat: String,
    #[serde(rename = "arc__ok")]
    arc_ok: u8,
    #[serde(rename = "arc__warning")]
    arc_warning: u8,
    #[serde(rename = "arc__critical")]
    arc_critical: u8,
    #[serde(rename = "arc__unknown")]
    arc_unknown: u8,
    #[serde(rename = "detail__kind")]
    detail_kind: String,
    #[serde(rename = "detail__state")]
    detail_state: String,
    #[serde(rename = "detail__host")]
    detail_host: String,
    #[serde(rename = "detail__health")]
    detail_health: String,
}

/// All connections from one node to another with the same protocol.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct GraphEdge {
    id: String,
    source: String,
    target: String,
    /// Connections per second.
    #[serde(rename = "mainStat")]
    main_stat: String,
    /// Bytes per second, both ways.
    #[serde(rename = "secondaryStat")]
    secondary_stat: String,
    #[serde(rename = "detail__protocol")]
    detail_protocol: String,
    #[serde(rename = "detail__open")]
    detail_open: u32,
    #[serde(rename = "detail__failures")]
    detail_failures: u64,
    #[serde(rename = "detail__rtt_ms")]
    detail_rtt_ms: f64,
}

const fn field(field_name: &'static str, r#type: &'static str) -> Field {
    Field {
        field_name,
        r#type,
        display_name: None,
        color: None,
    }
}

const fn named(
    field_name: &'static str,
    r#type: &'static str,
    display_name: &'static str,
) -> Field {
    Field {
        display_name: Some(display_name),
        ..field(field_name, r#type)
    }
}

const fn arc(field_name: &'static str, display_name: &'static str, color: &'static str) -> Field {
    Field {
        color: Some(color),
        ..named(field_name, "number", display_name)
    }
}

/// Whether the graph can be read: what Grafana asks when a data source is saved.
#[utoipa::path(get, path = "/api/health", tag = "grafana", operation_id = "graph_health",
    responses((status = 200, description = "It can", body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// What nodes and edges of the graph have, by the names of Grafana's node graph.
///
/// The same for every view; parameters are not looked at.
#[utoipa::path(get, path = "/api/graph/fields", tag = "grafana", operation_id = "graph_fields",
    responses((status = 200, description = "The fields", body = Fields)))]
pub(super) async fn fields() -> Json<Fields> {
    Json(Fields {
        nodes_fields: vec![
            field("id", "string"),
            field("title", "string"),
            field("subTitle", "string"),
            named("mainStat", "string", "CPU"),
            named("secondaryStat", "string", "Memory"),
            arc("arc__ok", "Well", "green"),
            arc("arc__warning", "Warning", "orange"),
            arc("arc__critical", "Critical", "red"),
            arc("arc__unknown", "Not known", "gray"),
            named("detail__kind", "string", "Kind"),
            named("detail__state", "string", "State"),
            named("detail__host", "string", "Host"),
            named("detail__health", "string", "Health"),
        ],
        edges_fields: vec![
            field("id", "string"),
            field("source", "string"),
            field("target", "string"),
            named("mainStat", "string", "Connections"),
            named("secondaryStat", "string", "Traffic"),
            named("detail__protocol", "string", "Protocol"),
            named("detail__open", "number", "Open connections"),
            named("detail__failures", "number", "Failures"),
            named("detail__rtt_ms", "number", "Round trip, ms"),
        ],
    })
}

/// A view as Grafana's node graph.
///
/// Takes the parameters of `/api/topology`, and `limit`.
#[utoipa::path(get, path = "/api/graph/data", tag = "grafana", operation_id = "graph_data",
    params(
        parameters::ViewWithOptions,
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1500,
            description = "Nodes in the answer (500): those with the most edges"),
    ),
    responses(
        (status = 200, description = "Nodes and edges", body = Graph),
        (status = 400, description = "A parameter that makes no sense"),
        (status = 503, description = "Too many views are watched"),
    ))]
pub(super) async fn data(
    State(api): State<Api>,
    Query(mut pairs): Pairs,
) -> Result<Json<Graph>, ApiError> {
    let limit = take_limit(&mut pairs)?;
    let (kind, options) = query::view(&pairs)?;
    let snapshot = api.views.snapshot(kind, options).await;
    let snapshot = snapshot.map_err(|full| {
        let hint = "try again in a minute";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, full, hint)
    })?;
    Ok(Json(graph(snapshot, limit)))
}

fn take_limit(pairs: &mut Vec<(String, String)>) -> Result<usize, ApiError> {
    let mut limit = LIMIT_DEFAULT;
    let mut bad = None;
    pairs.retain(|(key, value)| {
        if key != "limit" {
            return true;
        }
        match value.parse() {
            Ok(asked @ 1..=LIMIT_MAX) => limit = asked,
            _ => bad = Some(format!("limit is from 1 to {LIMIT_MAX}, not {value:?}")),
        }
        false
    });
    match bad {
        None => Ok(limit),
        Some(error) => Err(ApiError::bad_request(error, "limit=500")),
    }
}

fn graph(view: TopologyDiff, limit: usize) -> Graph {
    let mut degrees: HashMap<&str, usize> = HashMap::new();
    for edge in &view.edges {
        *degrees.entry(&edge.source).or_default() += 1;
        *degrees.entry(&edge.target).or_default() += 1;
    }
    let degree = |node: &Node| degrees.get(node.id.as_str()).copied().unwrap_or(0);
    let mut order: Vec<(usize, &Node)> = view.nodes.iter().map(|n| (degree(n), n)).collect();
    order.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.id.cmp(&other.id)));
    let nodes_left_out = order.len().saturating_sub(limit);
    order.truncate(limit);
    let shown: HashSet<&str> = order.iter().map(|(_, node)| node.id.as_str()).collect();
    let is_shown =
        |edge: &&Edge| shown.contains(edge.source.as_str()) && shown.contains(edge.target.as_str());
    Graph {
        edges: view.edges.iter().filter(is_shown).map(edge).collect(),
        nodes: order.iter().map(|(_, one)| node(one)).collect(),
        nodes_left_out,
    }
}

fn node(node: &Node) -> GraphNode {
    let metric = |key: &str| node.metrics.iter().find(|metric| metric.key == key);
    let cpu = metric("cpu").map(|metric| format!("{:.2} cores", metric.value));
    let memory = metric("memory").map(|metric| size(metric.value));
    let is = |health: &str| u8::from(node.health == health);
    let known = is("ok") + is("warning") + is("critical");
    let health = if node.health_reason.is_empty() {
        node.health.clone()
    } else {
        format!("{}: {}", node.health, node.health_reason)
    };
    GraphNode {
        id: node.id.clone(),
        title: node.label.clone(),
        sub_title: node.label_minor.clone(),
        main_stat: cpu.unwrap_or_default(),
        secondary_stat: memory.unwrap_or_default(),
        arc_ok: is("ok"),
        arc_warning: is("warning"),
        arc_critical: is("critical"),
        arc_unknown: 1 - known,
        detail_kind: node.kind.clone(),
        detail_state: node.state.clone(),
        detail_host: node.group_label.clone(),
        detail_health: health,
    }
}

fn edge(edge: &Edge) -> GraphEdge {
    let bytes_per_s = edge.bytes_forward_per_s + edge.bytes_back_per_s;
    let protocol = if edge.application.is_empty() {
        edge.protocol.clone()
    } else {
        format!("{}/{}", edge.protocol, edge.application)
    };
    GraphEdge {
        id: edge.id.clone(),
        source: edge.source.clone(),
        target: edge.target.clone(),
        main_stat: format!("{:.1}/s", edge.connections_per_s),
        secondary_stat: format!("{}/s", size(bytes_per_s)),
        detail_protocol: protocol,
        detail_open: edge.connections_open,
        detail_failures: edge.failures_total,
        detail_rtt_ms: f64::from(edge.rtt_us) / 1_000.0,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and what is below a byte is not shown"
)]
fn size(bytes: f64) -> String {
    ByteSize(bytes as u64).to_string()
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::Metric;

    use super::*;

    fn view() -> TopologyDiff {
        let node = |id: &str, health: &str| Node {
            id: id.to_owned(),
            label: id.to_uppercase(),
            health: health.to_owned(),
            metrics: vec![
                Metric {
                    key: "cpu".to_owned(),
                    value: 0.251,
                    ..Default::default()
                },
                Metric {
                    key: "memory".to_owned(),
                    value: 3_145_728.0,
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        let edge = |source: &str, target: &str| Edge {
            id: format!("{source}>{target}>tcp"),
            source: source.to_owned(),
            target: target.to_owned(),
            protocol: "tcp".to_owned(),
            application: "http".to_owned(),
            connections_per_s: 1.25,
            bytes_forward_per_s: 1_000.0,
            bytes_back_per_s: 24.0,
            rtt_us: 1_500,
            ..Default::default()
        };
        TopologyDiff {
            nodes: vec![node("a", "ok"), node("b", "critical"), node("c", "")],
            edges: vec![edge("a", "b"), edge("b", "c")],
            ..Default::default()
        }
    }

    #[test]
    fn a_node_is_as_well_as_its_one_arc() {
        let graph = graph(view(), 10);
        let arcs = |id: &str| {
            let node = graph.nodes.iter().find(|node| node.id == id);
            let node = node.expect("the node");
            [
                node.arc_ok,
                node.arc_warning,
                node.arc_critical,
                node.arc_unknown,
            ]
        };
        assert_eq!(arcs("a"), [1, 0, 0, 0]);
        assert_eq!(arcs("b"), [0, 0, 1, 0]);
        assert_eq!(arcs("c"), [0, 0, 0, 1]);
        let stats = (&graph.nodes[0].main_stat, &graph.nodes[0].secondary_stat);
        assert_eq!(stats, (&"0.25 cores".to_owned(), &"3.0 MiB".to_owned()));
        let edge = &graph.edges[0];
        assert_eq!(edge.secondary_stat, "1.0 KiB/s");
        assert_eq!(edge.detail_protocol, "tcp/http");
    }

    #[test]
    fn beyond_the_limit_those_with_the_fewest_edges_go_and_their_edges_with_them() {
        let graph = graph(view(), 2);
        let ids: Vec<_> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"]);
        let edges: Vec<_> = graph.edges.iter().map(|edge| edge.id.as_str()).collect();
        assert_eq!(edges, ["a>b>tcp"]);
        assert_eq!(graph.nodes_left_out, 1);
    }

    #[tokio::test]
    async fn every_field_of_the_data_is_announced_and_none_else() {
        let Json(fields) = fields().await;
        let data = serde_json::to_value(graph(view(), 10)).expect("JSON");
        for (announced, one) in [
            (&fields.nodes_fields, &data["nodes"][0]),
            (&fields.edges_fields, &data["edges"][0]),
        ] {
            let mut announced: Vec<_> = announced.iter().map(|field| field.field_name).collect();
            announced.sort_unstable();
            let one = one.as_object().expect("an object");
            let mut keys: Vec<_> = one.keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(announced, keys);
        }
        for field in fields.nodes_fields.iter().chain(&fields.edges_fields) {
            let arc = field.field_name.starts_with("arc__");
            assert_eq!(field.color.is_some(), arc, "{}", field.field_name);
        }
    }

    #[test]
    fn a_limit_beyond_what_grafana_draws_is_refused() {
        for (value, expected) in [
            ("1", Some(1)),
            ("1500", Some(1_500)),
            ("0", None),
            ("x", None),
        ] {
            let mut pairs = vec![
                ("limit".to_owned(), value.to_owned()),
                ("view".to_owned(), "hosts".to_owned()),
            ];
            assert_eq!(take_limit(&mut pairs).ok(), expected, "{value}");
            assert_eq!(pairs.len(), 1, "the others stay");
        }
    }
}
