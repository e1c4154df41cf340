//! The map as it was: by REST, WebSocket and gRPC, after it has changed.

use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_proto::v1::{
    Change, GetNodeRequest, HostMetrics, SnapshotPart, TopologyDiff, WatchTopologyRequest, change,
};
use tonic::Code;

use super::agent::{self, Agent};
use super::binary::{Aggregator, eventually};
use super::page::{Page, View};

const QUERY: &str = "view=processes&unconnected=true&ended=false";
const OPTIONS: &str = "\"view\":\"processes\",\"options\":{\"unconnected\":true,\"ended\":false}";

/// A moment at which all that was told so far is there, once it can be looked at.
async fn moment(aggregator: &Aggregator) -> u64 {
    let history = aggregator.json("/api/v1/history").await;
    let (now_ms, step_ms) = (&history["now_unix_ms"], &history["resolution_ms"]);
    let (now_ms, step_ms) = (now_ms.as_u64().unwrap(), step_ms.as_u64().unwrap());
    let wanted = now_ms.next_multiple_of(step_ms);
    eventually("the moment is in the history", async || {
        let history = aggregator.json("/api/v1/history").await;
        (history["to_unix_ms"].as_u64()? >= wanted).then_some(())
    })
    .await;
    wanted
}

async fn view(aggregator: &Aggregator, at_ms: Option<u64>) -> (View, TopologyDiff) {
    let at = at_ms
        .map(|at_ms| format!("&at={at_ms}"))
        .unwrap_or_default();
    let json = aggregator.json(&format!("/api/topology?{QUERY}{at}")).await;
    let diff: TopologyDiff = serde_json::from_value(json).expect("a view");
    (View::of(diff.clone()), diff)
}

fn measured(cpu_cores_used: f64) -> Change {
    Change {
        change: Some(change::Change::HostMetrics(HostMetrics {
            cpu_cores_used,
            ..Default::default()
        })),
    }
}

#[tokio::test]
async fn the_map_of_a_moment_is_the_one_that_was_seen() {
    let aggregator = Aggregator::start(&[]);
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    client.send(SnapshotPart::None, vec![measured(1.5)]).await;
    client.acknowledged().await;
    server.acknowledged().await;
    let (then, _) = view(&aggregator, None).await;
    assert_eq!((then.nodes.len(), then.edges.len()), (2, 1), "{then:#?}");
    let at_ms = moment(&aggregator).await;

    // Everything is different now: another process, and no connection any more.
    let other = vec![
        agent::host("client.example", "10.0.0.1"),
        agent::process(300, "later"),
    ];
    client.send(SnapshotPart::Whole, other).await;
    client.acknowledged().await;
    eventually("the map has changed", async || {
        let (now, _) = view(&aggregator, None).await;
        now.nodes
            .values()
            .any(|node| node.label == "later")
            .then_some(())
    })
    .await;

    let (past, diff) = view(&aggregator, Some(at_ms)).await;
    assert!(diff.past && diff.reset);
    assert_eq!(diff.time_unix_ms, at_ms);
    let labels = |view: &View| {
        view.nodes
            .values()
            .map(|node| node.label.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&past), labels(&then));
    assert_eq!(
        past.edges.keys().collect::<Vec<_>>(),
        then.edges.keys().collect::<Vec<_>>()
    );

    // Details, search, parts and figures of then.
    let gone = "/api/topology/processes/process%3Ba%3B100%3B1000000000";
    let details = aggregator.json(&format!("{gone}?at={at_ms}")).await;
    assert_eq!(details["node"]["state"], "running", "{details:#}");
    assert_eq!(details["connections"][0]["state"], "open", "{details:#}");
    let later = "/api/topology/processes/process%3Ba%3B300%3B3000000000";
    assert_eq!(
        aggregator.get(&format!("{later}?at={at_ms}")).await.status,
        404
    );
    assert_eq!(aggregator.get(later).await.status, 200);
    let found = |q: &str, at: &str| format!("/api/v1/search?view=processes&q={q}{at}");
    let at = format!("&at={at_ms}");
    let count = async |path: String| {
        aggregator.json(&path).await["nodes"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(found("later", "")).await, 1);
    assert_eq!(count(found("later", &at)).await, 0);
    assert_eq!(count(found("curl", &at)).await, 1);
    let part = aggregator
        .json(&format!("/api/v1/query/topology?{QUERY}&at={at_ms}"))
        .await;
    assert_eq!(part["nodes"].as_array().unwrap().len(), 2, "{part:#}");
    let host = aggregator
        .json(&format!("/api/topology/hosts/host%3Ba?at={at_ms}"))
        .await;
    let metrics = host["node"]["metrics"].as_array().unwrap();
    let cpu = metrics.iter().find(|metric| metric["key"] == "cpu");
    assert!(
        (cpu.unwrap()["value"].as_f64().unwrap() - 1.5).abs() < 0.01,
        "{host:#}"
    );
    let series = format!("/api/v1/query/agents/a/timeseries?last=1m&at={at_ms}");
    let series = aggregator.json(&series).await;
    assert!(
        series["to_unix_ms"].as_u64().unwrap() <= at_ms + 15_000,
        "{series:#}"
    );

    assert!(
        aggregator
            .metric("mesoscope_bound_used{bound=\"history_bytes\"}")
            .await
            > 0.0
    );
    assert!(
        aggregator
            .metric("mesoscope_bound_used{bound=\"history_moments\"}")
            .await
            > 0.0
    );
}

#[tokio::test]
async fn a_socket_goes_to_a_moment_and_back_to_live() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    client.acknowledged().await;
    let mut page = Page::open(&aggregator, QUERY).await;
    let processes = |view: &View| {
        let nodes = view.nodes.values();
        nodes.filter(|node| node.kind == "process").count()
    };
    page.until("the client", |view| processes(view) == 1).await;
    let at_ms = moment(&aggregator).await;
    client
        .send(SnapshotPart::None, vec![agent::process(300, "later")])
        .await;
    page.until("the other one", |view| processes(view) == 2)
        .await;
    let places = page.view.clone();

    page.say(&format!("{{{OPTIONS},\"at\":{at_ms}}}")).await;
    let past = loop {
        let diff: TopologyDiff = serde_json::from_str(&page.text().await).expect("a view");
        if diff.past {
            break diff;
        }
    };
    assert_eq!(past.time_unix_ms, at_ms);
    let past = View::of(past);
    assert_eq!(processes(&past), 1);
    for (id, node) in &past.nodes {
        let live = &places.nodes[id];
        assert_eq!((node.x, node.y), (live.x, live.y), "nodes stay put");
    }
    // Nothing of now comes while it looks at the past.
    client
        .send(SnapshotPart::None, vec![agent::process(301, "even later")])
        .await;
    client.acknowledged().await;
    // What is out of reach is said, and the past goes on.
    page.say(&format!("{{{OPTIONS},\"at\":1}}")).await;
    let error = page.text().await;
    assert!(error.contains("reaches back to"), "{error}");

    page.say(&format!("{{{OPTIONS}}}")).await;
    let live: TopologyDiff = serde_json::from_str(&page.text().await).expect("a view");
    assert!(live.reset && !live.past);
    assert_eq!(processes(&View::of(live)), 3);
}

#[tokio::test]
async fn grpc_has_the_past_too() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let at_unix_ms = moment(&aggregator).await;
    agent
        .send(SnapshotPart::None, vec![agent::process(300, "later")])
        .await;
    agent.acknowledged().await;
    let mut client = ObserveClient::new(agent::channel(&aggregator).await);
    let request = WatchTopologyRequest {
        view: "processes".to_owned(),
        at_unix_ms,
        ..Default::default()
    };
    let stream = client.watch_topology(request).await.expect("a stream");
    let mut stream = stream.into_inner();
    let view = stream.message().await.expect("open").expect("the view");
    assert!(view.past && view.reset, "{view:#?}");
    assert!(stream.message().await.expect("ended well").is_none());
    let later = |at_unix_ms| GetNodeRequest {
        view: "processes".to_owned(),
        id: "process;a;300;3000000000".to_owned(),
        at_unix_ms,
        ..Default::default()
    };
    let then = client.get_node(later(at_unix_ms)).await;
    assert_eq!(then.expect_err("not yet there").code(), Code::NotFound);
    client.get_node(later(0)).await.expect("it is there now");
}

#[tokio::test]
async fn moments_that_are_not_there_are_refused_and_say_how_far_it_goes() {
    let aggregator = Aggregator::start(&["--history-memory", "4MiB"]);
    let history = aggregator.json("/api/v1/history").await;
    assert_eq!(history["bytes_max"], 4 << 20);
    let now_ms = history["now_unix_ms"].as_u64().unwrap();
    let ask = async |at: &str| {
        aggregator
            .get(&format!("/api/topology?{QUERY}&at={at}"))
            .await
    };
    let old = ask("1000").await;
    assert_eq!(old.status, 404);
    assert!(old.body.contains("reaches back to"), "{}", old.body);
    assert_eq!(ask(&(now_ms + 3_600_000).to_string()).await.status, 400);
    for nonsense in ["yesterday", "-1", "1.5", ""] {
        assert_eq!(ask(nonsense).await.status, 400, "{nonsense:?}");
    }
}
