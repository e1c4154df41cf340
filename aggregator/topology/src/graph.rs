//! One view's graph: nodes, the edges between them, and what changed.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use rustc_hash::FxHashMap;
use slotmap::SlotMap;

use crate::{
    edge::{EdgeName, GraphEdge, Look},
    end::Share,
    journal::{Item, Journal},
    keys::{AgentKey, ContainerKey, EdgeKey, NodeKey, ProcessKey},
};

/// What a node stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Process(ProcessKey),
    Container(ContainerKey),
    Host(AgentKey),
    /// The processes of a host that are in no container.
    Uncontained(AgentKey),
    /// Hosts that are on no agent and have public addresses: clients of ours, or servers.
    Internet {
        clients: bool,
    },
    /// A known service, by name.
    Service(Arc<str>),
    /// A single address; with the agent where it means something only there.
    Address(IpAddr, Option<AgentKey>),
    /// Services and addresses beyond the bound.
    Others,
}

impl Subject {
    /// True for what is seen by an agent; the others are shown only where they connect to such.
    pub(crate) fn is_anchored(&self) -> bool {
        matches!(
            self,
            Self::Process(_) | Self::Container(_) | Self::Host(_) | Self::Uncontained(_)
        )
    }

    pub(crate) fn is_pseudo(&self) -> bool {
        !matches!(self, Self::Process(_) | Self::Container(_) | Self::Host(_))
    }
}

#[derive(Debug)]
pub(crate) struct GraphNode {
    pub subject: Subject,
    pub id: Arc<str>,
    pub revision: u64,
    /// Revision in the journal of figures.
    pub figures: u64,
    pub first_seen_ms: u64,
    /// Its edges; one from the node to itself is listed once.
    pub edges: Vec<EdgeKey>,
}

/// Bounds of a graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphLimits {
    pub edges: usize,
    pub pseudo_nodes: usize,
    pub idle_keep_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Graph {
    pub nodes: SlotMap<NodeKey, GraphNode>,
    pub edges: SlotMap<EdgeKey, GraphEdge>,
    index: FxHashMap<EdgeName, EdgeKey>,
    pseudo: FxHashMap<Subject, NodeKey>,
    /// Nodes that are not pseudo nodes.
    pub real_nodes: usize,
    /// What came, went, or looks different.
    pub journal: Journal,
    /// Of what only figures changed: metrics, rates, counts.
    pub figures: Journal,
    idle: VecDeque<(u64, EdgeKey)>,
    moving: Vec<EdgeKey>,
    limits: GraphLimits,
    /// Edges that had no room.
    pub refused: u64,
}

impl Graph {
    pub(crate) fn new(limits: GraphLimits) -> Self {
        Self {
            nodes: SlotMap::with_key(),
            edges: SlotMap::with_key(),
            index: FxHashMap::default(),
            pseudo: FxHashMap::default(),
            real_nodes: 0,
            journal: Journal::default(),
            figures: Journal::default(),
            idle: VecDeque::new(),
            moving: Vec::new(),
            limits,
            refused: 0,
        }
    }

    pub(crate) fn insert(&mut self, subject: Subject, id: Arc<str>, first_seen_ms: u64) -> NodeKey {
        self.real_nodes += usize::from(!subject.is_pseudo());
        let key = self.nodes.insert(GraphNode {
            subject,
            id,
            revision: 0,
            figures: 0,
            first_seen_ms,
            edges: Vec::new(),
        });
        self.touch_node(key);
        key
    }

    /// The pseudo node of a subject, made when it is new. `id` is asked for new ones only.
    pub(crate) fn pseudo(
        &mut self,
        subject: Subject,
        now_ms: u64,
        id: &dyn Fn(&Subject) -> Arc<str>,
    ) -> NodeKey {
        if let Some(key) = self.pseudo.get(&subject) {
            return *key;
        }
        let counted = matches!(subject, Subject::Service(_) | Subject::Address(..));
        if counted && self.pseudo.len() >= self.limits.pseudo_nodes {
            self.refused += 1;
            return self.pseudo(Subject::Others, now_ms, id);
        }
        let id = id(&subject);
        let key = self.insert(subject.clone(), id, now_ms);
        self.pseudo.insert(subject, key);
        key
    }

    pub(crate) fn find_pseudo(&self, subject: &Subject) -> Option<NodeKey> {
        self.pseudo.get(subject).copied()
    }

    pub(crate) fn pseudo_nodes(&self) -> usize {
        self.pseudo.len()
    }

    pub(crate) fn touch_node(&mut self, key: NodeKey) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.revision = self.journal.mark(Item::Node(key), node.revision);
        }
    }

    /// Only figures of the node changed.
    pub(crate) fn touch_figures(&mut self, key: NodeKey) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.figures = self.figures.mark(Item::Node(key), node.figures);
        }
    }

    /// Whether more than figures changed of an edge is told by what it looked like before.
    fn touch_edge(&mut self, key: EdgeKey, before: Look) {
        if let Some(edge) = self.edges.get_mut(key) {
            if edge.look() == before {
                edge.figures = self.figures.mark(Item::Edge(key), edge.figures);
            } else {
                edge.revision = self.journal.mark(Item::Edge(key), edge.revision);
            }
        }
    }

    /// All nodes and edges, the edges first.
    pub(crate) fn items(&self) -> Vec<Item> {
        let edges = self.edges.keys().map(Item::Edge);
        edges.chain(self.nodes.keys().map(Item::Node)).collect()
    }

    /// Removes a node and its edges.
    pub(crate) fn remove_node(&mut self, key: NodeKey) {
        while let Some(edge) = self
            .nodes
            .get(key)
            .and_then(|node| node.edges.last().copied())
        {
            self.remove_edge(edge);
        }
        if let Some(node) = self.nodes.remove(key) {
            self.real_nodes -= usize::from(!node.subject.is_pseudo());
            if node.subject.is_pseudo() {
                self.pseudo.remove(&node.subject);
            }
            self.journal.bury(Item::Node(key));
        }
    }

    /// The edge of this name, made when it is new; `None` when a node is gone or there is no room.
    pub(crate) fn edge(&mut self, name: EdgeName) -> Option<EdgeKey> {
        if let Some(key) = self.index.get(&name) {
            return Some(*key);
        }
        if !self.nodes.contains_key(name.source) || !self.nodes.contains_key(name.target) {
            return None;
        }
        if self.edges.len() >= self.limits.edges && !self.drop_oldest_idle() {
            self.refused += 1;
            return None;
        }
        let key = self.edges.insert(GraphEdge::new(name, [0, 0]));
        self.index.insert(name, key);
        let source = self.list(name.source, key);
        let target = if name.target == name.source {
            source
        } else {
            self.list(name.target, key)
        };
        self.edges[key].slots = [source, target];
        Some(key)
    }

    /// Puts an edge into its node's list. The node's first edge changes what views show of it.
    fn list(&mut self, node: NodeKey, edge: EdgeKey) -> u32 {
        let list = &mut self.nodes[node].edges;
        list.push(edge);
        let slot = u32::try_from(list.len() - 1).expect("edges are bounded far below 2^32");
        if slot == 0 || self.has_derived_label(node) {
            self.touch_node(node);
        }
        slot
    }

    fn unlist(&mut self, node: NodeKey, slot: u32) {
        let Some(entry) = self.nodes.get_mut(node) else {
            return;
        };
        let at = slot as usize;
        entry.edges.swap_remove(at);
        let moved = entry.edges.get(at).copied();
        let empty = entry.edges.is_empty();
        let pseudo = entry.subject.is_pseudo();
        if let Some(moved) = moved
            && let Some(edge) = self.edges.get_mut(moved)
        {
            if edge.name.source == node {
                edge.slots[0] = slot;
            }
            if edge.name.target == node {
                edge.slots[1] = slot;
            }
        }
        if empty && pseudo {
            self.remove_node(node);
        } else if empty || self.has_derived_label(node) {
            self.touch_node(node);
        }
    }

    /// True when what is shown of a node depends on who is connected to it.
    pub(crate) fn has_derived_label(&self, node: NodeKey) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|node| matches!(node.subject, Subject::Address(..)))
    }

    pub(crate) fn remove_edge(&mut self, key: EdgeKey) {
        let Some(edge) = self.edges.remove(key) else {
            return;
        };
        self.index.remove(&edge.name);
        self.journal.bury(Item::Edge(key));
        self.unlist(edge.name.source, edge.slots[0]);
        if edge.name.target != edge.name.source {
            self.unlist(edge.name.target, edge.slots[1]);
        }
    }

    /// Adds a connection to an edge. `news` are what counts towards the rates.
    pub(crate) fn add(&mut self, key: EdgeKey, share: &Share, news: Option<(u64, u64)>) {
        let Some(edge) = self.edges.get_mut(key) else {
            return;
        };
        let before = edge.look();
        edge.add(share);
        if let Some((forward, back)) = news {
            edge.count(share.port, 1, forward, back);
            self.set_moving(key);
        }
        self.touch_edge(key, before);
    }

    fn set_moving(&mut self, key: EdgeKey) {
        let edge = &mut self.edges[key];
        if !edge.moving {
            edge.moving = true;
            self.moving.push(key);
        }
    }

    /// New figures of a connection of this edge.
    pub(crate) fn replace(&mut self, key: EdgeKey, old: &Share, new: &Share) {
        let Some(edge) = self.edges.get_mut(key) else {
            return;
        };
        let before = edge.look();
        edge.replace(old, new);
        let forward = new.forward.saturating_sub(old.forward);
        let back = new.back.saturating_sub(old.back);
        if forward > 0 || back > 0 {
            edge.count(new.port, 0, forward, back);
            self.set_moving(key);
        }
        self.touch_edge(key, before);
    }

    /// Takes a connection out of its edge: it is drawn elsewhere. An edge that has nothing else goes.
    pub(crate) fn subtract(&mut self, key: EdgeKey, share: &Share, young: bool, now_ms: u64) {
        let Some(edge) = self.edges.get_mut(key) else {
            return;
        };
        let before = edge.look();
        edge.subtract(share);
        if young {
            edge.uncount(share.port, 1, share.forward, share.back);
        }
        if edge.live == 0 && edge.total() == 0 {
            self.remove_edge(key);
            return;
        }
        if edge.live == 0 {
            self.start_idle(key, now_ms);
        }
        self.touch_edge(key, before);
    }

    /// A connection leaves the table; its edge keeps the totals and stays for a while.
    pub(crate) fn retire(&mut self, key: EdgeKey, share: &Share, now_ms: u64) {
        let Some(edge) = self.edges.get_mut(key) else {
            return;
        };
        let before = edge.look();
        edge.retire(share);
        if edge.live == 0 {
            self.start_idle(key, now_ms);
        }
        self.touch_edge(key, before);
    }

    fn start_idle(&mut self, key: EdgeKey, now_ms: u64) {
        let edge = &mut self.edges[key];
        // Counted from when the last connection was last seen, not from when its entry left.
        edge.idle_until_ms = (edge.last_seen_ms() + self.limits.idle_keep_ms).max(now_ms);
        self.idle.push_back((edge.idle_until_ms, key));
    }

    /// Removes a pseudo node that got no edge.
    pub(crate) fn drop_if_bare(&mut self, key: NodeKey) {
        let bare = |node: &GraphNode| node.subject.is_pseudo() && node.edges.is_empty();
        if self.nodes.get(key).is_some_and(bare) {
            self.remove_node(key);
        }
    }

    fn drop_oldest_idle(&mut self) -> bool {
        while let Some((until, key)) = self.idle.pop_front() {
            let idle = self
                .edges
                .get(key)
                .is_some_and(|edge| edge.live == 0 && edge.idle_until_ms == until);
            if idle {
                self.remove_edge(key);
                return true;
            }
        }
        false
    }

    /// Removes edges that have been idle long enough.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while let Some((until, key)) = self.idle.front().copied() {
            if until > now_ms {
                break;
            }
            self.idle.pop_front();
            let idle = self
                .edges
                .get(key)
                .is_some_and(|edge| edge.live == 0 && edge.idle_until_ms == until);
            if idle {
                self.remove_edge(key);
            }
        }
        let limit = self.journal_limit();
        let (nodes, edges) = (&self.nodes, &self.edges);
        self.journal.trim(limit, |revision, item| match item {
            Item::Node(key) => nodes.get(key).is_none_or(|node| node.revision == revision),
            Item::Edge(key) => edges.get(key).is_none_or(|edge| edge.revision == revision),
        });
        self.figures.trim(limit, |revision, item| match item {
            Item::Node(key) => nodes.get(key).is_some_and(|node| node.figures == revision),
            Item::Edge(key) => edges.get(key).is_some_and(|edge| edge.figures == revision),
        });
    }

    /// Entries that the journal may hold before it is trimmed.
    pub(crate) fn journal_limit(&self) -> usize {
        2 * (self.nodes.len() + self.edges.len()) + 65_536
    }

    /// Lets the rates move on by `seconds`.
    pub(crate) fn tick(&mut self, seconds: f64) {
        let mut moving = std::mem::take(&mut self.moving);
        moving.retain(|key| {
            let Some(edge) = self.edges.get_mut(*key) else {
                return false;
            };
            let before = edge.look();
            let tell = edge.tick(seconds);
            let moving = edge.moving;
            if tell {
                self.touch_edge(*key, before);
            }
            moving
        });
        self.moving = moving;
    }
}
