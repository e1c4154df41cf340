//! Each command against a scripted `Observe` server.

use std::process::Stdio;
use std::sync::Mutex;

use super::program::{mesoscope, run, text};
use super::scripted::{Script, serve};
use mesoscope_proto::v1::{
    AgentInfo, AgentStatus, Capability, Edge, Event, EventBatch, EventKind, Field, FoundNode,
    Incomplete, ListAgentsResponse, Metric, MetricSeries, Node, NodeDetails, Process, ProcessKey,
    QuerySeriesResponse, SearchResponse, Section, Tier2, Tier2State, TopologyDiff,
};
use tokio::io::{AsyncBufReadExt, BufReader};

fn exec(pid: u32, argument: &str) -> Event {
    Event {
        kind: EventKind::ProcessExec.into(),
        time_unix_ns: 1_700_000_000_000_000_000,
        hostname: "node-1".into(),
        process: Some(Process {
            key: Some(ProcessKey {
                pid,
                start_boottime_ns: 1,
            }),
            name: "sh".into(),
            argv: vec!["sh".into(), "-c".into(), argument.into()],
            ..Process::default()
        }),
        ..Event::default()
    }
}

fn node(id: &str, label: &str, cpu: f64) -> Node {
    Node {
        id: id.into(),
        kind: "container".into(),
        label: label.into(),
        state: "running".into(),
        metrics: vec![Metric {
            key: "cpu".into(),
            value: cpu,
            ..Metric::default()
        }],
        ..Node::default()
    }
}

fn view() -> TopologyDiff {
    TopologyDiff {
        view: "containers".into(),
        reset: true,
        nodes: vec![
            node("container;aaaaaaaaaaaa", "web", 0.1),
            node("container;bbbbbbbbbbbb", "db", 0.9),
        ],
        edges: vec![Edge {
            id: "e".into(),
            source: "container;aaaaaaaaaaaa".into(),
            target: "container;bbbbbbbbbbbb".into(),
            protocol: "tcp".into(),
            ports: vec![5432],
            connections_open: 3,
            ..Edge::default()
        }],
        incomplete: vec![Incomplete {
            message: "events were lost".into(),
            ..Incomplete::default()
        }],
        incomplete_changed: true,
        ..TopologyDiff::default()
    }
}

#[tokio::test]
async fn events_are_lines_and_flat_json_and_the_filters_reach_the_server() {
    let script = Script {
        events: vec![EventBatch {
            events: vec![exec(1, "one"), exec(2, "two"), exec(3, "three")],
            missed: 7,
        }],
        ..Script::default()
    };
    let (address, script) = serve(script).await;
    let output = run(
        address,
        &[
            "events",
            "-n",
            "2",
            "--kind",
            "process",
            "--host",
            "node-1",
            "--container",
            "web",
            "--process",
            "sh",
        ],
    )
    .await;
    assert!(output.status.success());
    let lines: Vec<String> = text(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].contains("exec") && lines[1].ends_with("sh -c two  (pid 2)"),
        "{lines:?}"
    );
    assert!(!text(&output).contains('\u{1b}'), "no colours into a pipe");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("7 events missed"), "{errors}");
    let asked = script.asked.lock().expect("not poisoned").join("\n");
    for part in [
        "ProcessStarted",
        "ProcessExec",
        "ProcessExited",
        "\"node-1\"",
        "\"web\"",
        "process: \"sh\"",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }

    let output = run(address, &["events", "-n", "1", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&text(&output)).expect("one object");
    assert_eq!(value["kind"], "process_exec");
    assert_eq!(value["argv"][2], "one");
}

#[tokio::test]
async fn a_topology_is_two_tables_and_what_it_lacks() {
    let (address, _script) = serve(Script {
        diffs: vec![view()],
        ..Script::default()
    })
    .await;
    let output = text(&run(address, &["topology"]).await);
    assert!(output.contains("NODE"), "{output}");
    let edge = output
        .lines()
        .find(|line| line.contains("tcp 5432"))
        .expect("the edge");
    assert!(edge.starts_with("web") && edge.contains("db"), "{edge}");
    assert!(output.contains("incomplete: events were lost"), "{output}");

    let json = text(&run(address, &["topology", "--json"]).await);
    let value: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(value["nodes"][0]["label"], "web");
}

#[tokio::test]
async fn a_topology_of_the_past_says_when_it_was() {
    let (address, script) = serve(Script {
        diffs: vec![TopologyDiff {
            past: true,
            time_unix_ms: 1_795_262_402_000,
            ..view()
        }],
        ..Script::default()
    })
    .await;
    let at = "2026-11-21T12:00:03Z";
    let output = text(&run(address, &["topology", "--at", at]).await);
    assert!(
        output.starts_with("as it was at 2026-11-21T12:00:02"),
        "{output}"
    );
    let asked = script.asked.lock().expect("not poisoned").join("\n");
    assert!(asked.contains("at_unix_ms: 1795262403000"), "{asked}");
    let nonsense = run(address, &["topology", "--at", "yesterday"]).await;
    assert_eq!(nonsense.status.code(), Some(64));
    let both = run(address, &["topology", "--at", "10m", "--watch"]).await;
    assert_eq!(both.status.code(), Some(64));
}

#[tokio::test]
async fn top_once_puts_the_busiest_first() {
    let (address, _script) = serve(Script {
        diffs: vec![view()],
        ..Script::default()
    })
    .await;
    let output = text(&run(address, &["top", "--once", "--view", "containers"]).await);
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].starts_with("CPU %"), "{output}");
    assert!(
        lines[1].starts_with("90.0") && lines[1].contains("db"),
        "{output}"
    );
    assert!(lines[2].contains("web"), "{output}");
}

#[tokio::test]
async fn agents_show_what_they_lack() {
    let (address, _script) = serve(Script {
        agents: ListAgentsResponse {
            agents: vec![AgentInfo {
                agent_id: "a".into(),
                hostname: "node-1".into(),
                connected: true,
                status: Some(AgentStatus {
                    capabilities: vec![Capability {
                        name: "docker".into(),
                        reason: "no socket".into(),
                        ..Capability::default()
                    }],
                    ..AgentStatus::default()
                }),
                ..AgentInfo::default()
            }],
        },
        ..Script::default()
    })
    .await;
    let output = text(&run(address, &["agents"]).await);
    assert!(
        output.contains("node-1 lacks docker: no socket"),
        "{output}"
    );
    let json = text(&run(address, &["agents", "--json"]).await);
    let value: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(value["status"]["capabilities"][0]["name"], "docker");
}

#[tokio::test]
async fn a_node_is_found_by_its_name() {
    let id = "container;aaaaaaaaaaaa";
    let (address, _script) = serve(Script {
        diffs: vec![view()],
        node: Some(NodeDetails {
            node: Some(node(id, "web", 0.0)),
            sections: vec![Section {
                title: "Container".into(),
                fields: vec![Field {
                    label: "Image".into(),
                    value: "nginx:1.25".into(),
                    r#type: "text".into(),
                    ..Field::default()
                }],
            }],
            tier2: Some(Tier2 {
                state: Tier2State::Node.into(),
                ..Tier2::default()
            }),
            ..NodeDetails::default()
        }),
        ..Script::default()
    })
    .await;
    for name in [id, "web", "aaaaaaaa"] {
        let output = text(&run(address, &["node", "containers", name]).await);
        assert!(output.contains("  Image  nginx:1.25"), "{name}: {output}");
        assert!(
            output.contains("  on for the whole node"),
            "{name}: {output}"
        );
    }
    let output = run(address, &["node", "containers", "nothing"]).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("no node of the containers view is called \"nothing\""),
        "{errors}"
    );
}

#[tokio::test]
async fn a_search_goes_through_all_parts_of_the_answer() {
    let found = |label: &str, cursor: &str| SearchResponse {
        nodes: vec![FoundNode {
            view: "containers".into(),
            id: format!("container;{label}"),
            label: label.into(),
            field: Some(Field {
                label: "Image".into(),
                value: "nginx".into(),
                ..Field::default()
            }),
            ..FoundNode::default()
        }],
        cursor: cursor.into(),
    };
    let script = || Script {
        found: Mutex::new([found("web", "containers.7"), found("proxy", "")].into()),
        ..Script::default()
    };
    let (address, asked) = serve(script()).await;
    let arguments = ["search", "image:nginx", "cpu > 2%", "--view", "containers"];
    let output = text(&run(address, &arguments).await);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    assert!(
        lines[1].contains("web") && lines[1].contains("Image: nginx"),
        "{output}"
    );
    assert!(lines[2].contains("container;proxy"), "{output}");
    let asked = asked.asked.lock().expect("no panic").join("\n");
    for part in ["image:nginx", "cpu > 2%", "containers.7"] {
        assert!(asked.contains(part), "{asked}");
    }
    let (address, _script) = serve(script()).await;
    let output = text(&run(address, &["search", "nginx", "-n", "1"]).await);
    assert!(output.contains("there may be more"), "{output}");
    assert!(!output.contains("proxy"), "{output}");
}

#[tokio::test]
async fn a_series_has_a_line_for_each_step_and_says_what_is_not_known() {
    let part = |from_unix_ms: u64, values: Vec<f64>, cursor: &str| QuerySeriesResponse {
        from_unix_ms,
        step_ms: 15_000,
        metrics: vec![MetricSeries {
            key: "cpu".into(),
            unit: "cores".into(),
            values,
        }],
        cursor: cursor.into(),
        ..QuerySeriesResponse::default()
    };
    let start_ms = 1_700_000_010_000;
    let parts = [
        part(start_ms, vec![0.25, f64::NAN], "1"),
        part(start_ms + 30_000, vec![0.5], ""),
    ];
    let (address, asked) = serve(Script {
        series: Mutex::new(parts.into()),
        ..Script::default()
    })
    .await;
    let arguments = ["series", "host;a", "--metric", "cpu", "--last", "1h"];
    let output = text(&run(address, &arguments).await);
    let lines: Vec<Vec<&str>> = output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["FROM", "cpu", "[cores]"]);
    assert_eq!(lines[1], ["2023-11-14T22:13:30.000Z", "0.25"]);
    assert_eq!(lines[2], ["2023-11-14T22:13:45.000Z", "-"]);
    assert_eq!(lines[3], ["2023-11-14T22:14:00.000Z", "0.5"]);
    let asked = asked.asked.lock().expect("no panic").join("\n");
    assert!(
        asked.contains("step_ms: 15000") && !asked.contains("from_unix_ms: 0"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_is_begun_again() {
    let (address, script) = serve(Script {
        events: vec![EventBatch {
            events: vec![exec(1, "one")],
            missed: 0,
        }],
        end_streams: true,
        ..Script::default()
    })
    .await;
    let output = run(address, &["events", "-n", "3"]).await;
    assert!(output.status.success());
    assert_eq!(text(&output).lines().count(), 3);
    assert_eq!(script.asked.lock().expect("not poisoned").len(), 3);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("the aggregator is away"), "{errors}");
}

#[tokio::test]
async fn failures_are_told_apart_by_words_and_exit_code() {
    // Nobody listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback");
    let output = run(free, &["agents"]).await;
    assert_eq!(output.status.code(), Some(69));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("cannot reach the aggregator") && errors.contains("is it running?"),
        "{errors}"
    );

    for wrong in [
        &["events", "--kind", "nonsense"][..],
        &["topology", "--view", "pods"],
        &["--tls-ca", "no.pem", "agents"],
    ] {
        let output = run(free, wrong).await;
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
    }
    let clear = &["--token-file", "token", "agents"];
    for (server, wrong) in [
        ("not a url", &["agents"][..]),
        ("http://10.0.0.1:4041", clear),
    ] {
        let output = mesoscope(server, wrong).output().await.expect("runs");
        assert_eq!(output.status.code(), Some(64), "{server}");
    }
}

#[tokio::test]
async fn a_token_lets_us_in_and_its_absence_is_explained() {
    let token = "0123456789abcdef";
    let (address, _script) = serve(Script {
        token: Some(token),
        ..Script::default()
    })
    .await;
    let output = run(address, &["agents"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-file"));
    let file = tempfile::NamedTempFile::new().expect("scratch file");
    std::fs::write(file.path(), token).expect("writable");
    let path = file.path().to_string_lossy().into_owned();
    let output = run(address, &["--token-file", &path, "agents"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output), "no agent has reported yet\n");
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() {
    let (address, _script) = serve(Script {
        events: vec![
            EventBatch {
                events: vec![exec(1, "line"); 2000],
                missed: 0,
            };
            20
        ],
        ..Script::default()
    })
    .await;
    let mut child = mesoscope(&format!("http://{address}"), &["events"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    reader.read_line(&mut line).await.expect("a line");
    drop(reader);
    let output = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait_with_output())
        .await
        .expect("ends")
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
