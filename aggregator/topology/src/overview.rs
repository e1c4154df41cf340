//! How much each view has, and what its options choose from.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash},
};

use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::{
    Topology, ViewKind,
    grouping::{self, Grouping},
    keys::{EdgeKey, NodeKey},
};

/// Names of one sort that are told.
const CHOICES_MAX: usize = 1_000;

/// What a view has, whatever its options leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewSize {
    /// The view.
    pub view: ViewKind,
    /// Its nodes, but for those that no agent sees.
    pub nodes: usize,
    /// Its edges.
    pub edges: usize,
}

/// A count under way: groups are told apart by the hashes of their ids.
#[derive(Debug)]
pub struct Counting {
    view: ViewKind,
    nodes_to_visit: Vec<NodeKey>,
    edges_to_visit: Vec<EdgeKey>,
    nodes: FxHashSet<u64>,
    edges: FxHashSet<u64>,
    /// Of a view that is no grouping, which needs no visits.
    known: Option<(usize, usize)>,
}

impl Counting {
    /// What was counted.
    #[must_use]
    pub fn size(&self) -> ViewSize {
        let (nodes, edges) = self.known.unwrap_or((self.nodes.len(), self.edges.len()));
        ViewSize {
            view: self.view,
            nodes,
            edges,
        }
    }
}

/// What the options of views choose from, sorted, at most 1,000 of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Namespaces of Kubernetes.
    pub namespaces: BTreeSet<String>,
    /// Networks of containers.
    pub networks: BTreeSet<String>,
}

impl Topology {
    /// Begins to count a view; [`Self::count`] goes on until nothing is left.
    #[must_use]
    pub fn begin_counting(&self, view: ViewKind) -> Counting {
        let graph = self.graph(view);
        let grouped = grouping::of(view).is_some();
        let keys = |grouped: bool| {
            if grouped {
                (graph.nodes.keys().collect(), graph.edges.keys().collect())
            } else {
                (Vec::new(), Vec::new())
            }
        };
        let (nodes_to_visit, edges_to_visit) = keys(grouped);
        Counting {
            view,
            nodes_to_visit,
            edges_to_visit,
            nodes: FxHashSet::default(),
            edges: FxHashSet::default(),
            known: (!grouped).then(|| (graph.real_nodes, graph.edges.len())),
        }
    }

    /// Visits some more nodes and edges; false when all were. What comes meanwhile is not counted,
    /// and what goes is not missed.
    pub fn count(&self, counting: &mut Counting, visits: usize) -> bool {
        let Some(grouping) = grouping::of(counting.view) else {
            return false;
        };
        for _ in 0..visits {
            if let Some(key) = counting.nodes_to_visit.pop() {
                self.count_node(grouping, key, counting);
            } else if let Some(key) = counting.edges_to_visit.pop() {
                self.count_edge(grouping, key, counting);
            } else {
                return false;
            }
        }
        true
    }

    fn count_node(&self, grouping: &Grouping, key: NodeKey, counting: &mut Counting) {
        let node = self.graph(grouping.view).nodes.get(key);
        let Some(node) = node.filter(|node| !node.subject.is_pseudo()) else {
            return;
        };
        for id in grouping.groups(self, node) {
            counting.nodes.insert(hash(&*id));
        }
    }

    fn count_edge(&self, grouping: &Grouping, key: EdgeKey, counting: &mut Counting) {
        let graph = self.graph(grouping.view);
        let Some(edge) = graph.edges.get(key) else {
            return;
        };
        let ends = (
            graph.nodes.get(edge.name.source),
            graph.nodes.get(edge.name.target),
        );
        let (Some(source), Some(target)) = ends else {
            return;
        };
        let Some(from) = grouping.source(self, source) else {
            return;
        };
        let mut draw = |port: Option<u16>| {
            let Some(to) = grouping.target(self, target, edge.name.protocol, port) else {
                return;
            };
            if !to.starts_with("pseudo;") {
                counting.nodes.insert(hash(&*to));
            }
            if from != to || !from.starts_with("pseudo;") {
                let name = (&*from, &*to, edge.name.protocol, edge.name.application);
                counting.edges.insert(hash(&name));
            }
        };
        if grouping.is_by_port() {
            edge.by_port().for_each(|(port, _)| draw(port));
        } else {
            draw(None);
        }
    }

    /// What the options of views choose from.
    #[must_use]
    pub fn choices(&self) -> Choices {
        let mut choices = Choices::default();
        for container in self.containers.values() {
            let record = &container.record;
            for (names, name) in [
                (&mut choices.namespaces, &record.pod_namespace),
                (&mut choices.networks, &record.network_mode),
            ] {
                if !name.is_empty() && names.len() < CHOICES_MAX && !names.contains(name) {
                    names.insert(name.clone());
                }
            }
        }
        choices
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    FxBuildHasher.hash_one(value)
}
