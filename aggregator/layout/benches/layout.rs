//! Time of a full layout and of 1 % churn. `cargo bench -p mesoscope-layout`

#![allow(missing_docs)]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use mesoscope_layout::{Change, Layout, Settings};

struct Cluster {
    nodes: Vec<(String, String)>,
    edges: Vec<(String, String, String)>,
}

impl Cluster {
    /// 1.7 edges per node, 70 % of them within a service of 20; `groups` 0: every node alone.
    fn new(nodes: usize, groups: usize) -> Self {
        let mut random = 12_345u64;
        let mut next = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).expect("31 bits") % below
        };
        let group = |node: usize| {
            if groups == 0 {
                String::new()
            } else {
                format!("g{}", node % groups)
            }
        };
        Self {
            nodes: (0..nodes)
                .map(|node| (format!("n{node}"), group(node)))
                .collect(),
            edges: (0..nodes * 17 / 10)
                .map(|edge| {
                    let a = next(nodes);
                    let b = if next(10) < 7 {
                        (a / 20 * 20 + next(20)) % nodes
                    } else {
                        next(nodes)
                    };
                    (format!("e{edge}"), format!("n{a}"), format!("n{b}"))
                })
                .collect(),
        }
    }

    fn changes(&self) -> Vec<Change<'_>> {
        let nodes = self
            .nodes
            .iter()
            .map(|(id, group)| Change::Node { id, group });
        let edges = self.edges.iter().map(|(id, source, target)| Change::Edge {
            id,
            source,
            target,
            weight: 1.0,
        });
        nodes.chain(edges).collect()
    }
}

fn layouts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layout");
    group.sample_size(10);
    for (name, nodes, groups) in [
        ("1k in 25 groups", 1_000, 25),
        ("10k in 250 groups", 10_000, 250),
        ("1k alone", 1_000, 0),
        ("10k alone", 10_000, 0),
        ("10k in 1 group", 10_000, 1),
    ] {
        let cluster = Cluster::new(nodes, groups);
        let changes = cluster.changes();
        group.bench_function(BenchmarkId::new("full", name), |bencher| {
            bencher.iter(|| Layout::new(Settings::default()).update(&changes));
        });
        let mut layout = Layout::new(Settings {
            drift_max: f32::INFINITY,
            ..Settings::default()
        });
        layout.update(&changes);
        let mut round = 0usize;
        group.bench_function(BenchmarkId::new("1 % churn", name), |bencher| {
            bencher.iter_batched(
                || {
                    round += 1;
                    let gone: Vec<String> = (0..nodes / 100)
                        .map(|i| {
                            if round == 1 {
                                format!("n{i}")
                            } else {
                                format!("r{}-{i}", round - 1)
                            }
                        })
                        .collect();
                    let come: Vec<(String, String)> = (0..nodes / 100)
                        .map(|i| {
                            (
                                format!("r{round}-{i}"),
                                if groups == 0 {
                                    String::new()
                                } else {
                                    format!("g{}", i % groups)
                                },
                            )
                        })
                        .collect();
                    let links: Vec<(String, String)> = (0..nodes / 100)
                        .map(|i| (format!("l{round}-{i}"), format!("n{}", nodes / 2 + i)))
                        .collect();
                    (gone, come, links)
                },
                |(gone, come, links)| {
                    let mut news: Vec<Change<'_>> =
                        gone.iter().map(|id| Change::NodeRemoved { id }).collect();
                    news.extend(come.iter().map(|(id, group)| Change::Node { id, group }));
                    news.extend(come.iter().zip(&links).map(|((source, _), (id, target))| {
                        Change::Edge {
                            id,
                            source,
                            target,
                            weight: 1.0,
                        }
                    }));
                    layout.update(&news)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, layouts);
criterion_main!(benches);
