//! One action on many containers.

use std::collections::BTreeMap;

use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{ContainerVerb, ControlResult};
use serde_json::{Value, json};

use super::agent::{Agent, host};
use super::binary::{Aggregator, Answer, eventually};
use super::control::{Control, container, id};

const JSON: (&str, &str) = ("content-type", "application/json");
const DIGITS: [char; 12] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b'];

async fn twelve(aggregator: &Aggregator) -> (Agent, Control) {
    let mut reported = vec![host("a.example", "10.0.0.1")];
    reported.extend(DIGITS.map(container));
    let mut agent = Agent::with_snapshot(aggregator, "a", reported).await;
    agent.acknowledged().await;
    let control = Control::open(aggregator, "a", 1).await;
    let path = format!("/api/topology/containers/container%3B{}", id('1'));
    eventually("the containers can be controlled", async || {
        let details = aggregator.json(&path).await;
        (details["control"]["available"] == true).then_some(())
    })
    .await;
    (agent, control)
}

async fn ask(aggregator: &Aggregator, body: Value) -> Answer {
    aggregator
        .post("/api/v1/control/bulk", &[JSON], &body.to_string())
        .await
}

#[tokio::test]
async fn each_of_many_is_done_told_and_recorded_and_no_more_than_eight_at_once() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = twelve(&aggregator).await;
    let mut containers: Vec<String> = DIGITS.map(id).to_vec();
    containers.push("nowhere".to_owned());
    let body = json!({ "action": "stop", "containers": containers });
    let carried_out = async {
        let mut waiting = Vec::new();
        let mut done = 0;
        while done < DIGITS.len() {
            // Eight come without one being answered, and then one for each that is.
            while waiting.len() < 8.min(DIGITS.len() - done) {
                let (number, message) = control.asked().await.expect("asked");
                let Message::Action(action) = message else {
                    panic!("{message:?}");
                };
                assert_eq!(action.verb(), ContainerVerb::Stop);
                waiting.push((number, action.container_id));
            }
            if done == 0 {
                let patience = std::time::Duration::from_millis(300);
                let ninth = tokio::time::timeout(patience, control.requests.message()).await;
                assert!(ninth.is_err(), "{ninth:?}");
            }
            let (number, container) = waiting.remove(0);
            if container == id('3') {
                let said = "it is paused";
                control.end(number, ControlResult::Conflict, said).await;
            } else {
                control.end(number, ControlResult::Done, "").await;
            }
            done += 1;
        }
    };
    let (answer, ()) = tokio::join!(ask(&aggregator, body), carried_out);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let told: BTreeMap<String, Value> = answer
        .body
        .lines()
        .map(|line| {
            let told: Value = serde_json::from_str(line).expect("JSON");
            let container = told["container"].as_str().expect("a name").to_owned();
            (container, told)
        })
        .collect();
    assert_eq!(told.len(), 13);
    for (container, told) in &told {
        let status = match container {
            one if *one == id('3') => 409,
            one if one == "nowhere" => 404,
            _ => 204,
        };
        assert_eq!(told["status"], status, "{told}");
    }
    assert_eq!(told[&id('3')]["error"], "it is paused");
    let audit = aggregator.json("/api/v1/audit?limit=100").await;
    let entries = audit["entries"].as_array().expect("a list");
    let of = |outcome: &str| {
        let stops = entries
            .iter()
            .filter(|entry| entry["action"] == "container.stop");
        stops.filter(|entry| entry["outcome"] == outcome).count()
    };
    assert_eq!((of("started"), of("done")), (12, 11));
}

#[tokio::test]
async fn what_makes_no_sense_does_nothing() {
    let aggregator = Aggregator::start(&[]);
    let (_agent, mut control) = twelve(&aggregator).await;
    for (body, status) in [
        (json!({ "action": "stop", "containers": [] }), 400),
        (
            json!({ "action": "stop", "containers": [id('1'), id('1')] }),
            400,
        ),
        (
            json!({ "action": "stop", "containers": vec!["x"; 201] }),
            400,
        ),
        (json!({ "action": "dance", "containers": [id('1')] }), 422),
        (json!({ "containers": [id('1')] }), 422),
    ] {
        let answer = ask(&aggregator, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.json()["hint"].is_string(), "{answer:?}");
    }
    let patience = std::time::Duration::from_millis(300);
    let none = tokio::time::timeout(patience, control.requests.message()).await;
    assert!(none.is_err(), "the agent was asked");
}
