//! Reporters: a node told by JSON, and the map in parts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::agent::{self, Agent, hello};
use super::binary::{Aggregator, Answer, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");
const REPORTS: &str = "/api/v1/reports";

fn report(agent_id: &str, pids: &[u32]) -> Value {
    let process = |pid: &u32| {
        json!({
            "key": {"pid": pid, "start_boottime_ns": 10_000_000},
            "name": format!("proxy-{pid}"),
        })
    };
    let connection = |pid: &u32| {
        json!({
            "cookie": pid, "protocol": "tcp", "direction": "outbound",
            "local": {"address": "10.0.0.9", "port": 40_000 + pid},
            "remote": {"address": "10.0.0.2", "port": 80},
            "process": {"pid": pid, "start_boottime_ns": 10_000_000},
        })
    };
    json!({
        "agent_id": agent_id,
        "hostname": format!("{agent_id}.example"),
        "version": "collector 1",
        "host": {"os": "RouterOS", "interfaces": [{"name": "wan", "addresses": ["10.0.0.9"], "up": true}]},
        "host_metrics": {"cpu_cores_used": 0.25, "memory_used_bytes": 1_000_000},
        "processes": pids.iter().map(process).collect::<Vec<_>>(),
        "connections": pids.iter().map(connection).collect::<Vec<_>>(),
    })
}

async fn send(aggregator: &Aggregator, token: Option<&str>, body: &Value) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![JSON];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    aggregator.post(REPORTS, &headers, &body.to_string()).await
}

async fn running(aggregator: &Aggregator) -> BTreeSet<String> {
    let view = "/api/topology?view=processes&unconnected=true&ended=false";
    let map = aggregator.json(view).await;
    let nodes = map["nodes"].as_array().expect("nodes").iter();
    nodes
        .filter(|node| node["kind"] == "process")
        .map(|node| node["label"].as_str().expect("a label").to_owned())
        .collect()
}

#[tokio::test]
async fn a_report_is_on_the_map_and_the_next_one_takes_its_place() {
    let aggregator = Aggregator::start(&[]);
    // The other end of the connections, told by an agent.
    let mut server = Agent::with_snapshot(&aggregator, "server", agent::server_side()).await;
    server.acknowledged().await;
    let taken = send(&aggregator, None, &report("edge", &[1, 2])).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(taken.json()["entries"], 6);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected: BTreeSet<String> = names(&["nginx", "proxy-1", "proxy-2"]);
    eventually("the report", async || {
        (running(&aggregator).await == expected).then_some(())
    })
    .await;
    let list = aggregator.json("/api/v1/agents/list").await;
    let edge = &list["agents"][0];
    assert_eq!(
        (&edge["agent_id"], &edge["connected"], &edge["complete"]),
        (&json!("edge"), &json!(true), &json!(true))
    );
    let generation = edge["generation"].clone();

    let again = send(&aggregator, None, &report("edge", &[2])).await;
    assert_eq!(again.status, 200, "{again:?}");
    let expected: BTreeSet<String> = names(&["nginx", "proxy-2"]);
    eventually("the second report alone", async || {
        (running(&aggregator).await == expected).then_some(())
    })
    .await;
    let latest = aggregator.json("/api/v1/query/agents/edge/latest").await;
    assert_eq!(
        latest["agent"]["generation"], generation,
        "the same reporter goes on"
    );
    assert_eq!(
        latest["host"]["node"]["label"], "edge.example",
        "{latest:#}"
    );
    let series = aggregator
        .json("/api/v1/query/agents/edge/timeseries?metric=cpu")
        .await;
    let values = series["metrics"][0]["values"].as_array().expect("values");
    let told = values.iter().find_map(Value::as_f64);
    let told = told.expect("what was reported");
    assert!((told - 0.25).abs() < 0.25 / 256.0, "{series:#}");
    assert!((aggregator.metric("mesoscope_ingest_reports_total").await - 2.0).abs() < 1e-9);
    assert!(
        aggregator
            .metric("mesoscope_bound_limit{bound=\"reports\"}")
            .await
            > 0.0
    );
}

#[tokio::test]
async fn what_is_no_report_changes_nothing() {
    let aggregator = Aggregator::start(&[]);
    let mut bad = report("edge", &[1, 2]);
    bad["connections"][1]["cookie"] = json!(0);
    let refused = send(&aggregator, None, &bad).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("connections[1]"), "{refused:?}");
    for body in ["", "{", "[]", "{\"agent_id\": \"a\", \"proceses\": []}"] {
        let refused = aggregator.post(REPORTS, &[JSON], body).await;
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
        assert!(refused.json()["hint"].is_string());
    }
    let large = format!("{{\"agent_id\": \"{}\"}}", "x".repeat((4 << 20) + 50_000));
    assert_eq!(aggregator.post(REPORTS, &[JSON], &large).await.status, 413);
    let elsewhere = [JSON, ("origin", "http://evil.example")];
    let body = report("edge", &[1]).to_string();
    assert_eq!(
        aggregator.post(REPORTS, &elsewhere, &body).await.status,
        403
    );
    let list = aggregator.json("/api/v1/agents/list").await;
    assert_eq!(list["agents"], json!([]));
    let unknown = aggregator
        .post("/api/v1/agents/heartbeat/edge", &[], "")
        .await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(
        aggregator.get("/api/v1/agents/config/edge").await.status,
        404
    );
}

#[tokio::test]
async fn a_node_belongs_to_its_agent_else_to_its_reporter() {
    let aggregator = Aggregator::start(&[]);
    let mut real = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    real.acknowledged().await;
    let refused = send(&aggregator, None, &report("a", &[1])).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    let beat = aggregator.post("/api/v1/agents/heartbeat/a", &[], "").await;
    assert_eq!(beat.status, 409, "{beat:?}");
    assert!(running(&aggregator).await.contains("curl"));

    assert_eq!(
        send(&aggregator, None, &report("b", &[1])).await.status,
        200
    );
    let beat = aggregator.post("/api/v1/agents/heartbeat/b", &[], "").await;
    assert_eq!(beat.status, 204, "{beat:?}");
    // Its agent comes: what the reporter told makes room for what the agent tells.
    let (mut agent, welcome) = Agent::connect(&aggregator, hello("b", 1, 0)).await;
    assert!(!welcome.resume);
    agent
        .send(
            mesoscope_proto::v1::SnapshotPart::Whole,
            vec![agent::process(5, "sshd")],
        )
        .await;
    agent.acknowledged().await;
    eventually("the agent's word", async || {
        let now = running(&aggregator).await;
        (now.contains("sshd") && !now.contains("proxy-1")).then_some(())
    })
    .await;
    assert_eq!(
        send(&aggregator, None, &report("b", &[1])).await.status,
        409
    );

    let body = json!({"agent_id": "c", "version": "collector 2", "generation": 5}).to_string();
    let register = "/api/v1/agents/register";
    let known = aggregator.post(register, &[JSON], &body).await;
    assert_eq!(known.status, 200, "{known:?}");
    assert_eq!(known.json()["report_within_s"], 60);
    let older = body.replace('5', "4");
    assert_eq!(aggregator.post(register, &[JSON], &older).await.status, 409);
    let first = aggregator.json("/api/v1/agents/list?limit=2").await;
    let rest = aggregator
        .json("/api/v1/agents/list?limit=2&cursor=b")
        .await;
    assert_eq!(
        (&first["agents"][1]["agent_id"], &first["cursor"]),
        (&json!("b"), &json!("b"))
    );
    assert_eq!(
        (&rest["agents"][0]["agent_id"], &rest["cursor"]),
        (&json!("c"), &Value::Null)
    );
    let config = aggregator.json("/api/v1/agents/config/c").await;
    assert_eq!(config["settings"], Value::Null);
    for bad in ["{}", "{\"agent_id\": \"a;b\"}", "{\"agent_id\": \"\"}"] {
        let refused = aggregator.post(register, &[JSON], bad).await;
        assert!((400..500).contains(&refused.status), "{bad}: {refused:?}");
    }
}

#[tokio::test]
async fn reporters_show_agents_tokens_and_keep_their_ids() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let file = scratch.path().join("agents");
    let (first, second) = ("a".repeat(32), "b".repeat(32));
    std::fs::write(&file, format!("{first}\n{second}\n")).expect("written");
    let data = format!("--data-dir={}", scratch.path().display());
    let tokens = format!("--agent-token-file={}", file.display());
    let aggregator = Aggregator::start(&["--require-sign-in", &data, &tokens]);
    let admin = std::fs::read_to_string(scratch.path().join("initial-admin-token"));
    let admin = admin.expect("a first token").trim().to_owned();
    let body = report("edge", &[1]);
    assert_eq!(send(&aggregator, None, &body).await.status, 401);
    let people = send(&aggregator, Some(&admin), &body).await;
    assert_eq!(people.status, 401, "people do not report: {people:?}");
    let taken = send(&aggregator, Some(&first), &body).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let other = send(&aggregator, Some(&second), &body).await;
    assert_eq!(other.status, 409, "{other:?}");
    let bearer = format!("Bearer {second}");
    let headers = [("authorization", bearer.as_str())];
    let beat = aggregator
        .post("/api/v1/agents/heartbeat/edge", &headers, "")
        .await;
    assert_eq!(beat.status, 409, "{beat:?}");
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    let path = "/api/v1/query/agents/edge/latest";
    assert_eq!(aggregator.get(path).await.status, 401);
    assert_eq!(
        aggregator.request("GET", path, &headers, "").await.status,
        200
    );
}

#[tokio::test]
async fn the_map_comes_in_parts() {
    let aggregator = Aggregator::start(&[]);
    let pids: Vec<u32> = (1..=7).collect();
    assert_eq!(
        send(&aggregator, None, &report("edge", &pids)).await.status,
        200
    );
    let whole = aggregator.json("/api/topology?view=processes").await;
    let ids = |list: &Value| -> Vec<String> {
        let ids = list.as_array().expect("a list").iter();
        ids.map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let (mut nodes, mut edges, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/query/topology?view=processes&limit=3{cursor}");
        let part = aggregator.json(&path).await;
        nodes.extend(ids(&part["nodes"]));
        edges.extend(ids(&part["edges"]));
        let Some(next) = part["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={}", next.replace(';', "%3B"));
    }
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(nodes, sorted(ids(&whole["nodes"])));
    assert_eq!(sorted(edges), sorted(ids(&whole["edges"])));
    assert!(nodes.len() >= 8, "{nodes:?}");
    for bad in ["limit=0", "limit=x", "view=pods", "order=desc"] {
        let path = format!("/api/v1/query/topology?{bad}");
        assert_eq!(aggregator.get(&path).await.status, 400, "{bad}");
    }
    let stats = aggregator.json("/api/v1/query/stats").await;
    assert_eq!(
        (&stats["agents"], &stats["processes"]),
        (&json!(1), &json!(7))
    );
    let bounds = stats["bounds"].as_array().expect("bounds");
    assert!(
        bounds
            .iter()
            .any(|bound| bound["name"] == "processes" && bound["used"] == 7)
    );
    assert_eq!(
        aggregator
            .get("/api/v1/query/agents/nobody/latest")
            .await
            .status,
        404
    );
}
