//! What must hold for every picture.

use std::collections::BTreeMap;

use mesoscope_layout::{Change, Layout, Settings};
use proptest::prelude::*;

/// A change by numbers, so that cases shrink.
#[derive(Clone, Copy, Debug)]
enum Step {
    Node(u8, u8),
    NodeRemoved(u8),
    Edge(u8, u8),
    EdgeRemoved(u8, u8),
    Relayout,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..60u8, 0..6u8).prop_map(|(node, group)| Step::Node(node, group)),
        2 => (0..60u8).prop_map(Step::NodeRemoved),
        8 => (0..60u8, 0..60u8).prop_map(|(a, b)| Step::Edge(a, b)),
        2 => (0..60u8, 0..60u8).prop_map(|(a, b)| Step::EdgeRemoved(a, b)),
        1 => Just(Step::Relayout),
    ]
}

type Places = BTreeMap<String, (f32, f32)>;

fn node(number: u8) -> String {
    format!("node-{number}")
}

fn run(steps: &[Step], batch: usize, seed: u64) -> (Layout, Places) {
    let mut layout = Layout::new(Settings {
        seed,
        ..Settings::default()
    });
    let mut places = Places::new();
    for steps in steps.chunks(batch) {
        for step in steps {
            let moved = match *step {
                // Group 0: alone.
                Step::Node(id, group) => {
                    let group = if group == 0 {
                        String::new()
                    } else {
                        format!("group-{group}")
                    };
                    layout.update(&[Change::Node {
                        id: &node(id),
                        group: &group,
                    }])
                }
                Step::NodeRemoved(id) => {
                    places.remove(&node(id));
                    layout.update(&[Change::NodeRemoved { id: &node(id) }])
                }
                Step::Edge(a, b) => layout.update(&[Change::Edge {
                    id: &format!("{a}>{b}"),
                    source: &node(a),
                    target: &node(b),
                    weight: 1.0,
                }]),
                Step::EdgeRemoved(a, b) => layout.update(&[Change::EdgeRemoved {
                    id: &format!("{a}>{b}"),
                }]),
                Step::Relayout => layout.relayout(),
            };
            places.extend(
                moved
                    .into_iter()
                    .map(|moved| (moved.id.to_string(), (moved.x, moved.y))),
            );
        }
    }
    (layout, places)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_has_a_finite_place_of_his_own_and_groups_stay_apart(steps in prop::collection::vec(step(), 1..120)) {
        let (layout, places) = run(&steps, 1, 7);
        prop_assert_eq!(places.len(), layout.size().0, "everybody was told where he is");
        for (id, told) in &places {
            prop_assert!(told.0.is_finite() && told.1.is_finite());
            prop_assert_eq!(layout.position(id), Some(*told), "the last word is right");
        }
        let all: Vec<_> = places.values().collect();
        for (index, a) in all.iter().enumerate() {
            for b in &all[index + 1..] {
                prop_assert!((a.0 - b.0).hypot(a.1 - b.1) > 40.0, "{:?} {:?}", a, b);
            }
        }
        let groups = layout.groups();
        for (index, a) in groups.iter().enumerate() {
            for b in &groups[index + 1..] {
                let room = (a.x - b.x).hypot(a.y - b.y) - a.radius - b.radius;
                prop_assert!(room > 0.0, "{} and {} overlap by {}", a.group, b.group, -room);
            }
        }
    }

    #[test]
    fn the_same_changes_give_the_same_picture(steps in prop::collection::vec(step(), 1..100), seed in 0..1_000u64) {
        prop_assert_eq!(run(&steps, 1, seed).1, run(&steps, 1, seed).1);
    }
}

/// (id, group)
type Nodes = Vec<(String, String)>;
/// (id, source, target)
type Edges = Vec<(String, String, String)>;

/// Hosts with containers; most connections stay within a service.
fn cluster(nodes: usize, groups: usize) -> (Nodes, Edges) {
    let mut random = 12_345u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    let members: Vec<_> = (0..nodes)
        .map(|node| (format!("n{node}"), format!("g{}", node % groups)))
        .collect();
    let edges = (0..nodes * 17 / 10)
        .map(|edge| {
            let a = next(nodes);
            let b = if next(10) < 7 {
                (a / 20 * 20 + next(20)) % nodes
            } else {
                next(nodes)
            };
            (format!("e{edge}"), format!("n{a}"), format!("n{b}"))
        })
        .collect();
    (members, edges)
}

fn changes<'a>(
    nodes: &'a [(String, String)],
    edges: &'a [(String, String, String)],
) -> Vec<Change<'a>> {
    let nodes = nodes.iter().map(|(id, group)| Change::Node { id, group });
    let edges = edges.iter().map(|(id, source, target)| Change::Edge {
        id,
        source,
        target,
        weight: 1.0,
    });
    nodes.chain(edges).collect()
}

#[test]
fn one_percent_of_churn_moves_hardly_anybody() {
    let (nodes, edges) = cluster(2_000, 50);
    let mut layout = Layout::new(Settings::default());
    assert_eq!(layout.update(&changes(&nodes, &edges)).len(), 2_000);
    for round in 0..20 {
        let mut news = Vec::new();
        let gone: Vec<_> = (0..20).map(|i| format!("n{}", round * 20 + i)).collect();
        let come: Vec<_> = (0..20)
            .map(|i| {
                (
                    format!("new-{round}-{i}"),
                    format!("g{}", (round + i * 7) % 50),
                )
            })
            .collect();
        news.extend(gone.iter().map(|id| Change::NodeRemoved { id }));
        news.extend(come.iter().map(|(id, group)| Change::Node { id, group }));
        let others: Vec<_> = (0..20)
            .map(|i| {
                (
                    format!("x{round}-{i}"),
                    format!("n{}", 1_000 + (round * 31 + i) % 900),
                )
            })
            .collect();
        news.extend(
            come.iter()
                .zip(&others)
                .map(|((source, _), (id, target))| Change::Edge {
                    id,
                    source,
                    target,
                    weight: 1.0,
                }),
        );
        let before: Places = nodes
            .iter()
            .filter_map(|(id, _)| Some((id.clone(), layout.position(id)?)))
            .collect();
        let moved = layout.update(&news);
        let far = moved
            .iter()
            .filter(|moved| {
                before
                    .get(&*moved.id)
                    .is_some_and(|old| (old.0 - moved.x).hypot(old.1 - moved.y) > 10.0)
            })
            .count();
        assert!(
            far < 40,
            "round {round}: {far} of 2,000 moved by more than 10 px"
        );
        assert!(
            moved
                .iter()
                .filter(|moved| moved.id.starts_with("new-"))
                .count()
                == 20
        );
    }
}

#[test]
fn connected_groups_are_nearer_than_others() {
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    for group in 0..40 {
        for member in 0..10 {
            nodes.push((format!("{group}-{member}"), format!("g{group}")));
            // Each group talks to the next of its family of four.
            let next = group / 4 * 4 + (group + 1) % 4;
            edges.push((
                format!("e{group}-{member}"),
                format!("{group}-{member}"),
                format!("{next}-{member}"),
            ));
        }
    }
    let mut layout = Layout::new(Settings::default());
    layout.update(&changes(&nodes, &edges));
    let groups: BTreeMap<String, (f32, f32)> = layout
        .groups()
        .into_iter()
        .map(|group| (group.group.to_string(), (group.x, group.y)))
        .collect();
    let distance = |a: usize, b: usize| {
        let (a, b) = (groups[&format!("g{a}")], groups[&format!("g{b}")]);
        (a.0 - b.0).hypot(a.1 - b.1)
    };
    let (mut near, mut all) = (Vec::new(), Vec::new());
    for a in 0..40 {
        for b in 0..a {
            if a / 4 == b / 4 {
                near.push(distance(a, b))
            } else {
                all.push(distance(a, b))
            }
        }
    }
    let mean = |list: &[f32]| {
        list.iter().sum::<f32>() / f32::from(u16::try_from(list.len()).expect("few"))
    };
    assert!(
        mean(&near) < 0.5 * mean(&all),
        "{} {}",
        mean(&near),
        mean(&all)
    );
}

#[test]
fn a_group_that_grows_moves_as_few_nodes_as_possible() {
    let (mut nodes, edges) = cluster(2_000, 100);
    let mut layout = Layout::new(Settings::default());
    layout.update(&changes(&nodes, &edges));
    // One host starts six times as many as it had: its neighbours, 20 nodes each, stay where they are.
    let fresh: Vec<_> = (0..100)
        .map(|i| (format!("fresh-{i}"), "g50".to_owned()))
        .collect();
    let before: Places = nodes
        .iter()
        .filter_map(|(id, _)| Some((id.clone(), layout.position(id)?)))
        .collect();
    let come: Vec<_> = fresh
        .iter()
        .map(|(id, group)| Change::Node { id, group })
        .collect();
    let moved = layout.update(&come);
    let far = moved
        .iter()
        .filter_map(|moved| Some((before.get(&*moved.id)?, moved)))
        .filter(|(old, moved)| (old.0 - moved.x).hypot(old.1 - moved.y) > 10.0)
        .count();
    assert!(far <= 40, "{far} of 2,000 moved by more than 10 px");
    nodes.extend(fresh);
    let groups = layout.groups();
    for (at, one) in groups.iter().enumerate() {
        for other in &groups[at + 1..] {
            let distance = (one.x - other.x).hypot(one.y - other.y);
            assert!(
                distance > one.radius + other.radius - 1.0,
                "{} lies on {}",
                one.group,
                other.group
            );
        }
    }
}
