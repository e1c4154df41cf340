//! What Grafana's Node Graph API data source asks for.

use super::agent::{self, Agent};
use super::binary::Aggregator;

#[tokio::test]
async fn grafana_gets_fields_data_and_health() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    client.acknowledged().await;
    server.acknowledged().await;
    assert_eq!(aggregator.json("/api/health").await["status"], "ok");
    // The data source sends the panel's query with both.
    let fields = aggregator.json("/api/graph/fields?view=hosts").await;
    for (list, wanted) in [
        ("nodes_fields", &["id", "title", "mainStat", "arc__ok"][..]),
        ("edges_fields", &["id", "source", "target", "mainStat"]),
    ] {
        let fields = fields[list].as_array().expect("a list");
        for name in wanted {
            let field = fields.iter().find(|field| field["field_name"] == *name);
            let kind = field.unwrap_or_else(|| panic!("{name}"))["type"].clone();
            assert!(kind == "string" || kind == "number", "{name}: {kind}");
        }
    }
    for view in ["processes", "hosts", "services", "containers"] {
        let path = format!("/api/graph/data?view={view}&unconnected=true&limit=100");
        let data = aggregator.json(&path).await;
        let (nodes, edges) = (data["nodes"].as_array(), data["edges"].as_array());
        let nodes = nodes.expect("nodes");
        assert!(!nodes.is_empty(), "{view}: {data:#}");
        let is_node = |id: &serde_json::Value| nodes.iter().any(|node| node["id"] == *id);
        for edge in edges.expect("edges") {
            let both = is_node(&edge["source"]) && is_node(&edge["target"]);
            assert!(both, "{view}: {edge:#}");
        }
        for node in nodes {
            let arcs = ["ok", "warning", "critical", "unknown"];
            let arcs = arcs.map(|arc| node[format!("arc__{arc}")].as_u64().expect("a number"));
            assert_eq!(arcs.iter().sum::<u64>(), 1, "{view}: {node:#}");
        }
    }
    let data = aggregator.json("/api/graph/data?view=processes").await;
    assert_eq!(data["edges"].as_array().map(Vec::len), Some(1), "{data:#}");
    assert_eq!(data["edges"][0]["source"], "process;a;100;1000000000");
    for bad in ["view=pods", "limit=0", "limit=1501", "query=text1"] {
        let refused = aggregator.get(&format!("/api/graph/data?{bad}")).await;
        assert_eq!(refused.status, 400, "{bad}: {refused:?}");
    }
}
