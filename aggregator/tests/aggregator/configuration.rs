//! What the binary refuses to start with.

use super::binary::{self, Aggregator};
use super::page::Page;

fn refusal(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = binary::run(args, env);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{args:?}: {text}");
    text
}

#[test]
fn bad_configuration_exits_64_and_says_why() {
    let folder = tempfile::tempdir().expect("scratch folder");
    let file = folder.path().join("aggregator.toml");
    std::fs::write(&file, "port = 1\ngrcp_port = 2\n").expect("write");
    let file = file.to_str().expect("a path");
    assert!(refusal(&["--port", "many"], &[]).contains("--port"));
    assert!(refusal(&["--nonsense"], &[]).contains("--nonsense"));
    assert!(refusal(&["--config", file], &[]).contains(":2: unknown key \"grcp_port\""));
    assert!(refusal(&["--config", "/nowhere"], &[]).contains("/nowhere"));
    assert!(refusal(&[], &[("MESOSCOPE_MAX_DATA_AGE", "x")]).contains("MESOSCOPE_MAX_DATA_AGE"));
    assert!(refusal(&["--port", "5", "--grpc-port", "5"], &[]).contains("both 5"));
    assert!(refusal(&["--tls-cert", "x"], &[]).contains("--tls-key"));
    let missing = ["--tls-cert", "/no.crt", "--tls-key", "/no.key"];
    assert!(refusal(&missing, &[]).contains("/no.crt"));
    assert!(refusal(&["--agent-token-file", "/no.tokens"], &[]).contains("/no.tokens"));
    assert!(refusal(&["--log", "a=b=c"], &[]).contains("--log"));
}

#[test]
fn an_address_that_others_reach_needs_protection_or_the_word() {
    for how in [&["--host=0.0.0.0"][..], &["--host", "::"]] {
        let text = refusal(how, &[]);
        for wanted in ["TLS and authentication", "--tls-cert", "--insecure-listen"] {
            assert!(text.contains(wanted), "{text}");
        }
    }
    assert!(refusal(&[], &[("APP_HOST", "0.0.0.0")]).contains("--insecure-listen"));
}

#[tokio::test]
async fn an_insecure_aggregator_says_so_wherever_it_is_looked_at() {
    let aggregator = Aggregator::start(&["--host=0.0.0.0", "--insecure-listen"]);
    assert!((aggregator.metric("mesoscope_insecure_listen").await - 1.0).abs() < 0.1);
    assert_eq!(
        aggregator.json("/api/v1/status").await["insecure_listen"],
        true
    );
    let page = Page::open(&aggregator, "view=hosts").await;
    let said = page
        .view
        .incomplete
        .iter()
        .any(|one| one.message.contains("--insecure-listen"));
    assert!(said, "{:?}", page.view.incomplete);
    let topology = aggregator.json("/api/topology?view=hosts").await;
    assert!(
        topology["incomplete"]
            .to_string()
            .contains("--insecure-listen")
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let output = binary::run(&["--port", "0", "--grpc-port", &port], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("127.0.0.1:{port}")));
}

#[test]
fn the_configuration_can_be_printed() {
    let output = binary::run(&["--print-config"], &[("MAX_DATA_AGE", "2h")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("max_data_age = \"2h\" # environment variable MAX_DATA_AGE"),
        "{text}"
    );
    let output = binary::run(&["--print-config-reference"], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("`MESOSCOPE_HOST`, `APP_HOST`"), "{text}");
}
