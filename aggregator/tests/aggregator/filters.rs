//! Saved filters.

use serde_json::{Value, json};

use super::access::Guarded;
use super::binary::{Aggregator, Answer};

const PATH: &str = "/api/v1/filters";

fn body(name: &str, search: &str, shared: bool) -> String {
    json!({ "name": name, "search": search, "shared": shared }).to_string()
}

async fn save(guarded: &Guarded, token: &str, body: &str) -> Answer {
    guarded.ask(token, "POST", PATH, body).await
}

async fn names(guarded: &Guarded, token: &str) -> Vec<String> {
    let list = guarded.ask(token, "GET", PATH, "").await;
    assert_eq!(list.status, 200, "{list:?}");
    let list = list.json();
    let filters = list["filters"].as_array().expect("a list");
    let mut names: Vec<String> = filters
        .iter()
        .map(|filter| filter["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn everyone_has_their_own_and_operators_share_with_all() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    let (_, viewer) = guarded.token("viewer", "1h").await;
    let (_, operator) = guarded.token("operator", "1h").await;

    let own = save(&guarded, &viewer, &body("busy", "cpu > 2%", false)).await;
    assert_eq!(own.status, 201, "{own:?}");
    let own = own.json();
    assert_eq!(own["owner"]["name"], "viewer");
    let refused = save(&guarded, &viewer, &body("shop", "shop", true)).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let shared = save(&guarded, &operator, &body("shop", "labels:team=shop", true)).await;
    assert_eq!(shared.status, 201, "{shared:?}");
    assert_eq!(names(&guarded, &viewer).await, ["busy", "shop"]);
    assert_eq!(names(&guarded, &operator).await, ["shop"]);

    let at = |filter: &Value| format!("{PATH}/{}", filter["id"].as_str().expect("an id"));
    let (own_path, shared_path) = (at(&own), at(&shared.json()));
    for method in ["GET", "DELETE"] {
        let other = guarded.ask(&operator, method, &own_path, "").await;
        assert_eq!(other.status, 404, "not even an operator: {other:?}");
    }
    let refused = guarded.ask(&viewer, "DELETE", &shared_path, "").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let refused = guarded
        .ask(&viewer, "PUT", &shared_path, &body("mine", "x", false))
        .await;
    assert_eq!(refused.status, 403, "it can't be taken away: {refused:?}");
    let changed = guarded
        .ask(&viewer, "PUT", &own_path, &body("busy", "cpu > 50%", false))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let read = guarded.ask(&viewer, "GET", &own_path, "").await.json();
    assert_eq!(read["search"], "cpu > 50%");
    let gone = guarded.ask(&operator, "DELETE", &shared_path, "").await;
    assert_eq!(gone.status, 204, "{gone:?}");

    let dump = "/api/v1/debug/report";
    assert_eq!(guarded.ask(&operator, "GET", dump, "").await.status, 403);
    let report = guarded.ask(&guarded.admin, "GET", dump, "").await;
    assert_eq!(report.status, 200, "{report:?}");

    // What concerns everyone is in the audit, and nobody's own.
    let audit = guarded.audit().await;
    let of_filters: Vec<(&str, &str)> = audit
        .iter()
        .rev()
        .filter(|entry| entry["outcome"] == "done")
        .map(|entry| (entry["action"].as_str(), entry["target"].as_str()))
        .filter_map(|(action, target)| Some((action?, target?)))
        .filter(|(action, _)| action.starts_with("filter."))
        .collect();
    assert_eq!(
        of_filters,
        [("filter.create", "shop"), ("filter.remove", "shop")],
        "{audit:#?}"
    );
}

#[tokio::test]
async fn they_survive_a_restart_and_are_listed_in_parts() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let data = format!("--data-dir={}", scratch.path().display());
    let json = [("content-type", "application/json")];
    let aggregator = Aggregator::start(&[&data]);
    for name in ["one", "two", "three"] {
        let saved = aggregator
            .post(PATH, &json, &body(name, "redis", true))
            .await;
        assert_eq!(saved.status, 201, "{saved:?}");
    }
    let before = aggregator.json(PATH).await;
    assert_eq!(before["kept"], true);
    drop(aggregator);

    let aggregator = Aggregator::start(&[&data]);
    assert_eq!(aggregator.json(PATH).await["filters"], before["filters"]);
    let first = aggregator.json(&format!("{PATH}?limit=2")).await;
    assert_eq!(first["filters"].as_array().expect("a list").len(), 2);
    let cursor = first["cursor"].as_str().expect("there is more");
    let rest = aggregator
        .json(&format!("{PATH}?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(rest["filters"][0], before["filters"][2]);
    assert_eq!(rest["cursor"], Value::Null);
    let metrics = aggregator.get("/metrics").await.body;
    assert!(metrics.contains("mesoscope_bound_used{bound=\"filters\"} 3"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_strangers_keep_nothing() {
    let aggregator = Aggregator::start(&[]);
    let json = [("content-type", "application/json")];
    for (bad, status) in [
        (body("", "redis", false), 400),
        (body("a", "cpu >> 2", false), 400),
        (body("a", "", false), 400),
        ("{".to_owned(), 400),
        ("{\"name\":\"a\"}".to_owned(), 422),
        ("{\"name\":\"a\",\"search\":\"b\",\"x\":1}".to_owned(), 422),
    ] {
        let refused = aggregator.post(PATH, &json, &bad).await;
        assert_eq!(refused.status, status, "{bad}: {refused:?}");
        assert!(refused.json()["error"].is_string());
    }
    let saved = aggregator.post(PATH, &json, &body("a", "b", false)).await;
    assert_eq!(saved.status, 201);
    let taken = aggregator.post(PATH, &json, &body("a", "c", false)).await;
    assert_eq!(taken.status, 409, "{taken:?}");
    let list = aggregator.json(PATH).await;
    assert_eq!(list["filters"].as_array().expect("a list").len(), 1);
    assert_eq!(list["kept"], false);

    let open = Aggregator::start(&["--host=0.0.0.0", "--insecure-listen"]);
    let refused = open.post(PATH, &json, &body("a", "b", false)).await;
    assert_eq!(refused.status, 403, "{refused:?}");
}
