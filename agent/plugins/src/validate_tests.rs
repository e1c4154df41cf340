use mesoscope_proto::v1::ProcessKey;
use proptest::prelude::*;

use super::*;
use crate::nodes;

fn manifest() -> Manifest {
    Manifest::parse(
        "{api: 1, name: a, label: The A, user: nobody, command: [/a], nodes: {host: true}, \
         metadata: [{key: text, label: Text}, {key: size, label: Size, type: bytes}, \
         {key: number, label: Number, type: number}, {key: when, label: When, type: time}], \
         metrics: [{key: load, label: Load, unit: '%', max: 100}], \
         tables: [{key: rows, label: Rows, columns: [A, B]}], \
         controls: [{key: go, label: Go, confirm: 'Really?'}]}",
    )
    .expect("a manifest")
}

fn asked() -> Vec<Seen> {
    let key = ProcessKey {
        pid: 7,
        start_boottime_ns: 9,
    };
    vec![nodes::host("h"), nodes::process(key, "p", "/bin/p", "")]
}

fn taken(facts: NodeFacts) -> Taken {
    take(&manifest(), &asked(), Report { nodes: vec![facts] })
}

fn host() -> NodeFacts {
    NodeFacts::new("host")
}

#[test]
fn what_is_declared_is_taken_with_what_the_manifest_says_of_it() {
    let row = vec!["1".to_owned(), "2".to_owned()];
    let told = host()
        .metadatum("text", "<script>alert(1)</script>")
        .metadatum("size", 12)
        .metric("load", 1.5)
        .table("rows", vec![row.clone()])
        .control("go");
    let taken = taken(told);
    assert_eq!(taken.refusals, Refusals::default());
    let facts = &taken.facts[&Target::Host];
    assert_eq!(
        (facts.plugin.as_str(), facts.label.as_str()),
        ("a", "The A")
    );
    assert_eq!(facts.metadata[0].value, "<script>alert(1)</script>");
    assert_eq!(
        (
            facts.metadata[1].label.as_str(),
            facts.metadata[1].r#type.as_str()
        ),
        ("Size", "bytes")
    );
    assert_eq!(
        (facts.metrics[0].unit.as_str(), facts.metrics[0].max),
        ("%", 100.0)
    );
    assert_eq!(facts.tables[0].columns, ["A", "B"]);
    assert_eq!(facts.tables[0].rows[0].cells, row);
    assert_eq!(facts.controls[0].confirm, "Really?");
}

#[test]
fn each_thing_that_is_wrong_is_refused_alone_and_said() {
    let cell = || vec!["1".to_owned(); 2];
    let cases: [(NodeFacts, &str); 15] = [
        (host().metadatum("other", 1), "not in the manifest"),
        (host().metadatum("size", "-1"), "no bytes"),
        (host().metadatum("when", "1.5"), "no time"),
        (host().metadatum("when", "today"), "no time"),
        (host().metadatum("text", "x".repeat(513)), "at most 512"),
        (host().metadatum("text", "a\nb"), "one line"),
        (
            host().metadatum("text", 1).metadatum("text", 2),
            "told twice",
        ),
        (host().metric("load", -1.0), "not negative"),
        (host().metric("load", f64::NAN), "finite"),
        (host().metric_of("load", 1.0, f64::INFINITY), "finite"),
        (host().metric("text", 1.0), "not in the manifest"),
        (host().table("rows", vec![vec!["1".to_owned()]]), "a row 1"),
        (host().table("rows", vec![cell(); 65]), "at most 64"),
        (host().control("stop"), "not in the manifest"),
        (
            NodeFacts::new("container;other").metadatum("text", 1),
            "asked for",
        ),
    ];
    for (told, hint) in cases {
        let mut told = told;
        // What is right beside it is taken.
        told.metadata.push(Metadatum {
            key: "number".to_owned(),
            value: "1e3".to_owned(),
        });
        let of_host = told.id == "host";
        let taken = taken(told);
        assert_eq!(taken.refusals.count, 1, "{hint}");
        let first = taken.refusals.first.expect("said");
        assert!(first.contains(hint), "{hint}: {first}");
        let facts = taken.facts.get(&Target::Host);
        let kept =
            facts.is_some_and(|facts| facts.metadata.iter().any(|field| field.key == "number"));
        assert_eq!(kept, of_host, "{hint}");
    }
}

#[test]
fn a_node_is_told_once_and_one_without_facts_not_at_all() {
    let report = Report {
        nodes: vec![
            host().metadatum("text", 1),
            host(),
            NodeFacts::new("process;7;9"),
        ],
    };
    let taken = take(&manifest(), &asked(), report);
    assert_eq!(taken.refusals.count, 1);
    assert_eq!(taken.facts.len(), 1);
}

#[test]
fn messages_are_one_bounded_line() {
    assert_eq!(message(" a\nb\u{7} "), "a b");
    assert!(message(&"ü".repeat(900)).len() <= VALUE_BYTES_MAX);
    assert!(quoted(&"x".repeat(9_999)).len() < 100);
}

fn any_facts() -> impl Strategy<Value = NodeFacts> {
    let key = prop_oneof!["text|size|number|when|load|rows|go", "[a-z]{0,40}"];
    let words = prop::collection::vec((key.clone(), "\\PC{0,20}|[0-9]{1,4}"), 0..6);
    let figures = prop::collection::vec((key.clone(), any::<f64>()), 0..6);
    let cells = prop::collection::vec(prop::collection::vec("\\PC{0,9}", 0..4), 0..70);
    let tables = prop::collection::vec((key.clone(), cells), 0..3);
    let controls = prop::collection::vec(key, 0..4);
    let id = prop_oneof!["host|process;7;9", "\\PC{0,12}"];
    (id, words, figures, tables, controls).prop_map(|(id, words, figures, tables, controls)| {
        let mut facts = NodeFacts::new(&id);
        for (key, value) in words {
            facts = facts.metadatum(&key, value);
        }
        for (key, value) in figures {
            facts = facts.metric(&key, value);
        }
        for (key, rows) in tables {
            facts = facts.table(&key, rows);
        }
        NodeFacts { controls, ..facts }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_gets_through_that_the_manifest_does_not_name(
        nodes in prop::collection::vec(any_facts(), 0..5)
    ) {
        let manifest = manifest();
        let things: usize = nodes
            .iter()
            .map(|node| {
                node.metadata.len() + node.metrics.len() + node.tables.len() + node.controls.len()
            })
            .sum();
        let told_nodes = nodes.len();
        let taken = take(&manifest, &asked(), Report { nodes });
        prop_assert!(taken.facts.len() <= 2);
        let mut kept = 0;
        for facts in taken.facts.values() {
            prop_assert_eq!(&facts.plugin, "a");
            prop_assert!(!is_empty(facts));
            kept += facts.metadata.len() + facts.metrics.len() + facts.tables.len() + facts.controls.len();
            for field in &facts.metadata {
                prop_assert!(manifest.metadata.iter().any(|key| key.key == field.key));
                prop_assert!(field.value.len() <= VALUE_BYTES_MAX);
            }
            for metric in &facts.metrics {
                prop_assert!(metric.key == "load" && metric.value >= 0.0 && metric.value.is_finite());
            }
            for table in &facts.tables {
                prop_assert!(table.rows.len() <= ROWS_MAX);
                prop_assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
            }
            for control in &facts.controls {
                prop_assert_eq!(&control.key, "go");
            }
        }
        // What is neither taken nor refused would be lost in silence.
        let refused = usize::try_from(taken.refusals.count).expect("few");
        prop_assert!(kept + refused <= things + told_nodes);
        prop_assert!(kept == things || refused > 0);
    }
}
