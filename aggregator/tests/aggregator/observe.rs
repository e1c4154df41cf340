//! gRPC for consumers: views, events, reflection, health.

use futures::StreamExt;
use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_proto::v1::{
    EventKind, GetNodeRequest, ListAgentsRequest, QuerySeriesRequest, SearchRequest, SnapshotPart,
    StreamEventsRequest, WatchTopologyRequest,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::agent::{self, Agent};
use super::binary::{Aggregator, PATIENCE, eventually};
use super::page::View;

#[tokio::test]
async fn a_view_is_watched_over_grpc() {
    let aggregator = Aggregator::start(&[]);
    let mut client = ObserveClient::new(agent::channel(&aggregator).await);
    let request = WatchTopologyRequest {
        view: "hosts".to_owned(),
        ..Default::default()
    };
    let mut stream = client
        .watch_topology(request)
        .await
        .expect("a stream")
        .into_inner();
    let mut view = View::of(
        stream
            .message()
            .await
            .expect("open")
            .expect("the whole view"),
    );
    let _a = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let _b = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    let mut sequence = 1;
    while view.edges.len() != 1 || view.nodes.len() != 2 {
        let next = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("in time");
        let diff = next.expect("open").expect("a difference");
        sequence += 1;
        assert_eq!(diff.sequence, sequence);
        view.apply(diff);
    }
    let agents = client
        .list_agents(ListAgentsRequest {})
        .await
        .expect("a list")
        .into_inner();
    let ids: Vec<&str> = agents
        .agents
        .iter()
        .map(|agent| agent.agent_id.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(
        agents
            .agents
            .iter()
            .all(|agent| (0.0..=1.0).contains(&agent.availability))
    );
    let request = |view: &str, id: &str| GetNodeRequest {
        view: view.to_owned(),
        id: id.to_owned(),
        ..Default::default()
    };
    let node = client
        .get_node(request("hosts", "host;a"))
        .await
        .expect("a node")
        .into_inner();
    assert_eq!(node.node.expect("a node").id, "host;a");
    let missing = client
        .get_node(request("hosts", "host;z"))
        .await
        .expect_err("no such node");
    assert_eq!(missing.code(), Code::NotFound);
    let unknown = client
        .get_node(request("pods", "x"))
        .await
        .expect_err("no such view");
    assert_eq!(unknown.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn events_arrive_filtered() {
    let aggregator = Aggregator::start(&[]);
    let mut client = ObserveClient::new(agent::channel(&aggregator).await);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    agent.acknowledged().await;
    let request = StreamEventsRequest {
        kinds: vec![EventKind::ProcessExec.into()],
        process: "wanted".to_owned(),
        ..Default::default()
    };
    let mut stream = client
        .stream_events(request)
        .await
        .expect("a stream")
        .into_inner();
    let both = vec![agent::process(400, "other"), agent::process(401, "wanted")];
    agent.send(SnapshotPart::None, both).await;
    let next = tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("in time");
    let batch = next.expect("open").expect("a batch");
    assert_eq!((batch.events.len(), batch.missed), (1, 0), "{batch:#?}");
    let event = &batch.events[0];
    assert_eq!(
        (event.agent_id.as_str(), event.hostname.as_str()),
        ("a", "client.example")
    );
    assert_eq!(event.process.as_ref().expect("a process").name, "wanted");
    let wrong = StreamEventsRequest {
        kinds: vec![77],
        ..Default::default()
    };
    let refused = client.stream_events(wrong).await.expect_err("no such kind");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn nodes_are_searched_and_values_over_time_read() {
    let aggregator = Aggregator::start(&[]);
    let mut client = ObserveClient::new(agent::channel(&aggregator).await);
    let _agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    let search = |text: &str, limit| SearchRequest {
        searches: vec![text.to_owned()],
        limit,
        ..Default::default()
    };
    let found = eventually("the host is found", async || {
        let found = client.clone().search(search("client.example", 1)).await;
        let found = found.expect("a search").into_inner();
        (!found.nodes.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found.nodes.len(), 1);
    assert_eq!(found.nodes[0].id, "host;a");
    assert_eq!(found.nodes[0].view, "hosts");
    for (wrong, words) in [
        (search("cpu > much", 0), "much"),
        (search("a", 5_001), "limit is from 1 to 5000"),
        (SearchRequest::default(), "q is missing"),
    ] {
        let refused = client.search(wrong).await.expect_err("makes no sense");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(words), "{refused}");
    }
    let asked = QuerySeriesRequest {
        id: "host;nobody".to_owned(),
        ..Default::default()
    };
    let refused = client.query_series(asked.clone()).await;
    assert_eq!(refused.expect_err("no such node").code(), Code::NotFound);
    let asked = QuerySeriesRequest {
        id: "host;a".to_owned(),
        step_ms: 1,
        ..asked
    };
    let refused = client.query_series(asked).await.expect_err("too fine");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn any_client_can_explore_the_services() {
    let aggregator = Aggregator::start(&[]);
    let channel = agent::channel(&aggregator).await;
    let ask = |what: MessageRequest| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(what),
    };
    let requests = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "mesoscope.v1.Observe".to_owned(),
        )),
    ];
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client
        .server_reflection_info(futures::stream::iter(requests))
        .await;
    let answers: Vec<ServerReflectionResponse> = answers
        .expect("reflection")
        .into_inner()
        .map(|answer| answer.expect("an answer"))
        .collect()
        .await;
    let Some(MessageResponse::ListServicesResponse(list)) = &answers[0].message_response else {
        panic!("expected a list of services");
    };
    let names: Vec<&str> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for wanted in [
        "mesoscope.v1.Uplink",
        "mesoscope.v1.Observe",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    let described = &answers[1].message_response;
    assert!(
        matches!(described, Some(MessageResponse::FileDescriptorResponse(_))),
        "{described:?}"
    );

    let mut health = HealthClient::new(channel);
    for service in ["", "mesoscope.v1.Uplink", "mesoscope.v1.Observe"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.expect("known").into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
}
