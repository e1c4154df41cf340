//! Values over time: told by agents, read by REST.

use std::time::{SystemTime, UNIX_EPOCH};

use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_proto::v1::{
    Change, Container, ContainerMetrics, ContainerState, HostMetrics, ProcessMetrics,
    QuerySeriesRequest, SnapshotPart, change::Change as Kind,
};
use serde_json::Value;

use super::agent::{self, Agent, hello};
use super::binary::{self, Aggregator};

const STEP_NS: u64 = 15_000_000_000;
/// Small enough that they are kept as they are.
const CPU: [f64; 4] = [0.01, 0.02, 0.03, 0.04];

fn changed(kind: Kind) -> Change {
    Change { change: Some(kind) }
}

fn host(cpu: f64, time_unix_ns: u64) -> Change {
    changed(Kind::HostMetrics(HostMetrics {
        time_unix_ns,
        cpu_cores_used: cpu,
        memory_used_bytes: 1 << 30,
        ..Default::default()
    }))
}

fn container(id: &str, state: ContainerState) -> Change {
    changed(Kind::Container(Container {
        id: id.to_owned(),
        state: state.into(),
        ..Default::default()
    }))
}

fn of_container(id: &str, cpu: f64) -> Change {
    changed(Kind::ContainerMetrics(ContainerMetrics {
        container_id: id.to_owned(),
        cpu_cores_used: cpu,
        ..Default::default()
    }))
}

fn of_process(pid: u32, cpu: f64) -> Change {
    changed(Kind::ProcessMetrics(ProcessMetrics {
        key: Some(agent::key(pid)),
        cpu_cores_used: cpu,
        ..Default::default()
    }))
}

fn path(id: &str, query: &str) -> String {
    let id = id.replace(';', "%3B");
    format!("/api/v1/query/nodes/{id}/timeseries?{query}")
}

/// The values of one metric.
fn values<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    let metrics = answer["metrics"].as_array().expect("metrics");
    let metric = metrics.iter().find(|metric| metric["key"] == key);
    metric.expect("told")["values"].as_array().expect("values")
}

/// Those that are known, each once: the last one goes on to hold.
fn known(values: &[Value]) -> Vec<f64> {
    let mut known: Vec<_> = values.iter().filter_map(Value::as_f64).collect();
    known.dedup();
    known
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.expect("after 1970").as_nanos()).expect("before 2554")
}

/// Four samples, 15 s apart, by a clock that is `ahead_ns` wrong.
async fn tell_a_minute(agent: &mut Agent, ahead_ns: i64) {
    let now = now_ns().saturating_add_signed(ahead_ns);
    let ages = [(CPU[0], 3), (CPU[1], 2), (CPU[2], 1), (CPU[3], 0)];
    let changes = ages.map(|(cpu, steps)| host(cpu, now - steps * STEP_NS));
    let mut batch = agent.batch(agent.sequence, SnapshotPart::None, changes.to_vec());
    batch.time_unix_ns = now;
    agent.sequence += 1;
    agent.send_raw(batch).await;
    agent.acknowledged().await;
}

#[tokio::test]
async fn samples_of_an_agent_come_back_by_agent_and_by_node() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    tell_a_minute(&mut agent, 0).await;
    let by_agent = aggregator
        .json("/api/v1/query/agents/a/timeseries?last=2m")
        .await;
    assert_eq!(
        (&by_agent["id"], &by_agent["step_ms"]),
        (&"host;a".into(), &15_000.into())
    );
    assert_eq!(known(values(&by_agent, "cpu")), CPU);
    assert_eq!(known(values(&by_agent, "memory")).len(), 1);
    assert!(values(&by_agent, "cpu")[0].is_null(), "{by_agent:#}");
    assert!(by_agent["cursor"].is_null());

    let by_node = aggregator.json(&path("host;a", "last=2m&metric=cpu")).await;
    assert_eq!(by_node["metrics"].as_array().map(Vec::len), Some(1));
    assert_eq!(known(values(&by_node, "cpu")), CPU);

    let asked = QuerySeriesRequest {
        id: "host;a".to_owned(),
        metrics: vec!["cpu".to_owned()],
        from_unix_ms: by_node["from_unix_ms"].as_u64().expect("a time"),
        step_ms: 15_000,
        limit: 100,
        ..Default::default()
    };
    let mut client = ObserveClient::new(agent::channel(&aggregator).await);
    let over_grpc = client.query_series(asked).await.expect("it has some");
    let over_grpc = over_grpc.into_inner();
    let [cpu] = &over_grpc.metrics[..] else {
        panic!("{over_grpc:#?}");
    };
    let known: Vec<f64> = cpu
        .values
        .iter()
        .copied()
        .filter(|value| !value.is_nan())
        .collect();
    assert_eq!(
        (cpu.key.as_str(), known.as_slice()),
        ("cpu", CPU.as_slice())
    );

    // What the page draws continues these: the same names and units.
    let details = aggregator.json("/api/topology/hosts/host%3Ba").await;
    for shown in details["node"]["metrics"].as_array().expect("metrics") {
        let metrics = by_agent["metrics"].as_array().expect("metrics");
        let same = |one: &&Value| one["key"] == shown["key"] && one["unit"] == shown["unit"];
        assert!(metrics.iter().any(|one| same(&one)), "{shown:#}");
    }
}

#[tokio::test]
async fn containers_and_processes_have_series() {
    let aggregator = Aggregator::start(&[]);
    let mut changes = agent::client_side();
    changes.push(container("c0ffee", ContainerState::Running));
    let mut agent = Agent::with_snapshot(&aggregator, "a", changes).await;
    let told = vec![of_container("c0ffee", 0.05), of_process(100, 0.0125)];
    agent.send(SnapshotPart::None, told).await;
    agent.acknowledged().await;
    let process = "process;a;100;1000000000";
    for (view, id, cpu) in [
        ("containers", "container;c0ffee", 0.05),
        ("processes", process, 0.0125),
    ] {
        let answer = aggregator.json(&path(id, "last=1m&step=5s")).await;
        assert_eq!(known(values(&answer, "cpu")), [cpu], "{answer:#}");
        let encoded = id.replace(';', "%3B");
        let details = aggregator
            .json(&format!("/api/topology/{view}/{encoded}"))
            .await;
        for shown in details["node"]["metrics"].as_array().expect("metrics") {
            let key = shown["key"].as_str().expect("a key");
            assert!(!values(&answer, key).is_empty());
        }
    }
    let figure = "mesoscope_series_values_total{outcome=\"taken\"}";
    assert!(aggregator.metric(figure).await >= 12.0);
}

#[tokio::test]
async fn long_answers_go_on_at_their_cursor() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    tell_a_minute(&mut agent, 0).await;
    let whole = aggregator.json(&path("host;a", "last=5m&metric=cpu")).await;
    let (from, to) = (&whole["from_unix_ms"], &whole["to_unix_ms"]);
    let query = format!("from={from}&to={to}&metric=cpu&limit=6");
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = aggregator
            .json(&path("host;a", &format!("{query}{cursor}")))
            .await;
        assert!(values(&page, "cpu").len() <= 6);
        pages.extend_from_slice(values(&page, "cpu"));
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, values(&whole, "cpu"));
}

#[tokio::test]
async fn what_is_unknown_or_makes_no_sense_is_refused_with_a_reason() {
    let aggregator = Aggregator::start(&[]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    tell_a_minute(&mut agent, 0).await;
    let agents = "/api/v1/query/agents";
    for (path, status, word) in [
        (format!("{agents}/b/timeseries"), 404, "no agent"),
        (path("container;none", ""), 404, "no time series"),
        (path("process;a;1;x", ""), 404, "no time series"),
        (path("nonsense", ""), 404, "no time series"),
        (path("host;a", "metric=heat"), 400, "no metric"),
        (path("host;a", "from=2&to=1"), 400, "before"),
        (path("host;a", "from=99999999999999"), 400, "before"),
        (path("host;a", "to=soon"), 400, "to is no"),
        (path("host;a", "step=1s"), 400, "step"),
        (path("host;a", "limit=0"), 400, "limit"),
        (path("host;a", "cursor=x"), 400, "cursor"),
        (path("host;a", "sort=up"), 400, "sort"),
        (format!("{agents}/a/timeseries?last=x"), 400, "last"),
    ] {
        let refused = aggregator.get(&path).await;
        assert_eq!(refused.status, status, "{path}: {refused:?}");
        let body = refused.json();
        let error = body["error"].as_str().expect("an error");
        assert!(error.contains(word), "{path}: {error}");
        assert!(body["hint"].is_string());
    }
    assert_eq!(
        aggregator.post(&path("host;a", ""), &[], "").await.status,
        405
    );
}

#[tokio::test]
async fn agents_with_wrong_clocks_and_lies_harm_nobody() {
    let aggregator = Aggregator::start(&[]);
    let mut changes = agent::client_side();
    changes.push(container("c0ffee", ContainerState::Running));
    let mut honest = Agent::with_snapshot(&aggregator, "a", changes).await;
    // Three hours behind: what it tells is as old as its own clock says.
    tell_a_minute(&mut honest, -3 * 3_600_000_000_000).await;
    let told = vec![of_container("c0ffee", 0.05), of_process(100, 0.05)];
    honest.send(SnapshotPart::None, told).await;
    honest.acknowledged().await;
    let answer = aggregator.json(&path("host;a", "last=2m")).await;
    assert_eq!(known(values(&answer, "cpu")), CPU);

    let mut liar = Agent::with_snapshot(&aggregator, "b", agent::server_side()).await;
    let lies = vec![
        of_container("c0ffee", 9.0),
        container("c0ffee", ContainerState::Running),
        of_container("c0ffee", 0.02),
        of_process(100, 9.0),
        host(-1.0, 0),
        host(f64::NAN, 0),
    ];
    liar.send(SnapshotPart::None, lies).await;
    liar.acknowledged().await;
    for (id, cpu) in [
        ("container;c0ffee", 0.05),
        ("process;a;100;1000000000", 0.05),
        ("container;c0ffee;b", 0.02),
    ] {
        let answer = aggregator.json(&path(id, "last=1m")).await;
        assert_eq!(known(values(&answer, "cpu")), [cpu], "{id}");
    }
    let missing = aggregator.get(&path("process;b;100;1000000000", "")).await;
    assert_eq!(missing.status, 404);
    assert_eq!(aggregator.get(&path("host;b", "")).await.status, 404);
    let figure = "mesoscope_series_values_total{outcome=\"malformed\"}";
    assert!((aggregator.metric(figure).await - 20.0).abs() < 0.5);
}

#[tokio::test]
async fn series_survive_a_stream_and_their_memory_is_bounded_and_told() {
    let aggregator = Aggregator::start(&["--series-memory", "2MiB", "--series-retention", "5m"]);
    let mut agent = Agent::with_snapshot(&aggregator, "a", agent::client_side()).await;
    tell_a_minute(&mut agent, 0).await;
    drop(agent);
    let (mut agent, _) = Agent::connect(&aggregator, hello("a", 2, 0)).await;
    let answer = aggregator.json(&path("host;a", "last=2m")).await;
    assert_eq!(known(values(&answer, "cpu")), CPU);

    // More than fits: what is told last is refused, and the host keeps its series.
    let mut changes = agent::client_side();
    changes.extend((1_000..9_000).map(|pid| agent::process(pid, "many")));
    agent.send(SnapshotPart::Whole, changes).await;
    let figures = (1_000..9_000).map(|pid| of_process(pid, 0.5)).collect();
    agent.send(SnapshotPart::None, figures).await;
    agent.acknowledged().await;
    let bound = |what: &str| format!("mesoscope_bound_{what}{{bound=\"series_bytes\"}}");
    let limit = aggregator.metric(&bound("limit")).await;
    assert!((limit - f64::from(2 << 20)).abs() < 0.5);
    let used = aggregator.metric(&bound("used")).await;
    assert!(used > limit * 0.75 && used <= limit, "{used} of {limit}");
    let figure = "mesoscope_series_values_total{outcome=\"no room\"}";
    assert!(aggregator.metric(figure).await > 0.0);
    assert!(aggregator.metric("mesoscope_series").await > 1_000.0);
    let answer = aggregator.json(&path("host;a", "last=2m")).await;
    assert_eq!(known(values(&answer, "cpu")), CPU);
    let long = aggregator
        .json(&path("host;a", "last=1day&limit=100"))
        .await;
    assert!(values(&long, "cpu").len() <= 22, "no more than is kept");
}

#[test]
fn bounds_that_make_no_sense_are_refused_at_the_start() {
    for (flag, value) in [
        ("--series-retention", "1m"),
        ("--series-retention", "48h"),
        ("--series-memory", "1KiB"),
    ] {
        let output = binary::run(&[flag, value], &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(flag), "{text}");
    }
}
