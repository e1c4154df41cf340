//! REST, metrics, the page, and what every request passes.

use mesoscope_proto::v1::Configure;

use super::agent::{self, Agent, Told, hello};
use super::binary::Aggregator;

#[tokio::test]
async fn a_node_is_told_in_detail() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    client.acknowledged().await;
    let id = "process;a;100;1000000000".replace(';', "%3B");
    let details = aggregator
        .json(&format!("/api/topology/processes/{id}"))
        .await;
    assert_eq!(details["node"]["label"], "curl", "{details:#}");
    assert_eq!(details["connections"][0]["remote"]["address"], "10.0.0.2");
    assert_eq!(
        aggregator
            .get("/api/topology/processes/nothing")
            .await
            .status,
        404
    );
    assert_eq!(aggregator.get("/api/topology/pods/x").await.status, 400);
    let odd = aggregator
        .get(&format!("/api/topology/processes/{id}?deep=1"))
        .await;
    assert_eq!(odd.status, 400);
    assert!(
        odd.json()["hint"]
            .as_str()
            .expect("a hint")
            .contains("environment")
    );
}

#[tokio::test]
async fn groups_are_views_like_the_others() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    client.acknowledged().await;
    let view = "/api/topology?view=processes-by-name&unconnected=true";
    let programs = aggregator.json(view).await;
    assert_eq!(programs["view"], "processes-by-name");
    let nodes = programs["nodes"].as_array().expect("nodes");
    assert!(
        nodes.iter().any(|node| node["id"] == "program;curl"),
        "{programs:#}"
    );
    let program = aggregator
        .json("/api/topology/processes-by-name/program%3Bcurl")
        .await;
    assert_eq!(program["children"][0]["id"], "process;a;100;1000000000");
    assert_eq!(program["node"]["parents"][0]["id"], "host;a");
    let process = "/api/topology/processes/process%3Ba%3B100%3B1000000000";
    let parents = aggregator.json(process).await["node"]["parents"].to_string();
    assert!(parents.contains("program;curl"), "{parents}");
    let host = aggregator.json("/api/topology/hosts/host%3Ba").await;
    assert_eq!(host["processes"][0]["label"], "curl", "{host:#}");
    assert_eq!(host["processes"][0]["ended"], false);
    let found = aggregator
        .json("/api/v1/search?q=curl&view=processes-by-name")
        .await;
    assert_eq!(found["nodes"][0]["id"], "program;curl", "{found:#}");
    let services = aggregator.json("/api/topology?view=services").await;
    assert_eq!(services["view"], "services");
}

#[tokio::test]
async fn tier_2_reaches_the_agent_and_again_after_a_reconnect() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let json = [("content-type", "application/json")];
    let path = "/api/v1/agents/a/tier2";
    let body = "{\"enabled\":true}";
    let answer = aggregator.post(path, &json, body).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let wanted = Told::Configure(Configure {
        tier2: true,
        tier2_containers: Vec::new(),
    });
    assert_eq!(agent.receive().await.expect("settings"), wanted);
    drop(agent);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    assert_eq!(agent.receive().await.expect("settings"), wanted);

    let unknown = aggregator.post("/api/v1/agents/b/tier2", &json, body).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    for bad in ["", "{", "{\"enabled\":1}", "{\"enabled\":true,\"x\":1}"] {
        let refused = aggregator.post(path, &json, bad).await;
        assert!((400..500).contains(&refused.status), "{bad}: {refused:?}");
        assert!(refused.json()["error"].is_string());
    }
    let elsewhere = [json[0], ("origin", "http://evil.example")];
    assert_eq!(aggregator.post(path, &elsewhere, body).await.status, 403);
    let large = format!(
        "{{\"enabled\":true,\"containers\":[\"{}\"]}}",
        "x".repeat(100_000)
    );
    assert_eq!(aggregator.post(path, &json, &large).await.status, 413);
}

#[tokio::test]
async fn health_status_and_metrics_answer() {
    let aggregator = Aggregator::start(&[]);
    assert_eq!(aggregator.json("/health").await["status"], "ok");
    assert_eq!(aggregator.json("/api/v1/ping").await["pong"], true);
    let status = aggregator.json("/api/v1/status").await;
    assert_eq!(
        (&status["insecure_listen"], &status["tls"]),
        (&false.into(), &false.into())
    );
    let json = [("content-type", "application/json")];
    let told = aggregator
        .post("/api/v1/ui/render_time", &json, "{\"ms\":12.5}")
        .await;
    assert_eq!(told.status, 204, "{told:?}");
    assert!((aggregator.metric("scope_ui_render_time_ms").await - 12.5).abs() < 1e-9);
    for bad in ["{\"ms\":-1}", "{\"ms\":\"x\"}", "{\"ms\":1e99}"] {
        let refused = aggregator.post("/api/v1/ui/render_time", &json, bad).await;
        assert!((400..500).contains(&refused.status), "{bad}: {refused:?}");
    }
    assert!(aggregator.metric("process_resident_memory_bytes").await > 1e6);
    assert!(
        aggregator
            .metric("mesoscope_bound_limit{bound=\"processes\"}")
            .await
            > 0.0
    );
    assert!(
        aggregator
            .metric("mesoscope_bound_limit{bound=\"views\"}")
            .await
            > 0.0
    );
}

#[tokio::test]
async fn the_page_is_served_with_its_headers() {
    let aggregator = Aggregator::start(&[]);
    let page = aggregator.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Mesoscope"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let etag = page.header("etag").expect("an etag");
    let known = aggregator
        .request("GET", "/", &[("if-none-match", etag)], "")
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let nothing = aggregator.get("/../../etc/passwd").await;
    assert_eq!(nothing.status, 404);
    assert_eq!(aggregator.post("/", &[], "").await.status, 405);
    assert_eq!(aggregator.post("/api/topology", &[], "").await.status, 405);
    let packed = [("accept-encoding", "gzip")];
    let topology = aggregator.request("GET", "/metrics", &packed, "").await;
    assert_eq!(topology.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn names_that_were_made_to_resolve_here_are_refused() {
    let aggregator = Aggregator::start(&["--allow-host", "map.example.org"]);
    for (host, status) in [
        ("localhost:4040", 200),
        ("[::1]:4040", 200),
        ("map.example.org", 200),
        ("evil.example", 421),
    ] {
        let answer = aggregator
            .request("GET", "/health", &[("host", host)], "")
            .await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn views_are_counted_and_details_come_in_parts() {
    let aggregator = Aggregator::start(&[
        "--label-filter=Team shop:team=shop",
        "--node-link=Grafana=https://grafana.example/d/node?host={host}&process={pid}",
        "--own-service=Back end=10.0.0.0/24",
    ]);
    let mut changes = agent::client_side();
    for pid in 101..=105 {
        changes.push(agent::process(pid, "worker"));
    }
    let mut agent = Agent::with_snapshot(&aggregator, "a", changes).await;
    agent.acknowledged().await;
    let overview = aggregator.json("/api/v1/views").await;
    let size = |view: &str| {
        let views = overview["views"].as_array().expect("a list");
        let found = views.iter().find(|one| one["view"] == view);
        found.expect("every view")["nodes"]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(
        (size("hosts"), size("processes"), size("processes-by-name")),
        (1, 6, 2)
    );
    assert_eq!(overview["label_filters"][0]["label"], "team=shop");

    let path = "/api/topology/processes-by-name/program%3Bworker/children";
    let first = aggregator.json(&format!("{path}?limit=3")).await;
    assert_eq!(first["children"].as_array().expect("a list").len(), 3);
    let cursor = first["cursor"].as_str().expect("there is more");
    let rest = aggregator
        .json(&format!("{path}?limit=3&cursor={cursor}"))
        .await;
    assert_eq!(rest["children"].as_array().expect("a list").len(), 2);
    assert_eq!(rest["cursor"], serde_json::Value::Null);
    let id = "process%3Ba%3B100%3B1000000000";
    let connections = aggregator
        .json(&format!("/api/topology/processes/{id}/connections"))
        .await;
    assert_eq!(connections["connections"][0]["peer"]["label"], "Back end");
    for bad in ["?limit=0", "?cursor=x", "?cursor=-1", "?deep=1"] {
        let refused = aggregator.get(&format!("{path}{bad}")).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
    let none = aggregator
        .get("/api/topology/hosts/host%3Bx/children")
        .await;
    assert_eq!(none.status, 404);

    let details = aggregator
        .json(&format!("/api/topology/processes/{id}"))
        .await;
    assert_eq!(details["links"][0]["label"], "Grafana");
    assert_eq!(
        details["links"][0]["url"],
        "https://grafana.example/d/node?host=client.example&process=100"
    );
    let host = aggregator.json("/api/topology/hosts/host%3Ba").await;
    assert_eq!(host["links"], serde_json::json!([]), "it has no pid");
    let none = aggregator
        .json("/api/topology?view=processes&namespace=shop")
        .await;
    assert_eq!(none["nodes"], serde_json::json!([]));
}

#[tokio::test]
async fn the_page_is_shown_within_others_only_where_they_are_named() {
    let closed = Aggregator::start(&[]);
    let alone = closed.get("/").await;
    assert_eq!(alone.header("x-frame-options"), Some("DENY"));
    let open = Aggregator::start(&[
        "--frame-ancestor=https://wiki.example",
        "--frame-ancestor=https://grafana.example:3000",
    ]);
    let within = open.get("/").await;
    let policy = within.header("content-security-policy").expect("a policy");
    let allowed = "frame-ancestors https://wiki.example https://grafana.example:3000";
    assert!(policy.ends_with(allowed), "{policy}");
    assert_eq!(within.header("x-frame-options"), None);
    assert!(!binary_accepts("--frame-ancestor=wiki.example"));
    assert!(!binary_accepts("--own-service=x"));
    assert!(!binary_accepts("--node-link=x=javascript:alert(1)"));
    assert!(!binary_accepts("--label-filter=team"));
}

fn binary_accepts(option: &str) -> bool {
    let output = super::binary::run(&[option, "--print-config"], &[]);
    output.status.success()
}

#[tokio::test]
async fn the_whole_map_is_one_file() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    client.acknowledged().await;
    server.acknowledged().await;
    let report = aggregator.get("/api/v1/debug/report").await;
    assert_eq!(report.status, 200);
    let lines: Vec<serde_json::Value> = report
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect();
    assert_eq!(lines[0]["mesoscope_report"], 1);
    assert_eq!(lines[0]["figures"]["agents"], 2);
    let of = |what: &str, view: &str| -> Vec<String> {
        let found = lines.iter().filter(|line| line[what]["view"] == view);
        found.map(|line| line[what]["id"].to_string()).collect()
    };
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["agent"].is_object())
            .count(),
        2
    );
    assert_eq!(
        (of("node", "hosts").len(), of("node", "processes").len()),
        (2, 2)
    );
    assert_eq!(
        (of("edge", "hosts").len(), of("edge", "processes").len()),
        (1, 1)
    );
    assert_eq!(lines.last().expect("an end")["end"], true);
    assert!(!report.body.contains("environment"));
}
