//! Labels that people give to nodes.

use serde_json::{Value, json};

use super::agent::{Agent, client_side};
use super::binary::Aggregator;

const JSON: (&str, &str) = ("content-type", "application/json");
const HOST: &str = "host%3Ba";

async fn give(aggregator: &Aggregator, node: &str, labels: Value) -> u16 {
    let path = format!("/api/v1/nodes/{node}/labels");
    let body = json!({ "labels": labels }).to_string();
    aggregator
        .request("PUT", &path, &[JSON], &body)
        .await
        .status
}

async fn reported(aggregator: &Aggregator) -> Agent {
    let mut agent = Agent::with_snapshot(aggregator, "a", client_side()).await;
    agent.acknowledged().await;
    agent
}

#[tokio::test]
async fn labels_are_given_found_recorded_and_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("UTF-8");
    let search = "/api/v1/search?q=labels:rack%3D7&view=hosts";
    {
        let aggregator = Aggregator::start(&["--data-dir", data_dir]);
        let _agent = reported(&aggregator).await;
        assert_eq!(give(&aggregator, HOST, json!({ "rack": "7" })).await, 204);
        let path = format!("/api/v1/nodes/{HOST}/labels");
        let told = aggregator.json(&path).await;
        assert_eq!(told, json!({ "labels": { "rack": "7" } }));
        let details = aggregator
            .json(&format!("/api/topology/hosts/{HOST}"))
            .await;
        assert!(details["sections"].to_string().contains("\"rack\""));
        let found = aggregator.json(search).await;
        assert_eq!(found["nodes"][0]["id"], "host;a");
        let audit = aggregator.json("/api/v1/audit").await;
        let entry = &audit["entries"][1];
        assert_eq!(
            (&entry["action"], &entry["outcome"]),
            (&json!("node.labels"), &json!("started"))
        );
        assert_eq!(entry["parameters"]["labels"]["rack"], "7");
        // What makes no sense changes nothing.
        for (node, labels, status) in [
            (HOST, json!({ "a b": "x" }), 400),
            (HOST, json!({ "rack": "" }), 400),
            (HOST, json!({ "rack": 7 }), 422),
            (HOST, json!("rack"), 422),
            ("host%3Bz", json!({ "rack": "7" }), 404),
            ("program%3Bcurl", json!({ "rack": "7" }), 404),
        ] {
            assert_eq!(give(&aggregator, node, labels).await, status, "{node}");
        }
    }
    let aggregator = Aggregator::start(&["--data-dir", data_dir]);
    let _agent = reported(&aggregator).await;
    let found = aggregator.json(search).await;
    assert_eq!(found["nodes"][0]["id"], "host;a");
    assert_eq!(give(&aggregator, HOST, json!({})).await, 204);
    let found = aggregator.json(search).await;
    assert_eq!(found["nodes"], json!([]));
}
