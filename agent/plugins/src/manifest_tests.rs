use proptest::prelude::*;

use super::*;

const LEAST: &str = "{api: 1, name: a, user: nobody, command: [/bin/a], nodes: {host: true}";

fn with(more: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(&format!("{LEAST}{more}}}"))
}

#[test]
fn a_whole_manifest_says_what_it_says() {
    let manifest = Manifest::parse(
        r#"
api: 1
name: http-check
label: HTTP check
user: nobody
command: [/usr/bin/python3, /opt/check.py]
environment: { LEVEL: info }
limits: { memory: 64MiB, open_files: 32, processes: 4 }
interval: 30s
timeout: 1500ms
control_timeout: 1m
nodes:
  containers:
    - image: "nginx*"
      labels: { check: "*" }
    - name: web-1
  processes:
    - program: nginx
metadata:
  - { key: since, label: Since, type: time }
  - { key: answer, label: Answer }
metrics:
  - { key: took, label: Took, unit: ms, max: 500 }
tables:
  - { key: paths, label: Paths, columns: [Path, Answer] }
controls:
  - { key: again, label: Check again, confirm: Now? }
"#,
    )
    .expect("a good one");
    assert_eq!(
        (manifest.name.as_str(), manifest.label.as_str()),
        ("http-check", "HTTP check")
    );
    assert_eq!(manifest.interval, Duration::from_secs(30));
    assert_eq!(manifest.timeout, Duration::from_millis(1_500));
    assert_eq!(manifest.control_timeout, Duration::from_secs(60));
    let Source::Program { limits, .. } = manifest.source else {
        panic!("the agent starts it");
    };
    let expected = ProgramLimits {
        memory_bytes: 64 << 20,
        open_files: 32,
        processes: 4,
    };
    assert_eq!(limits, expected);
    assert_eq!(manifest.nodes.containers.len(), 2);
    assert_eq!(manifest.metadata[0].r#type, ValueType::Time);
    assert_eq!(manifest.metadata[1].r#type, ValueType::Text);
    assert!((manifest.metrics[0].max - 500.0).abs() < f64::EPSILON);
}

#[test]
fn the_least_there_is_gets_sane_limits() {
    let manifest = with("").expect("a good one");
    assert_eq!(manifest.label, "a");
    assert_eq!(manifest.interval, Duration::from_secs(10));
    assert_eq!(manifest.timeout, Duration::from_secs(2));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    for (more, hint) in [
        (", nodess: {}", "nodess"),
        (", socket: /run/a", "not both"),
        (", interval: 1ms", "from 1000 ms"),
        (", interval: soon", "interval"),
        (", interval: 1s, timeout: 2s", "longer than the interval"),
        (", limits: {memory: 1KiB}", "memory"),
        (", limits: {cpu: 1}", "cpu"),
        (", environment: {\"A=B\": c}", "A=B"),
        (", metadata: [{key: A, label: x}]", "small letters"),
        (
            ", metadata: [{key: a, label: x}, {key: a, label: y}]",
            "twice",
        ),
        (", metadata: [{key: a, label: \"x\\ny\"}]", "one line"),
        (", metadata: [{key: a, label: x, type: html}]", "html"),
        (", metrics: [{key: a, label: x, max: -1}]", "max"),
        (", metrics: [{key: a, label: x, max: .nan}]", "max"),
        (", tables: [{key: a, label: x, columns: []}]", "columns"),
        (", label: \"\\u0007\"", "label"),
    ] {
        let error = with(more).expect_err(more).to_string();
        assert!(error.contains(hint), "{more}: {error}");
    }
    for (text, hint) in [
        ("", "manifest"),
        ("[]", "manifest"),
        (
            "{api: 2, name: a, user: nobody, command: [/a], nodes: {host: true}}",
            "speaks 1",
        ),
        (
            "{api: 1, name: ../a, user: nobody, command: [/a], nodes: {host: true}}",
            "name",
        ),
        (
            "{api: 1, name: a, user: root, command: [/a], nodes: {host: true}}",
            "never as root",
        ),
        (
            "{api: 1, name: a, user: \"0\", command: [/a], nodes: {host: true}}",
            "never as root",
        ),
        (
            "{api: 1, name: a, user: nobody, command: [a], nodes: {host: true}}",
            "absolute",
        ),
        (
            "{api: 1, name: a, user: nobody, socket: a, nodes: {host: true}}",
            "absolute",
        ),
        (
            "{api: 1, name: a, user: nobody, nodes: {host: true}}",
            "neither",
        ),
        (
            "{api: 1, name: a, user: nobody, command: [/a], nodes: {}}",
            "nodes",
        ),
        (
            "{api: 1, name: a, user: nobody, command: [/a], nodes: {containers: [{}]}}",
            "name: \"*\"",
        ),
    ] {
        let error = Manifest::parse(text).expect_err(text).to_string();
        assert!(error.contains(hint), "{text}: {error}");
    }
}

#[test]
fn what_would_unfold_without_end_is_refused() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip("abcdefgh".chars())
    {
        let list = vec![format!("*{before}"); 9].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    assert!(Manifest::parse(&bomb).is_err());
    assert!(Manifest::parse(&"[".repeat(60_000)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_manifest_or_an_error(text in "\\PC{0,300}") {
        let _ = Manifest::parse(&text);
    }

    #[test]
    fn any_value_is_taken_or_refused(key in "[a-z_]{1,12}", value in "\\PC{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(manifest) = with(&format!(", {key}: \"{quoted}\"")) {
            prop_assert!(manifest.label.len() <= LABEL_BYTES_MAX);
        }
    }
}
