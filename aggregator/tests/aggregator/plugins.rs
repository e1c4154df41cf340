//! What plugins of an agent say and offer, by REST: details, search, controls and their audit.

use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    Change, ControlResult, PluginControl, PluginFacts, PluginField, PluginMetric, SnapshotPart,
};

use super::agent::Agent;
use super::binary::{Aggregator, eventually};
use super::control::{Control, connected, id};

const HOSTILE: &str = "<script>alert(1)</script>";

async fn told(aggregator: &Aggregator) -> (Agent, Control) {
    let (mut agent, control) = connected(aggregator).await;
    let facts = PluginFacts {
        plugin: "http-check".into(),
        label: "HTTP check".into(),
        container_id: id('1'),
        metadata: vec![PluginField {
            key: "http".into(),
            label: "Answer".into(),
            value: HOSTILE.into(),
            r#type: "text".into(),
        }],
        metrics: vec![PluginMetric {
            key: "http_ms".into(),
            label: "Time to answer".into(),
            value: 12.5,
            unit: "ms".into(),
            max: 0.0,
        }],
        controls: vec![PluginControl {
            key: "forget".into(),
            label: "Forget".into(),
            confirm: String::new(),
        }],
        ..PluginFacts::default()
    };
    let change = Change {
        change: Some(Kind::PluginFacts(facts)),
    };
    agent.send(SnapshotPart::None, vec![change]).await;
    agent.acknowledged().await;
    (agent, control)
}

fn path(control: &str) -> String {
    let node = id('1');
    format!("/api/topology/containers/container%3B{node}/plugins/http-check/{control}")
}

#[tokio::test]
async fn what_a_plugin_says_is_in_the_details_and_found() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, _control) = told(&aggregator).await;
    let details = format!("/api/topology/containers/container%3B{}", id('1'));
    let plugins = eventually("the facts are there", async || {
        let details = aggregator.json(&details).await;
        (details["plugins"] != serde_json::json!([])).then(|| details["plugins"].clone())
    })
    .await;
    assert_eq!(plugins[0]["plugin"], "http-check");
    assert_eq!(plugins[0]["metadata"][0]["value"], HOSTILE);
    assert_eq!(plugins[0]["metrics"][0]["value"], 12.5);
    for search in ["http:alert", "plugin:http-check", "http_ms%20%3E%2010"] {
        let found = aggregator.json(&format!("/api/v1/search?q={search}")).await;
        let text = found.to_string();
        assert!(text.contains(&id('1')), "{search}: {text}");
    }
}

#[tokio::test]
async fn a_control_is_pressed_through_the_agent_and_recorded() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = told(&aggregator).await;
    for (result, said, status) in [
        (ControlResult::Done, "3 checks are forgotten", 200),
        (ControlResult::NotFound, "it offers none there now", 404),
        (ControlResult::Busy, "another is under way", 503),
        (ControlResult::Unavailable, "no answer within 30000 ms", 503),
        (ControlResult::Failed, "it answers 500: no", 502),
    ] {
        let pressed = async {
            let (number, message) = control.asked().await.expect("asked");
            let Message::Press(press) = message else {
                panic!("{message:?}");
            };
            assert_eq!(
                (press.plugin.as_str(), press.control.as_str()),
                ("http-check", "forget")
            );
            assert_eq!((press.container_id, press.process), (id('1'), None));
            control.end(number, result, said).await;
        };
        let asked = path("forget");
        let (answer, ()) = tokio::join!(aggregator.post(&asked, &[], ""), pressed);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
    }
    let audit = aggregator.json("/api/v1/audit").await.to_string();
    assert!(audit.contains("plugin.http-check.forget"), "{audit}");
    assert!(
        audit.contains("\"done\"") && audit.contains("\"failed\""),
        "{audit}"
    );

    // What is not offered is asked of nobody.
    for (asked, status) in [
        (path("reboot"), 404),
        (path("forget").replace("http-check", "other"), 404),
        (path("forget").replace(&id('1'), &id('2')), 404),
        (path("forget").replace("/containers/", "/nonsense/"), 400),
    ] {
        let answer = aggregator.post(&asked, &[], "").await;
        assert_eq!(answer.status, status, "{asked}: {answer:?}");
    }
    // A page of another site can't press in somebody's name.
    let foreign = [("origin", "http://evil.example")];
    let answer = aggregator.post(&path("forget"), &foreign, "").await;
    assert_eq!(answer.status, 403, "{answer:?}");
}
