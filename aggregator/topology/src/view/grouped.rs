//! A view whose nodes are groups of the nodes of a graph, and whose edges are sums of its edges.
//!
//! It follows the journals of the graph, and keeps what each node adds to its groups, so that a change
//! costs the groups that it is in and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesoscope_proto::v1::{self, Protocol};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{Pace, hash_edge, hash_edge_figures, hash_node, hash_node_figures};
use crate::{
    Options, Topology,
    grouping::{Grouping, Groups},
    journal::Item,
    keys::{EdgeKey, NodeKey},
    render::{self, Parts, SumOf},
    symbols::Symbol,
};

/// What decides where a node and its connections are drawn.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    groups: Groups,
    /// Where its connections begin, and what stands for the place they arrive at.
    source: Option<Arc<str>>,
    place: Option<String>,
    allowed: bool,
    anchored: bool,
}

#[derive(Debug, Default)]
struct Group {
    /// Members with the number of reasons: to be one, and each connection that reached it there.
    members: BTreeMap<NodeKey, u32>,
    /// Edges of this group.
    edges: u32,
    told: Option<Hashes>,
    hidden: bool,
}

/// What makes an edge of groups another edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    source: Arc<str>,
    target: Arc<str>,
    protocol: Protocol,
    application: Symbol,
}

#[derive(Debug, Default)]
struct Merged {
    /// Edges of the graph, with the port where it decides.
    parts: BTreeSet<SumOf>,
    told: Option<Hashes>,
}

/// Of a message without its figures, and of these.
type Hashes = (u64, u64);

/// Nodes and edges of the graph.
#[derive(Debug, Default)]
struct Items {
    nodes: FxHashSet<NodeKey>,
    edges: FxHashSet<EdgeKey>,
}

impl Items {
    fn insert(&mut self, item: Item) {
        match item {
            Item::Node(key) => drop(self.nodes.insert(key)),
            Item::Edge(key) => drop(self.edges.insert(key)),
        }
    }
}

/// Where an edge of the graph is drawn.
#[derive(Debug)]
struct Drawn {
    name: Name,
    part: SumOf,
    target: NodeKey,
}

#[derive(Debug)]
pub(super) struct GroupedView {
    grouping: &'static Grouping,
    options: Options,
    pace: Pace,
    sequence: u64,
    started: bool,
    cursor: u64,
    figures_cursor: u64,
    figures_ms: u64,
    /// Those of which figures have changed since then.
    waiting: Items,
    parts: Parts,
    members: FxHashMap<NodeKey, Member>,
    groups: FxHashMap<Arc<str>, Group>,
    edges: FxHashMap<EdgeKey, SmallVec<[Drawn; 1]>>,
    merged: FxHashMap<Name, Merged>,
    /// Groups that are there and not shown.
    hidden: u32,
    hidden_told: u32,
    incomplete_revision: u64,
}

/// What is to be looked at again.
#[derive(Default)]
struct Dirty {
    groups: FxHashSet<Arc<str>>,
    merged: FxHashSet<Name>,
}

impl GroupedView {
    pub(super) fn new(grouping: &'static Grouping, options: Options, pace: Pace) -> Self {
        Self {
            grouping,
            options,
            pace,
            sequence: 0,
            started: false,
            cursor: 0,
            figures_cursor: 0,
            figures_ms: 0,
            waiting: Items::default(),
            parts: Parts::default(),
            members: FxHashMap::default(),
            groups: FxHashMap::default(),
            edges: FxHashMap::default(),
            merged: FxHashMap::default(),
            hidden: 0,
            hidden_told: 0,
            incomplete_revision: 0,
        }
    }

    pub(super) fn diff(&mut self, topology: &Topology, now_ms: u64) -> Option<v1::TopologyDiff> {
        let Items { nodes, mut edges } = self.changed(topology, now_ms);
        let mut dirty = Dirty::default();
        for key in nodes {
            self.take_node(topology, key, &mut edges, &mut dirty);
        }
        for key in edges {
            self.take_edge(topology, key, &mut dirty);
        }
        let mut diff = v1::TopologyDiff::default();
        for name in std::mem::take(&mut dirty.merged) {
            self.tell_edge(topology, &name, &mut dirty, &mut diff);
        }
        for id in dirty.groups {
            self.tell_group(topology, &id, &mut diff);
        }
        self.finish(topology, diff, now_ms)
    }

    pub(super) fn size(&self) -> (usize, usize) {
        let nodes = self.groups.values().filter(|group| group.told.is_some());
        let edges = self.merged.values().filter(|edge| edge.told.is_some());
        (nodes.count(), edges.count())
    }

    /// Takes the view in as told, without telling it.
    pub(super) fn prime(&mut self, topology: &Topology, now_ms: u64) {
        if !self.started {
            self.diff(topology, now_ms);
        }
    }

    /// Nodes and edges of the graph that changed since the last time; those of which only figures
    /// have, once per period.
    fn changed(&mut self, topology: &Topology, now_ms: u64) -> Items {
        let graph = topology.graph(self.grouping.view);
        let mut changed = Items::default();
        let structure = graph.journal.read(self.cursor);
        let figures = graph.figures.read(self.figures_cursor);
        match structure.zip(figures) {
            Some((structure, figures)) => {
                structure.for_each(|(_, item)| changed.insert(item));
                figures.for_each(|(_, item)| self.waiting.insert(item));
            }
            // A journal no longer reaches back to what was told.
            None => {
                let nodes = self.members.keys().copied().chain(graph.nodes.keys());
                changed.nodes.extend(nodes);
                let edges = self.edges.keys().copied().chain(graph.edges.keys());
                changed.edges.extend(edges);
            }
        }
        self.cursor = graph.journal.revision();
        self.figures_cursor = graph.figures.revision();
        // A clock that was set back does not hold them up.
        if now_ms.abs_diff(self.figures_ms) >= self.pace.period_ms {
            let Items { nodes, edges } = std::mem::take(&mut self.waiting);
            changed.nodes.extend(nodes);
            changed.edges.extend(edges);
            self.figures_ms = now_ms;
        }
        changed
    }

    fn take_node(
        &mut self,
        topology: &Topology,
        key: NodeKey,
        edges: &mut FxHashSet<EdgeKey>,
        dirty: &mut Dirty,
    ) {
        let now = self.member(topology, key);
        let node = topology.graph(self.grouping.view).nodes.get(key);
        match &now {
            Some(member) if member.allowed => self.parts.take(topology, self.grouping, key),
            _ => self.parts.forget(key),
        }
        let before = match now {
            Some(now) => self.members.insert(key, now),
            None => self.members.remove(&key),
        };
        let now = self.members.get(&key);
        if before.as_ref() != now {
            edges.extend(node.into_iter().flat_map(|node| &node.edges));
        }
        for group in before.iter().flat_map(|member| &member.groups) {
            leave(&mut self.groups, group, key);
            dirty.groups.insert(group.clone());
        }
        for group in now.iter().flat_map(|member| &member.groups) {
            join(&mut self.groups, group, key);
            dirty.groups.insert(group.clone());
        }
        if self.grouping.is_by_port() {
            // It may be one of the clients of its place, and stand behind the endpoints that its
            // connections reached.
            dirty
                .groups
                .extend(now.and_then(|member| member.source.clone()));
            for edge in node.into_iter().flat_map(|node| &node.edges) {
                let drawn = self.edges.get(edge).into_iter().flatten();
                dirty
                    .groups
                    .extend(drawn.map(|drawn| drawn.name.target.clone()));
            }
        }
    }

    fn member(&self, topology: &Topology, key: NodeKey) -> Option<Member> {
        let node = topology.graph(self.grouping.view).nodes.get(key)?;
        let anchored = node.subject.is_anchored();
        Some(Member {
            groups: self.grouping.groups(topology, node),
            source: self.grouping.source(topology, node),
            place: self.grouping.place(topology, node),
            allowed: !anchored || self.options.allow(topology, &node.subject),
            anchored,
        })
    }

    fn take_edge(&mut self, topology: &Topology, key: EdgeKey, dirty: &mut Dirty) {
        for old in self.edges.remove(&key).into_iter().flatten() {
            if let Some(merged) = self.merged.get_mut(&old.name) {
                merged.parts.remove(&old.part);
            }
            if self.grouping.is_by_port() {
                leave(&mut self.groups, &old.name.target, old.target);
                dirty.groups.insert(old.name.target.clone());
            }
            dirty.merged.insert(old.name);
        }
        let drawn = self.drawn(topology, key).unwrap_or_default();
        for new in &drawn {
            let merged = self.merged.entry(new.name.clone()).or_default();
            merged.parts.insert(new.part);
            if self.grouping.is_by_port() {
                join(&mut self.groups, &new.name.target, new.target);
                dirty.groups.insert(new.name.target.clone());
            }
            dirty.merged.insert(new.name.clone());
        }
        if !drawn.is_empty() {
            self.edges.insert(key, drawn);
        }
    }

    /// Where an edge of the graph belongs; nowhere when one of its nodes is not to be seen.
    fn drawn(&self, topology: &Topology, key: EdgeKey) -> Option<SmallVec<[Drawn; 1]>> {
        let graph = topology.graph(self.grouping.view);
        let edge = graph.edges.get(key)?;
        let source = self.members.get(&edge.name.source)?;
        let target = self.members.get(&edge.name.target)?;
        let anchored = source.anchored || target.anchored;
        if !source.allowed || !target.allowed || !anchored {
            return None;
        }
        let node = graph.nodes.get(edge.name.target)?;
        let from = source.source.clone()?;
        let draw = |port: Option<u16>, part: SumOf| {
            let to = self
                .grouping
                .target(topology, node, edge.name.protocol, port)?;
            // What happens within a node that stands for many is not drawn.
            (from != to || !from.starts_with("pseudo;")).then(|| Drawn {
                name: Name {
                    source: from.clone(),
                    target: to,
                    protocol: edge.name.protocol,
                    application: edge.name.application,
                },
                part,
                target: edge.name.target,
            })
        };
        Some(if self.grouping.is_by_port() {
            let ports = edge.by_port().map(|(port, _)| port);
            ports
                .filter_map(|port| draw(port, SumOf::Port(key, port)))
                .collect()
        } else {
            draw(None, SumOf::Edge(key)).into_iter().collect()
        })
    }

    fn tell_edge(
        &mut self,
        topology: &Topology,
        name: &Name,
        dirty: &mut Dirty,
        diff: &mut v1::TopologyDiff,
    ) {
        let Some(merged) = self.merged.get_mut(name) else {
            return;
        };
        let told = merged.told;
        let message = topology.render_sum(self.grouping.view, &merged.parts);
        let Some(message) = message.map(|edge| name.complete(topology, edge)) else {
            self.merged.remove(name);
            if told.is_some() {
                self.count_edge(name, false, dirty);
                diff.edges_removed.push(name.id(topology));
            }
            return;
        };
        let hashes = (hash_edge(&message), hash_edge_figures(&message));
        match merged.told.replace(hashes) {
            Some(before) if before == hashes => {}
            Some((before, _)) if before == hashes.0 && self.pace.parts => {
                diff.edge_figures.push(render::edge_figures(message));
            }
            _ => diff.edges.push(message),
        }
        if told.is_none() {
            self.count_edge(name, true, dirty);
        }
    }

    fn count_edge(&mut self, name: &Name, more: bool, dirty: &mut Dirty) {
        for id in [&name.source, &name.target] {
            let group = self.groups.entry(id.clone()).or_default();
            group.edges = group.edges.saturating_add_signed(if more { 1 } else { -1 });
            dirty.groups.insert(id.clone());
        }
    }

    fn tell_group(&mut self, topology: &Topology, id: &Arc<str>, diff: &mut v1::TopologyDiff) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        let there = |key: &NodeKey| {
            let member = self.members.get(key);
            member.is_some_and(|member| member.allowed && member.anchored)
        };
        let alone = self.options.unconnected && group.members.keys().any(there);
        let shown = group.edges > 0 || alone;
        let hidden = !shown && !group.members.is_empty() && !id.starts_with("pseudo;");
        self.hidden += u32::from(hidden);
        self.hidden -= u32::from(std::mem::replace(&mut group.hidden, hidden));
        if shown {
            let message = self
                .parts
                .render(topology, self.grouping, id, &group.members);
            let hashes = (hash_node(&message), hash_node_figures(&message));
            match group.told.replace(hashes) {
                Some(before) if before == hashes => {}
                Some((before, _)) if before == hashes.0 && self.pace.parts => {
                    diff.node_figures.push(render::node_figures(message));
                }
                _ => diff.nodes.push(message),
            }
        } else if group.told.take().is_some() {
            diff.nodes_removed.push(id.to_string());
        }
        if !shown && group.members.is_empty() {
            self.groups.remove(id);
        }
    }

    fn finish(
        &mut self,
        topology: &Topology,
        diff: v1::TopologyDiff,
        now_ms: u64,
    ) -> Option<v1::TopologyDiff> {
        let reset = !std::mem::replace(&mut self.started, true);
        let incomplete_changed = self.incomplete_revision != topology.incomplete_revision;
        let nothing = diff == v1::TopologyDiff::default();
        if nothing && !incomplete_changed && self.hidden == self.hidden_told && !reset {
            return None;
        }
        self.incomplete_revision = topology.incomplete_revision;
        self.hidden_told = self.hidden;
        self.sequence += 1;
        Some(v1::TopologyDiff {
            view: self.grouping.view.name().into(),
            sequence: self.sequence,
            reset,
            time_unix_ms: now_ms,
            incomplete: if incomplete_changed || reset {
                topology.incomplete()
            } else {
                Vec::new()
            },
            incomplete_changed: incomplete_changed || reset,
            nodes_hidden: self.hidden,
            figures_period_ms: self.pace.period_of(0),
            ..diff
        })
    }

    pub(super) fn snapshot(&self, topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
        let told = self.groups.iter().filter(|(_, group)| group.told.is_some());
        let nodes = told
            .map(|(id, group)| {
                self.parts
                    .render(topology, self.grouping, id, &group.members)
            })
            .collect();
        let told = self.merged.iter().filter(|(_, edge)| edge.told.is_some());
        let edges = told
            .filter_map(|(name, edge)| {
                let message = topology.render_sum(self.grouping.view, &edge.parts)?;
                Some(name.complete(topology, message))
            })
            .collect();
        v1::TopologyDiff {
            view: self.grouping.view.name().into(),
            sequence: self.sequence,
            reset: true,
            time_unix_ms: now_ms,
            nodes,
            edges,
            incomplete: topology.incomplete(),
            incomplete_changed: true,
            nodes_hidden: self.hidden_told,
            figures_period_ms: self.pace.period_of(0),
            ..Default::default()
        }
    }
}

impl Name {
    fn id(&self, topology: &Topology) -> String {
        crate::render::edge_id(
            &self.source,
            &self.target,
            self.protocol,
            topology.symbols.name(self.application),
        )
    }

    fn complete(&self, topology: &Topology, edge: v1::Edge) -> v1::Edge {
        v1::Edge {
            id: self.id(topology),
            source: self.source.to_string(),
            target: self.target.to_string(),
            protocol: crate::render::protocol_name(self.protocol).into(),
            application: topology.symbols.name(self.application).to_string(),
            ..edge
        }
    }
}

fn join(groups: &mut FxHashMap<Arc<str>, Group>, id: &Arc<str>, key: NodeKey) {
    let group = groups.entry(id.clone()).or_default();
    *group.members.entry(key).or_default() += 1;
}

fn leave(groups: &mut FxHashMap<Arc<str>, Group>, id: &Arc<str>, key: NodeKey) {
    let Some(group) = groups.get_mut(id) else {
        return;
    };
    if let Some(reasons) = group.members.get_mut(&key) {
        *reasons -= 1;
        if *reasons == 0 {
            group.members.remove(&key);
        }
    }
}
