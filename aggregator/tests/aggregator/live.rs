//! The WebSocket.

use std::collections::BTreeSet;
use std::time::Duration;

use mesoscope_proto::v1::{Change, SnapshotPart, TopologyDiff};
use tokio_tungstenite::tungstenite::Error;

use super::agent::{self, Agent};
use super::binary::{Aggregator, eventually};
use super::page::{Page, View};

const QUERY: &str = "view=processes&unconnected=true&ended=false";

async fn rest(aggregator: &Aggregator, query: &str) -> View {
    let json = aggregator.json(&format!("/api/topology?{query}")).await;
    View::of(serde_json::from_value::<TopologyDiff>(json).expect("a difference"))
}

#[tokio::test]
async fn differences_add_up_to_what_rest_shows() {
    let aggregator = Aggregator::start(&[]);
    let mut page = Page::open(&aggregator, QUERY).await;
    assert!(page.view.nodes.is_empty());
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    page.until("one edge", |view| {
        view.edges.len() == 1 && view.nodes.len() == 2
    })
    .await;
    for pid in 300..340 {
        client
            .send(SnapshotPart::None, vec![agent::process(pid, "worker")])
            .await;
    }
    page.until("all workers", |view| view.nodes.len() == 42)
        .await;
    client.send(SnapshotPart::Whole, agent::client_side()).await;
    page.until("only what the snapshot holds", |view| view.nodes.len() == 2)
        .await;
    server.acknowledged().await;
    eventually("the page and REST show the same", async || {
        let shown = rest(&aggregator, QUERY).await;
        if shown == page.view {
            return Some(());
        }
        page.receive().await;
        None
    })
    .await;
    assert!(
        page.messages < 60,
        "{} messages: differences are bundled",
        page.messages
    );
}

#[tokio::test]
async fn nodes_have_places_and_stay_there() {
    let aggregator = Aggregator::start(&[]);
    let workers = (300..340).map(|pid| agent::process(pid, "worker"));
    let mut client = Agent::with_snapshot(&aggregator, "a", workers.collect()).await;
    client.acknowledged().await;
    let mut page = Page::open(&aggregator, QUERY).await;
    page.until("all workers", |view| view.nodes.len() == 40)
        .await;
    let before = page.view.clone();
    let places: BTreeSet<String> = before
        .nodes
        .values()
        .map(|node| format!("{} {}", node.x, node.y))
        .collect();
    assert_eq!(places.len(), 40, "no two are on top of each other");
    client
        .send(SnapshotPart::None, vec![agent::process(101, "next")])
        .await;
    page.until("one more", |view| view.nodes.len() == 41).await;
    let same = before.nodes.iter().filter(|(id, node)| {
        let now = &page.view.nodes[*id];
        (now.x, now.y) == (node.x, node.y)
    });
    assert_eq!(same.count(), 40, "who was there stays put");
}

#[tokio::test]
async fn a_client_may_switch_the_view_and_is_told_of_nonsense() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    client.acknowledged().await;
    let mut page = Page::open(&aggregator, QUERY).await;
    page.until("the client", |view| !view.nodes.is_empty())
        .await;
    for nonsense in [
        "{",
        "{}",
        "{\"view\":\"pods\"}",
        "{\"view\":\"hosts\",\"sort\":1}",
    ] {
        page.say(nonsense).await;
        let error = loop {
            let text = page.text().await;
            if text.starts_with("{\"error\"") {
                break text;
            }
        };
        assert!(error.contains("hint"), "{error}");
    }
    page.say("{\"view\":\"hosts\",\"options\":{\"ended\":false}}")
        .await;
    let first = loop {
        let diff: TopologyDiff = serde_json::from_str(&page.text().await).expect("a difference");
        if diff.view == "hosts" {
            break diff;
        }
    };
    assert!(first.reset);
    assert!(
        first.nodes.iter().any(|node| node.id == "host;a"),
        "{first:#?}"
    );
}

#[tokio::test]
async fn a_slow_client_gets_merged_differences_and_the_right_view() {
    let aggregator = Aggregator::start(&[]);
    let mut slow = Page::open(&aggregator, QUERY).await;
    // More than the sockets between the two can hold, in many differences.
    let mut agent = Agent::with_snapshot(&aggregator, "a", Vec::new()).await;
    for round in 0..40_u32 {
        let workers = |pid| agent::process(pid, &format!("worker-{round}"));
        let changes: Vec<Change> = (1_000..3_000).map(workers).collect();
        agent.send(SnapshotPart::None, changes).await;
        agent.acknowledged().await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    slow.until("the last state of all", |view| {
        view.nodes.len() == 2_000 && view.nodes.values().all(|node| node.label == "worker-39")
    })
    .await;
    assert!(slow.messages < 40, "{} messages", slow.messages);
    let coalesced = aggregator.metric("mesoscope_diffs_coalesced_total").await;
    let restarted = aggregator
        .metric("mesoscope_subscribers_restarted_total")
        .await;
    assert!(
        coalesced > 3.0 || restarted > 0.0,
        "{coalesced} merged, {restarted} begun anew"
    );
}

#[tokio::test]
async fn only_pages_of_this_origin_may_connect() {
    let aggregator = Aggregator::start(&[]);
    let own = format!("http://{}", aggregator.http);
    assert!(
        Page::try_open(&aggregator, QUERY, &[("origin", &own)])
            .await
            .is_ok()
    );
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        match Page::try_open(&aggregator, QUERY, &[("origin", origin)]).await {
            Err(Error::Http(refused)) => assert_eq!(refused.status(), 403, "{origin}"),
            other => panic!("{origin}: {:?}", other.err()),
        }
    }
    let refused = aggregator
        .metric("mesoscope_http_refused_total{reason=\"origin\"}")
        .await;
    assert!((refused - 3.0).abs() < 0.1);
}

#[tokio::test]
async fn the_drain_ends_streams_and_the_process() {
    let aggregator = Aggregator::start(&[]);
    let mut page = Page::open(&aggregator, QUERY).await;
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let (ended, (code, took)) = tokio::join!(page.ended(), async {
        tokio::task::spawn_blocking(|| aggregator.terminate())
            .await
            .expect("it ends")
    });
    assert!(ended);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
    let status = agent.receive().await.expect_err("the stream ends");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
}
