//! Requests that Schemathesis makes up from the OpenAPI document, good ones and bad ones: no 5xx,
//! nothing that the document does not tell, and what an agent has told stays as it was.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::agent::{Agent, server_side};
use super::binary::Aggregator;
use super::control::container;

const CONFIG: &str =
    "[checks]\nnot_a_server_error.expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 503]\n";
const READER: &str = "the-token-of-who-looks-whether-it-is-all-there";
/// How long requests are made up; the whole takes little longer.
const SECONDS: &str = "40";
const DEADLINE: Duration = Duration::from_secs(180);
/// A good request by the document may still make no sense (a duration, a cursor, a container's id):
/// that is answered with 400, and said in words. So `positive_data_acceptance` is not among these, nor
/// `ignored_auth`: wrong tokens are soon answered with 429.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,\
    unsupported_method,allow_header_conformance";

fn schemathesis() -> PathBuf {
    let program = "../target/tools/schemathesis/bin/schemathesis";
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    assert!(
        program.is_file(),
        "run `cargo xtask setup test` first: it installs Schemathesis"
    );
    program
}

#[tokio::test]
async fn made_up_requests_find_no_5xx_and_nothing_that_the_document_does_not_tell() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let data = format!("--data-dir={}", scratch.path().display());
    let readers = scratch.path().join("readers.tokens");
    std::fs::write(&readers, READER).expect("write");
    let readers = format!("--user-token-file={}", readers.display());
    // People have to sign in; agents do not, so that reports are made up as well.
    let aggregator = Aggregator::start(&["--require-sign-in", &data, &readers]);
    let token = std::fs::read_to_string(scratch.path().join("initial-admin-token"));
    let bearer = format!("Bearer {READER}");
    let mut snapshot = server_side();
    snapshot.push(container('1'));
    let mut agent = Agent::with_snapshot(&aggregator, "real", snapshot).await;
    agent.acknowledged().await;
    let told = async || {
        let headers = [("authorization", bearer.as_str())];
        let path = "/api/topology/containers/container%3B".to_owned() + &"1".repeat(64);
        let container = aggregator.request("GET", &path, &headers, "").await.json();
        let path = "/api/v1/search?q=nginx";
        let found = aggregator.request("GET", path, &headers, "").await.json();
        let path = "/api/v1/query/agents/real/latest";
        let agent = aggregator.request("GET", path, &headers, "").await.json();
        (
            container["node"]["label"].clone(),
            container["node"]["state"].clone(),
            found["nodes"].as_array().map(Vec::len),
            agent["agent"]["hostname"].clone(),
        )
    };
    let before = told().await;
    assert_eq!(before.0, "web-1", "{before:?}");
    let admin = token.expect("an admin's token");
    let header = format!("Authorization: Bearer {}", admin.trim());
    // 503 is an answer like others where an agent is to be asked that is not there for it.
    let config = scratch.path().join("schemathesis.toml");
    std::fs::write(&config, CONFIG).expect("write");
    let run = Command::new(schemathesis())
        .arg("--config-file")
        .arg(&config)
        .arg("run")
        .arg(format!("http://{}/api/openapi.json", aggregator.http))
        .args(["--header", &header, "--checks", CHECKS])
        .args(["--phases", "coverage,fuzzing", "--max-examples", "15"])
        .args(["--max-time", SECONDS, "--request-timeout", "20"])
        .args(["--continue-on-failure", "--warnings", "off", "--no-color"])
        // The token that it shows itself would be revoked, and all the rest be 401.
        .args(["--exclude-operation-id", "revoke_token"])
        // An answer that goes on for as long as the client listens.
        .args(["--exclude-path", "/api/containers/{id}/logs"])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(DEADLINE, run).await;
    let run = run.expect("it ends in time").expect("it runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(said.contains("generated"), "it made some up: {said}");
    assert_eq!(told().await, before, "what the agent told is as it was");
    agent
        .send(mesoscope_proto::v1::SnapshotPart::None, Vec::new())
        .await;
    agent.acknowledged().await;
}
