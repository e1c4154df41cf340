//! Search over HTTP.

use serde_json::Value;

use super::agent::{self, Agent};
use super::binary::Aggregator;

/// As in a query string.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// An agent whose host runs curl and `others` more processes.
async fn with_processes(aggregator: &Aggregator, others: u32) -> Agent {
    let mut changes = agent::client_side();
    for pid in 1_000..1_000 + others {
        changes.push(agent::process(pid, "worker"));
    }
    let mut agent = Agent::with_snapshot(aggregator, "a", changes).await;
    agent.acknowledged().await;
    agent
}

async fn search(aggregator: &Aggregator, text: &str, rest: &str) -> Value {
    let path = format!("/api/v1/search?q={}{rest}", encoded(text));
    aggregator.json(&path).await
}

fn labels(answer: &Value) -> Vec<&str> {
    let nodes = answer["nodes"].as_array().expect("a list").iter();
    nodes
        .map(|node| node["label"].as_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn nodes_are_found_in_every_view_with_the_field_that_matched() {
    let aggregator = Aggregator::start(&[]);
    let _agent = with_processes(&aggregator, 3).await;
    let answer = search(&aggregator, "command:/^.usr.bin.curl/ pid = 100", "").await;
    assert_eq!(labels(&answer), ["curl"], "{answer:#}");
    let node = &answer["nodes"][0];
    assert_eq!(node["view"], "processes");
    assert_eq!(node["id"], "process;a;100;1000000000");
    assert_eq!(node["field"]["key"], "command");
    assert_eq!(node["field"]["value"], "/usr/bin/curl --verbose");
    assert_eq!(answer["cursor"], Value::Null);

    let hosts = search(&aggregator, "client.example NOT kind:process", "").await;
    assert_eq!(hosts["nodes"][0]["id"], "host;a", "{hosts:#}");
    let only = search(&aggregator, "client.example", "&view=hosts").await;
    assert_eq!(labels(&only), ["client.example"]);
    let absent = search(&aggregator, "!worker kind:process view:processes", "").await;
    assert_eq!(labels(&absent), ["curl"]);
}

#[tokio::test]
async fn a_long_answer_comes_in_pages() {
    let aggregator = Aggregator::start(&[]);
    let _agent = with_processes(&aggregator, 1_200).await;
    let (mut cursor, mut ids) = (String::new(), Vec::new());
    loop {
        let page = search(
            &aggregator,
            "worker OR client.example",
            &format!("&limit=500{cursor}"),
        )
        .await;
        let nodes = page["nodes"].as_array().expect("a list");
        assert!(nodes.len() <= 500);
        ids.extend(
            nodes
                .iter()
                .map(|node| node["id"].as_str().expect("text").to_owned()),
        );
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let workers = ids.iter().filter(|id| id.starts_with("process;")).count();
    assert_eq!(workers, 1_201, "curl's second line names the host too");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "none twice");
}

#[tokio::test]
async fn keys_and_values_are_suggested() {
    let aggregator = Aggregator::start(&[]);
    let _agent = with_processes(&aggregator, 3).await;
    let complete = async |text: &str, rest: &str| {
        let path = format!("/api/v1/search/complete?q={}{rest}", encoded(text));
        aggregator.json(&path).await
    };
    let keys = complete("curl comm", "").await;
    assert_eq!(keys["suggestions"][0]["text"], "command:", "{keys:#}");
    assert_eq!(keys["suggestions"][0]["kind"], "key");
    assert_eq!((&keys["from"], &keys["to"]), (&5.into(), &9.into()));
    let values = complete("name:wo AND pid:1", "&at=7").await;
    assert_eq!(values["suggestions"][0]["text"], "worker", "{values:#}");
    assert_eq!(values["suggestions"][0]["nodes"], 3);
    assert_eq!((&values["from"], &values["to"]), (&5.into(), &7.into()));
    let nothing = complete("cpu > ", "&view=processes").await;
    assert_eq!(nothing["suggestions"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn bad_searches_are_refused_with_the_column() {
    let aggregator = Aggregator::start(&[]);
    for (path, error) in [
        ("search", "q is missing"),
        ("search?q=", "expected something to search for at column 1"),
        (
            "search?q=cpu%20%3E%3E%202",
            "cpu >> 2: expected a number after '>' at column 5",
        ),
        ("search?q=a&limit=0", "limit is from 1 to 5000"),
        ("search?q=a&limit=5001", "limit is from 1 to 5000"),
        ("search?q=a&cursor=x", "is no cursor"),
        (
            "search?q=a&cursor=hosts.1&view=processes",
            "the cursor is of the view hosts",
        ),
        ("search?q=a&view=pods", "there is no view"),
        ("search?q=a&sort=cpu", "unknown parameter"),
        ("search/complete?q=a&at=-1", "at is from 0"),
        ("search/complete?q=a&limit=1", "unknown parameter"),
    ] {
        let answer = aggregator.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        let body = answer.json();
        let text = body["error"].as_str().expect("text");
        assert!(text.contains(error), "{path}: {text}");
        assert!(!body["hint"].as_str().expect("text").is_empty());
    }
    assert_eq!(aggregator.post("/api/v1/search", &[], "").await.status, 405);
    let most = aggregator
        .metric("mesoscope_bound_limit{bound=\"searches\"}")
        .await;
    assert!(most > 0.0);
}
