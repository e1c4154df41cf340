use mesoscope_topology::{Options, View, ViewKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn report() -> Value {
    json!({
        "agent_id": "edge-router",
        "hostname": "edge-router.example",
        "host": {"os": "RouterOS", "interfaces": [{"name": "wan", "addresses": ["10.0.0.9"], "up": true}]},
        "processes": [{"key": {"pid": 7, "start_boottime_ns": 10_000_000}, "name": "proxy"}],
        "process_metrics": [{"key": {"pid": 7, "start_boottime_ns": 10_000_000}, "cpu_cores_used": 0.5}],
        "containers": [{"id": "4f1c2a9b7d03", "name": "cart", "state": "running"}],
        "listeners": [{"cookie": 1, "protocol": "tcp", "local": {"address": "10.0.0.9", "port": 443}}],
        "connections": [{"cookie": 2, "protocol": 1, "direction": "outbound",
            "local": {"address": "10.0.0.9", "port": 40_000},
            "remote": {"address": "10.0.0.2", "port": 80},
            "process": {"pid": 7, "start_boottime_ns": 10_000_000}}],
        "address_names": [{"address": "10.0.0.2", "name": "shop.example"}],
    })
}

fn parse(report: &Value) -> Result<Report, InvalidReport> {
    Report::parse(report.to_string().as_bytes())
}

#[test]
fn a_report_is_what_an_agents_snapshot_would_be() {
    let parsed = parse(&report()).expect("valid");
    assert_eq!(parsed.len(), 7);
    let mut topology = Topology::new(Limits::default());
    let events = &mut Vec::new();
    let agent = topology
        .connect_agent(&parsed.hello(), 1, events)
        .expect("admitted");
    topology.begin_snapshot(agent);
    for change in parsed.changes() {
        topology.apply(agent, change, 1, events).expect("taken");
    }
    topology.end_snapshot(agent, 1, events);
    let kind = ViewKind::Processes;
    let mut view = View::new(kind, Options::new(kind, &v1::ViewOptions::default()));
    let map = view.diff(&topology, 1).expect("the whole view");
    let node = map.nodes.iter().find(|node| node.label == "proxy");
    let node = node.expect("its process");
    assert_eq!(node.id, "process;edge-router;7;10000000");
    assert!(map.edges.iter().any(|edge| edge.source == node.id));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (path, value, named) in [
        ("/agent_id", json!(""), "agent_id"),
        ("/agent_id", json!("a;b"), "agent_id"),
        ("/hostname", json!("x".repeat(300)), "hostname"),
        (
            "/connections/0/cookie",
            json!(0),
            "connections[0]: the cookie",
        ),
        ("/connections/0/protocol", json!("sctp"), "sctp"),
        ("/connections/0/protocol", json!(77), "77"),
        ("/connections/0/remote/address", json!("10.0.0"), "10.0.0"),
        (
            "/connections/0/remote/port",
            json!(70_000),
            "connections[0]: the remote end",
        ),
        ("/processes/0/key/pid", json!(0), "processes[0]: the key"),
        ("/processes/0/key/pid", json!(-1), "-1"),
        ("/containers/0/id", json!("a b"), "containers[0]: the id"),
        ("/containers/0/state", json!("runing"), "runing"),
        ("/listeners/0/local", Value::Null, "listeners[0]"),
        ("/address_names/0/name", json!("a b"), "address_names[0]"),
    ] {
        let mut bad = report();
        *bad.pointer_mut(path).expect("there") = value.clone();
        let error = parse(&bad).expect_err("refused").to_string();
        assert!(error.contains(named), "{path} = {value}: {error}");
    }
    let mut unknown = report();
    unknown["processes"][0]["nmae"] = json!("x");
    let error = parse(&unknown).expect_err("refused");
    assert_eq!(
        error,
        InvalidReport::UnknownField("processes.0.nmae".to_owned())
    );
    assert!(matches!(
        parse(&json!({"agent": "a"})),
        Err(InvalidReport::Json(_))
    ));
    assert!(matches!(
        Report::parse(b"{} {}"),
        Err(InvalidReport::Json(_))
    ));
    let names: Vec<_> = (0..=ENTRIES_MAX).map(|_| json!({})).collect();
    let long = json!({"agent_id": "a", "gaps": names});
    assert_eq!(parse(&long), Err(InvalidReport::TooLong(ENTRIES_MAX + 1)));
}

/// Any JSON that has a little to do with a report.
fn nearly() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let places = prop::sample::select(vec![
        "/agent_id",
        "/hostname",
        "/generation",
        "/host",
        "/host/interfaces/0/addresses/0",
        "/processes/0",
        "/processes/0/key",
        "/processes/0/key/pid",
        "/process_metrics/0/cpu_cores_used",
        "/containers/0/id",
        "/containers/0/state",
        "/listeners/0/cookie",
        "/listeners/0/local",
        "/connections",
        "/connections/0/cookie",
        "/connections/0/direction",
        "/connections/0/remote/port",
        "/connections/0/local/address",
        "/address_names/0/address",
    ]);
    prop::collection::vec((places, leaf), 0..4).prop_map(|changes| {
        let mut report = report();
        for (place, value) in changes {
            if let Some(at) = report.pointer_mut(place) {
                *at = value;
            }
        }
        report
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Report::parse(&bytes);
    }

    #[test]
    fn no_cut_makes_it_panic(length in 0_usize..1_500) {
        let text = report().to_string();
        let cut = text.get(..length.min(text.len() - 1)).unwrap_or_default();
        prop_assert!(Report::parse(cut.as_bytes()).is_err());
    }

    /// What is accepted is taken in without a refusal, over whatever was there before.
    #[test]
    fn what_is_accepted_is_taken_in_whole(reports in prop::collection::vec(nearly(), 1..4)) {
        let mut topology = Topology::new(Limits::default());
        let events = &mut Vec::new();
        for (now_ms, report) in (1..).zip(&reports) {
            let Ok(report) = parse(report) else { continue };
            let agent = topology.connect_agent(&report.hello(), now_ms, events).expect("admitted");
            topology.begin_snapshot(agent);
            for change in report.changes() {
                let taken = topology.apply(agent, change, now_ms, events);
                prop_assert_eq!(taken, Ok(()));
            }
            topology.end_snapshot(agent, now_ms, events);
            topology.advance(now_ms + 2_000, events);
        }
    }
}
