//! Agents: sequence, generation, duplicates, restarts.

use std::time::{Duration, Instant};

use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_proto::v1::{Change, Direction, SnapshotPart};
use tonic::Code;

use super::agent::{self, Agent, Told, hello};
use super::binary::{Aggregator, eventually};
use super::page::View;

const PROCESSES: &str = "/api/topology?view=processes";

async fn view(aggregator: &Aggregator, path: &str) -> View {
    View::of(serde_json::from_value(aggregator.json(path).await).expect("a difference"))
}

#[tokio::test]
async fn the_two_ends_of_a_connection_are_one_edge() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    client.acknowledged().await;
    server.acknowledged().await;
    let joined = eventually("one edge between the two", async || {
        let view = view(&aggregator, PROCESSES).await;
        let edge = view.edges.values().next()?;
        (view.edges.len() == 1 && view.nodes.len() == 2).then(|| edge.clone())
    })
    .await;
    assert!(joined.source.starts_with("process;a;100;"), "{joined:?}");
    assert!(joined.target.starts_with("process;b;200;"), "{joined:?}");
    assert_eq!((joined.connections_open, joined.connections_total), (1, 1));
    assert_eq!(joined.ports, [80]);
    let hosts = view(&aggregator, "/api/topology?view=hosts").await;
    assert_eq!((hosts.nodes.len(), hosts.edges.len()), (2, 1), "{hosts:#?}");
}

#[tokio::test]
async fn a_repeated_batch_changes_nothing() {
    let aggregator = Aggregator::start(&[]);
    let mut client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let again = client.batch(0, SnapshotPart::Whole, agent::client_side());
    for _ in 0..3 {
        client.send_raw(again.clone()).await;
    }
    client
        .send(SnapshotPart::None, vec![agent::process(101, "later")])
        .await;
    client.acknowledged().await;
    assert!((aggregator.metric("mesoscope_ingest_duplicates_total").await - 3.0).abs() < 0.1);
    let view = view(&aggregator, PROCESSES).await;
    let edge = view.edges.values().next().expect("an edge to the internet");
    assert_eq!((view.edges.len(), edge.connections_total), (1, 1));
}

#[tokio::test]
async fn a_gap_asks_for_a_snapshot_which_makes_it_right() {
    let aggregator = Aggregator::start(&[]);
    let all = "/api/topology?view=processes&unconnected=true";
    let mut agent = Agent::with_snapshot(&aggregator, "a", vec![agent::process(1, "init")]).await;
    agent.acknowledged().await;
    let lost = agent.batch(
        5,
        SnapshotPart::None,
        vec![agent::process(5, "after-the-gap")],
    );
    agent.send_raw(lost).await;
    let Told::Resync(resync) = agent.receive().await.expect("an answer") else {
        panic!("expected a resync");
    };
    assert!(
        resync.reason.contains("expected batch 1, got 5"),
        "{}",
        resync.reason
    );
    assert_eq!(
        view(&aggregator, all).await.nodes.len(),
        1,
        "nothing behind the gap is taken in"
    );
    agent.sequence = 6;
    agent
        .send(SnapshotPart::First, vec![agent::process(7, "new")])
        .await;
    agent.send(SnapshotPart::Last, Vec::new()).await;
    agent.acknowledged().await;
    eventually("the old process is known to be gone", async || {
        let view = view(&aggregator, &format!("{all}&ended=false")).await;
        let labels: Vec<&str> = view
            .nodes
            .values()
            .map(|node| node.label.as_str())
            .collect();
        (labels == ["new"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_resumed_where_it_was() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    drop(agent);
    eventually("the agent is gone", async || {
        let list = aggregator.json("/api/v1/agents/list").await;
        (list["agents"][0]["connected"] == false).then_some(())
    })
    .await;
    assert!(
        aggregator
            .metric("mesoscope_agent_connected{agent=\"a\"}")
            .await
            .abs()
            < 0.1
    );
    let mut back = hello("a", 1, 1);
    back.sequence_first = 0;
    let (mut agent, welcome) = Agent::connect(&aggregator, back).await;
    assert!(welcome.resume);
    assert_eq!(welcome.sequence_expected, 1);
    agent
        .send(SnapshotPart::None, vec![agent::process(300, "later")])
        .await;
    agent.acknowledged().await;
    assert!(
        aggregator
            .metric("mesoscope_agent_connected{agent=\"a\"}")
            .await
            > 0.9
    );
    assert_eq!(view(&aggregator, PROCESSES).await.edges.len(), 1);
}

#[tokio::test]
async fn the_newer_of_two_streams_with_one_id_wins() {
    let aggregator = Aggregator::start(&[]);
    let mut older = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    older.acknowledged().await;
    let (mut newer, welcome) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    assert!(!welcome.resume);
    let replaced = older.receive().await.expect_err("the older stream ends");
    assert_eq!(replaced.code(), Code::AlreadyExists, "{replaced}");
    assert!(replaced.message().contains("--agent-id"), "{replaced}");
    let channel = agent::channel(&aggregator).await;
    let refused = Agent::open(UplinkClient::new(channel), hello("a", 1, 0)).await;
    assert_eq!(
        refused.err().expect("an older generation").code(),
        Code::AlreadyExists
    );
    newer.send(SnapshotPart::Whole, agent::client_side()).await;
    newer.acknowledged().await;
    let list = aggregator.json("/api/v1/agents/list").await;
    assert_eq!(list["agents"].as_array().expect("a list").len(), 1);
    assert_eq!(list["agents"][0]["generation"], 2);
    assert_eq!(list["agents"][0]["connected"], true);
}

#[tokio::test]
async fn a_killed_aggregator_is_right_again_once_its_agents_are_back() {
    let aggregator = Aggregator::start(&[]);
    let _client = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let mut server = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    server.acknowledged().await;
    let before = eventually("one edge", async || {
        let view = view(&aggregator, PROCESSES).await;
        (view.edges.len() == 1 && view.nodes.len() == 2).then_some(view)
    })
    .await;
    let (port, grpc_port) = aggregator.kill();
    let aggregator = Aggregator::start_on(port, grpc_port, &[]);
    let begun = Instant::now();
    let mut agents = Vec::new();
    for (id, side) in [("a", agent::client_side()), ("b", agent::server_side())] {
        let mut back = hello(id, 1, 9);
        back.sequence_first = 3;
        let (mut agent, welcome) = Agent::connect(&aggregator, back).await;
        assert!(!welcome.resume, "a new aggregator holds nothing");
        agent.send(SnapshotPart::Whole, side).await;
        agents.push(agent);
    }
    eventually("the same map again", async || {
        let view = view(&aggregator, PROCESSES).await;
        let same =
            view.nodes.keys().eq(before.nodes.keys()) && view.edges.keys().eq(before.edges.keys());
        same.then_some(())
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn malformed_changes_are_counted_and_change_nothing() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let no_key = agent::connection(0, 0, Direction::Outbound, "10.0.0.1:1", "10.0.0.2:2");
    let empty = Change { change: None };
    agent.send(SnapshotPart::None, vec![no_key, empty]).await;
    let refused = loop {
        match agent.receive().await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(view(&aggregator, PROCESSES).await.edges.len(), 1);
    let counted = aggregator
        .metric("mesoscope_ingest_refused_total{reason=\"empty change\"}")
        .await;
    assert!((counted - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_hello_without_sense_is_refused() {
    let aggregator = Aggregator::start(&[]);
    let channel = agent::channel(&aggregator).await;
    for id in ["", "a\nb", &"x".repeat(300)] {
        let opened = Agent::open(UplinkClient::new(channel.clone()), hello(id, 1, 0)).await;
        let refused = opened.err().expect("must be refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let list = aggregator.json("/api/v1/agents/list").await;
    assert_eq!(list["agents"].as_array().expect("a list").len(), 0);
}

#[tokio::test]
async fn acknowledgements_are_bundled() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let begun = Instant::now();
    for _ in 0..50 {
        agent.send(SnapshotPart::None, Vec::new()).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut acks = 0;
    loop {
        let Told::Ack(ack) = agent.receive().await.expect("an acknowledgement") else {
            panic!("only acknowledgements");
        };
        acks += 1;
        if ack.sequence == 50 {
            break;
        }
    }
    let most = begun.elapsed().as_millis() / 250 + 2;
    assert!(
        acks <= most,
        "{acks} acknowledgements in {:?}",
        begun.elapsed()
    );
}
