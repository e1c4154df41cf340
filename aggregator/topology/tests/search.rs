//! Search on a small map, and its language under random text.

#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{World, closed, container, end, ended, process};
use mesoscope_proto::v1::{self, Direction, change::Change};
use mesoscope_topology::{
    ViewKind,
    search::{Completion, Found, Search, Stride, Suggestion},
};
use proptest::prelude::*;

const WHOLE: Stride = Stride {
    nodes: usize::MAX,
    found: usize::MAX,
    kernel_threads: false,
};

fn id(digit: char) -> String {
    format!("{digit}{}", "0".repeat(63))
}

fn pair(key: &str, value: &str) -> v1::KeyValue {
    v1::KeyValue {
        key: key.into(),
        value: value.into(),
    }
}

/// Two hosts, three containers, four processes.
fn world() -> World {
    let mut world = World::new();
    let (a, b) = (world.agent("a", "10.0.0.1"), world.agent("b", "10.0.0.2"));
    let web = v1::Container {
        command: vec!["nginx".into(), "-g".into(), "daemon off;".into()],
        labels: vec![pair("com.example/team", "shop"), pair("tier", "front")],
        environment: vec![pair("PASSWORD", "hunter2")],
        restarts: 3,
        ..container(&id('1'), "web", &["172.17.0.2"])
    };
    let redis = v1::Container {
        image: "redis:7.2".into(),
        labels: vec![pair("com.example/team", "cart")],
        ..container(&id('2'), "cart-redis", &["172.17.0.3"])
    };
    world.apply(a, Change::Container(web));
    world.apply(a, Change::Container(redis));
    world.apply(b, Change::Container(container(&id('3'), "batch", &[])));
    let metrics = v1::ContainerMetrics {
        container_id: id('1'),
        cpu_cores_used: 0.5,
        memory_used_bytes: 20_000_000,
        ..Default::default()
    };
    world.apply(a, Change::ContainerMetrics(metrics));
    let inside = v1::Process {
        container_id: id('1'),
        ..process(100, "nginx")
    };
    let kernel = v1::Process {
        kernel_thread: true,
        ..process(2, "kthreadd")
    };
    world.apply(a, Change::Process(inside));
    world.apply(a, Change::Process(process(101, "Ünïcode")));
    world.apply(a, Change::Process(kernel));
    world.apply(b, Change::Process(process(200, "curl")));
    world.apply(b, Change::Process(ended(process(201, "false"), 1)));
    let outward = end(7, 200, Direction::Outbound, "10.0.0.2:40000", "8.8.8.8:53");
    world.apply(b, Change::Connection(closed(outward, 10, 20)));
    world.pass(1_000);
    world
}

fn found(world: &World, view: ViewKind, text: &str) -> Vec<Found> {
    let search: Search = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut found = Vec::new();
    let end = world
        .topology
        .search(view, &search, 0, WHOLE, world.now_ms, &mut found);
    assert_eq!(end, None);
    found
}

/// Labels of what is found, without those that no agent sees.
fn labels(world: &World, view: ViewKind, text: &str) -> Vec<String> {
    let found = found(world, view, text).into_iter();
    let mut labels: Vec<_> = found
        .filter(|found| !found.id.starts_with("pseudo;"))
        .map(|found| found.label)
        .collect();
    labels.sort();
    labels
}

#[test]
fn words_are_found_in_all_that_is_known() {
    let world = world();
    for (text, expected) in [
        ("WEB", vec!["web"]),
        ("redis:7", vec!["cart-redis"]),
        ("\"daemon off\"", vec!["web"]),
        ("172.17.0.3", vec!["cart-redis"]),
        ("shop", vec!["web"]),
        ("com.example/team=cart", vec!["cart-redis"]),
        ("\"com.example/team=cart\"", vec!["cart-redis"]),
        ("100000", vec!["web"]),
        ("a.example", vec!["cart-redis", "web"]),
        ("hunter2", vec![]),
        ("running", vec![]),
        ("/cart-.edis/", vec!["cart-redis"]),
        ("nothing-of-that-name", vec![]),
    ] {
        assert_eq!(
            labels(&world, ViewKind::Containers, text),
            expected,
            "{text}"
        );
    }
    assert_eq!(labels(&world, ViewKind::Processes, "ünï"), ["Ünïcode"]);
    assert_eq!(labels(&world, ViewKind::Processes, "--flag 200"), ["curl"]);
    assert_eq!(labels(&world, ViewKind::Hosts, "10.0.0.2"), ["b.example"]);
}

#[test]
fn labels_that_people_gave_are_shown_and_found_beside_those_of_engines() {
    let mut world = world();
    let node = |digit| format!("container;{}", id(digit));
    let give = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    world
        .topology
        .set_labels(&node('1'), give(&[("owner", "ada")]));
    world
        .topology
        .set_labels(&node('3'), give(&[("owner", "bob")]));
    world.topology.set_labels("host;a", give(&[("rack", "7")]));
    let containers = |world: &World, text: &str| labels(world, ViewKind::Containers, text);
    assert_eq!(containers(&world, "labels:owner=ada"), ["web"]);
    assert_eq!(containers(&world, "owner:bob"), ["batch"]);
    assert_eq!(containers(&world, "labels:tier=front owner=ada"), ["web"]);
    assert_eq!(labels(&world, ViewKind::Hosts, "rack:7"), ["a.example"]);
    let details = world
        .topology
        .node(ViewKind::Containers, &node('1'), false)
        .expect("details");
    let shown: Vec<_> = details
        .sections
        .iter()
        .filter(|section| section.title == "Labels")
        .flat_map(|section| section.fields.iter().map(|field| field.key.as_str()))
        .collect();
    assert_eq!(shown, ["com.example/team", "tier", "owner"]);
    assert!(world.topology.has_node(ViewKind::Hosts, "host;a"));
    assert!(!world.topology.has_node(ViewKind::Hosts, "host;z"));
    world.topology.set_labels(&node('1'), give(&[]));
    assert!(containers(&world, "owner:ada").is_empty());
}

#[test]
fn fields_are_tested_by_key() {
    let world = world();
    let containers = |text: &str| labels(&world, ViewKind::Containers, text);
    let all = ["batch", "cart-redis", "web"];
    for (text, expected) in [
        ("image:REDIS", vec!["cart-redis"]),
        ("image:/^redis:\\d/", vec!["cart-redis"]),
        ("image = redis:7.2", vec!["cart-redis"]),
        ("image=redis", vec![]),
        ("image != redis:7.2", vec!["batch", "web"]),
        ("tier != front", vec![]),
        ("NOT tier = front", vec!["batch", "cart-redis"]),
        ("com.example/team:shop", vec!["web"]),
        ("labels:team=cart", vec!["cart-redis"]),
        ("host:b", vec!["batch"]),
        ("agent = a", vec!["cart-redis", "web"]),
        ("state:running", all.to_vec()),
        ("restarts >= 3", vec!["web"]),
        ("restarts = 3.0", vec!["web"]),
        ("cpu > 2%", vec!["web"]),
        ("cpu > 50%", vec![]),
        ("cpu >= 50%", vec!["web"]),
        ("cpu<0.6", vec!["web"]),
        ("memory > 10MB", vec!["web"]),
        ("memory > 19MiB memory < 20MiB", vec!["web"]),
        ("memory > 5m", vec![]),
        ("age < 10m", all.to_vec()),
        ("age > 10m", vec![]),
        ("nosuchkey > 1", vec![]),
    ] {
        assert_eq!(containers(text), expected, "{text}");
    }
    let processes = |text: &str| labels(&world, ViewKind::Processes, text);
    assert_eq!(processes("pid = 200"), ["curl"]);
    assert_eq!(processes("container:web"), ["nginx"]);
    assert_eq!(processes("started < 1m pid < 101"), ["nginx"]);
    assert_eq!(processes("state = exited"), ["false"]);
    assert_eq!(processes("exit:\"code 1\""), ["false"]);
}

#[test]
fn not_binds_before_and_before_or() {
    let world = world();
    let containers = |text: &str| labels(&world, ViewKind::Containers, text);
    assert_eq!(containers("web OR redis host:b"), ["web"]);
    assert_eq!(
        containers("(web OR redis) host:a.ex"),
        ["cart-redis", "web"]
    );
    assert_eq!(containers("NOT web AND host:a.ex"), ["cart-redis"]);
    assert_eq!(containers("!(web OR redis)"), ["batch"]);
    assert_eq!(containers("host:a.ex !web"), ["cart-redis"]);
    assert_eq!(containers("\"OR\""), Vec::<String>::new());
}

#[test]
fn the_field_that_matched_is_named_and_cut() {
    let mut world = world();
    let by = |world: &World, text: &str| {
        let found = found(world, ViewKind::Containers, text).remove(0);
        found.field.map(|field| (field.key, field.value))
    };
    let named = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
    assert_eq!(by(&world, "image:redis"), named("image", "redis:7.2"));
    assert_eq!(by(&world, "NOT zzz cpu > 2%"), named("cpu", "0.5"));
    assert_eq!(by(&world, "NOT web"), None);
    let agent = world.topology.find_agent("a").expect("known");
    let long = v1::Container {
        command: vec!["ü".repeat(1_000)],
        ..container(&id('4'), "long", &[])
    };
    world.apply(agent, Change::Container(long));
    let (_, value) = by(&world, "command:ü").expect("a field");
    assert_eq!(value.chars().count(), 201);
}

#[test]
fn kernel_threads_are_found_only_when_asked_for() {
    let world = world();
    assert!(labels(&world, ViewKind::Processes, "kthreadd").is_empty());
    let search: Search = "kthreadd".parse().expect("a word");
    let stride = Stride {
        kernel_threads: true,
        ..WHOLE
    };
    let mut found = Vec::new();
    let view = ViewKind::Processes;
    world
        .topology
        .search(view, &search, 0, stride, world.now_ms, &mut found);
    assert_eq!(found.len(), 1);
}

#[test]
fn steps_of_any_length_find_each_node_once() {
    let world = world();
    let search: Search = "!nothing".parse().expect("valid");
    for view in ViewKind::ALL {
        let whole = found(&world, view, "!nothing");
        for (nodes, most) in [(1, 9), (2, 1), (3, 2), (100, 1)] {
            let stride = Stride {
                nodes,
                found: most,
                kernel_threads: false,
            };
            let (mut position, mut found) = (0, Vec::new());
            loop {
                let before = found.len();
                let next = world.topology.search(
                    view,
                    &search,
                    position,
                    stride,
                    world.now_ms,
                    &mut found,
                );
                assert!(found.len() - before <= most.min(nodes));
                match next {
                    Some(next) => position = next,
                    None => break,
                }
            }
            assert_eq!(found, whole, "{view} by {nodes}/{most}");
        }
    }
}

#[test]
fn errors_say_what_was_expected_and_where() {
    for (text, error) in [
        ("cpu >> 2", "expected a number after '>' at column 5"),
        ("cpu > ", "expected a number after '>' at column 5"),
        ("cpu >= many", "expected a number after '>=' at column 5"),
        ("", "expected something to search for at column 1"),
        ("a OR", "expected a term after 'OR' at column 5"),
        ("a AND )", "this ')' has no '(' at column 7"),
        ("a )", "this ')' has no '(' at column 3"),
        ("a (b", "this '(' has no ')' at column 3"),
        ("ü \"b", "this quote is not closed at column 3"),
        ("a \"\"", "expected text between the quotes at column 3"),
        ("= 2", "expected a key before '=' at column 1"),
        ("image == x", "expected a value after '=' at column 7"),
        (
            "image:",
            "expected a value right behind 'image:' (quotes make a word of it) at column 6",
        ),
    ] {
        let refused = text.parse::<Search>().expect_err(text);
        assert_eq!(refused.to_string(), error, "{text}");
    }
    for (text, part) in [
        ("image:/a(/", "unclosed group at column 7"),
        ("cpu > 2x", "'2x' is no number with a known unit"),
        ("AND a", "not 'AND'"),
        ("image:/(a{999}){999}/", "is too large"),
    ] {
        let refused = text.parse::<Search>().expect_err(text).to_string();
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn a_search_is_bounded() {
    for (text, part) in [
        ("x".repeat(1_001), "at most 1000 characters"),
        ("a ".repeat(65), "at most 64 terms"),
        ("(".repeat(40), "at most 32 brackets"),
        ("!".repeat(40), "at most 32 brackets"),
        ("/a/ ".repeat(9), "at most 8 regular expressions"),
    ] {
        let refused = text.parse::<Search>().expect_err("too much").to_string();
        assert!(refused.contains(part), "{refused}");
    }
    assert!(
        format!("{}a{}", "(".repeat(32), ")".repeat(32))
            .parse::<Search>()
            .is_ok()
    );
}

fn suggested(world: &World, text: &str) -> Vec<Suggestion> {
    let mut completion = Completion::new(text, text.chars().count());
    for view in ViewKind::ALL {
        let end = world
            .topology
            .complete(view, &mut completion, 0, WHOLE, world.now_ms);
        assert_eq!(end, None);
    }
    completion.best(20)
}

#[test]
fn keys_are_offered_and_then_their_values() {
    let world = world();
    let texts = |text: &str| -> Vec<String> {
        let list = suggested(&world, text).into_iter();
        list.map(|suggestion| suggestion.text).collect()
    };
    assert!(
        texts("im").starts_with(&["image:".into()]),
        "{:?}",
        texts("im")
    );
    assert!(texts("cp").contains(&"cpu > ".into()));
    assert!(texts("").contains(&"host:".into()));
    assert!(texts("team").contains(&"\"com.example/team\":".into()));
    assert_eq!(texts("a image:re"), ["\"redis:7.2\""]);
    assert_eq!(texts("team:"), Vec::<String>::new());
    assert_eq!(texts("com.example/team="), ["cart", "shop"]);
    assert_eq!(texts("password:"), Vec::<String>::new());
    assert_eq!(texts("started < "), Vec::<String>::new());
    for key in suggested(&world, "")
        .iter()
        .filter(|one| one.text.ends_with(':'))
    {
        let search = format!("{}x", key.text).parse::<Search>();
        assert!(search.is_ok(), "{key:?}: {search:?}");
    }
}

/// Text that often is a search.
fn queries() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z]{1,4}",
        Just("AND".to_owned()),
        Just("OR".to_owned()),
        Just("NOT".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        "[a-z]{1,3}:[a-z/:.=]{1,4}",
        "(cpu|memory|pid|age|image) ?(=|!=|<|>|<=|>=) ?-?[0-9]{1,3}(%|MB|KiB|m|h|)",
        "/[a-z.*\\\\/ ]{0,6}/",
        "[a-z]{1,3}:/[a-z.*+?]{1,5}/",
        "\"[ -~ü]{1,6}\"",
        "[!-~ü]{1,5}",
        "!",
    ];
    prop::collection::vec(part, 1..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_a_search_or_an_error_in_it(text in prop_oneof![".{0,60}", queries()], at in 0usize..70) {
        if let Err(error) = text.parse::<Search>() {
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error}");
        }
        let (from, to) = Completion::new(&text, at).range();
        prop_assert!(from <= to && to <= text.chars().count());
    }

    #[test]
    fn what_is_printed_reads_the_same(text in queries()) {
        if let Ok(search) = text.parse::<Search>() {
            let printed = search.to_string();
            let again = printed.parse::<Search>();
            prop_assert_eq!(again, Ok(search), "{}", printed);
        }
    }
}

#[test]
fn negation_and_brackets_keep_their_laws() {
    let world = world();
    let ids = |view, text: &str| -> BTreeSet<String> {
        found(&world, view, text)
            .into_iter()
            .map(|found| found.id)
            .collect()
    };
    // Of a group, one member may be meant and another not.
    let everything = ViewKind::PLAIN.map(|view| ids(view, "!nothing"));
    assert!(everything.iter().all(|ids| ids.len() >= 2));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let queries = queries().prop_filter("a search", |text| text.parse::<Search>().is_ok());
    runner
        .run(&queries, |text| {
            // As printed, it means the same inside brackets too; a path may become a pattern there.
            let text = text.parse::<Search>().expect("filtered").to_string();
            // The bounds hold for both halves together.
            prop_assume!(format!("({text}) OR ({text})").parse::<Search>().is_ok());
            for (view, all) in ViewKind::PLAIN.into_iter().zip(&everything) {
                let plain = ids(view, &text);
                prop_assert_eq!(&ids(view, &format!("NOT NOT ({text})")), &plain);
                prop_assert_eq!(&ids(view, &format!("({text}) OR ({text})")), &plain);
                let without = ids(view, &format!("NOT ({text})"));
                prop_assert!(plain.is_disjoint(&without));
                prop_assert_eq!(plain.len() + without.len(), all.len());
            }
            Ok(())
        })
        .expect("the laws hold");
}
