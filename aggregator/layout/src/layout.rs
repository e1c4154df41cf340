//! The picture and its changes.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use slotmap::SlotMap;

use crate::hex::Cell;

slotmap::new_key_type! {
    pub(crate) struct NodeKey;
    pub(crate) struct EdgeKey;
    pub(crate) struct GroupKey;
}

/// Parameters of the layout. The same settings and changes give the same picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed of the first placement.
    pub seed: u64,
    /// Distance of neighbouring nodes, in pixels at zoom 1.
    pub spacing: f32,
    /// Room between groups, in pixels.
    pub gap: f32,
    /// Past this [`Layout::drift`] the picture is laid out anew; infinity: only on request.
    pub drift_max: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            spacing: 48.0,
            gap: 48.0,
            drift_max: 1.5,
        }
    }
}

/// A change of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    /// A node is there; known ones only change their group. An empty group: the node stands alone.
    Node {
        /// Id of the node.
        id: &'a str,
        /// Nodes with the same group are drawn together.
        group: &'a str,
    },
    /// A node is gone, and its edges with it.
    NodeRemoved {
        /// Id of the node.
        id: &'a str,
    },
    /// An edge is there; a known one only changes its weight. An edge to a node that is not known
    /// is left out.
    Edge {
        /// Id of the edge.
        id: &'a str,
        /// Id of one end.
        source: &'a str,
        /// Id of the other.
        target: &'a str,
        /// How strongly it pulls; 1 is ordinary.
        weight: f32,
    },
    /// An edge is gone.
    EdgeRemoved {
        /// Id of the edge.
        id: &'a str,
    },
}

/// A node's new place.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Id of the node.
    pub id: Arc<str>,
    /// Pixels at zoom 1.
    pub x: f32,
    /// Pixels at zoom 1.
    pub y: f32,
}

/// A group's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name; for a node that stands alone, the node's id.
    pub group: Arc<str>,
    /// Centre, in pixels at zoom 1.
    pub x: f32,
    /// Centre, in pixels at zoom 1.
    pub y: f32,
    /// All members are within.
    pub radius: f32,
    /// Number of members.
    pub members: usize,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: Arc<str>,
    pub group: GroupKey,
    /// Its cell in the group; none until it is placed.
    pub cell: Option<Cell>,
    pub edges: Vec<EdgeKey>,
    /// Where it was told to be.
    pub told: Option<(f32, f32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub id: Arc<str>,
    pub ends: [NodeKey; 2],
    pub weight: f32,
}

/// Groups by name; those of a single node by the node's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupName {
    pub alone: bool,
    pub name: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub name: GroupName,
    pub x: f32,
    pub y: f32,
    pub placed: bool,
    pub rings: i32,
    pub cells: FxHashMap<Cell, NodeKey>,
    /// Members without a cell.
    pub waiting: Vec<NodeKey>,
    pub members: usize,
}

/// All edges between two groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupLink {
    pub weight: f32,
    pub edges: u32,
}

/// Places of all nodes of one view.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) settings: Settings,
    pub(crate) nodes: SlotMap<NodeKey, Member>,
    node_ids: FxHashMap<Arc<str>, NodeKey>,
    pub(crate) edges: SlotMap<EdgeKey, Edge>,
    edge_ids: FxHashMap<Arc<str>, EdgeKey>,
    pub(crate) groups: SlotMap<GroupKey, Cluster>,
    group_names: FxHashMap<GroupName, GroupKey>,
    pub(crate) links: FxHashMap<(GroupKey, GroupKey), GroupLink>,
    /// Groups whose members may have moved since they were told.
    pub(crate) moved_groups: FxHashSet<GroupKey>,
    /// Members that got a cell.
    pub(crate) placed_nodes: Vec<NodeKey>,
    /// [`Layout::stretch`] just after the last full layout.
    pub(crate) fresh_stretch: f32,
    pub(crate) fresh_links: usize,
}

impl Layout {
    /// An empty picture.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            nodes: SlotMap::with_key(),
            node_ids: FxHashMap::default(),
            edges: SlotMap::with_key(),
            edge_ids: FxHashMap::default(),
            groups: SlotMap::with_key(),
            group_names: FxHashMap::default(),
            links: FxHashMap::default(),
            moved_groups: FxHashSet::default(),
            placed_nodes: Vec::new(),
            fresh_stretch: 0.0,
            fresh_links: 0,
        }
    }

    /// Applies changes in their order and tells who moved: the newcomers always, others only when
    /// their group had to make room or the picture was laid out anew.
    pub fn update(&mut self, changes: &[Change<'_>]) -> Vec<Moved> {
        for change in changes {
            match *change {
                Change::Node { id, group } => self.add_node(id, group),
                Change::NodeRemoved { id } => self.remove_node(id),
                Change::Edge {
                    id,
                    source,
                    target,
                    weight,
                } => {
                    self.add_edge(id, source, target, weight);
                }
                Change::EdgeRemoved { id } => self.remove_edge(id),
            }
        }
        if self.is_mostly_new() || self.drift() > self.settings.drift_max {
            self.place_all();
        } else {
            self.place_new();
        }
        self.tell()
    }

    /// Lays everything out anew and tells who moved.
    pub fn relayout(&mut self) -> Vec<Moved> {
        self.place_all();
        self.tell()
    }

    /// The ids of all nodes, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.node_ids.keys()
    }

    /// The ids of all edges, in no order.
    pub fn edges(&self) -> impl Iterator<Item = &Arc<str>> {
        self.edge_ids.keys()
    }

    /// Where a node is.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<(f32, f32)> {
        self.place_of(*self.node_ids.get(id)?)
    }

    /// All groups, those of single nodes included.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let group = |cluster: &Cluster| Group {
            group: cluster.name.name.clone(),
            x: cluster.x,
            y: cluster.y,
            radius: self.radius(cluster.rings),
            members: cluster.members,
        };
        self.groups.values().map(group).collect()
    }

    /// Number of nodes and of edges.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.edges.len())
    }

    /// Radius of a group with so many rings.
    pub(crate) fn radius(&self, rings: i32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "rings are few")]
        let rings = rings as f32;
        (rings + 0.75) * self.settings.spacing
    }

    pub(crate) fn place_of(&self, key: NodeKey) -> Option<(f32, f32)> {
        let node = self.nodes.get(key)?;
        let group = &self.groups[node.group];
        let (dx, dy) = node.cell?.offset(self.settings.spacing);
        Some((group.x + dx, group.y + dy))
    }

    fn add_node(&mut self, id: &str, group: &str) {
        if let Some(key) = self.node_ids.get(id).copied() {
            let name = &self.groups[self.nodes[key].group].name;
            let same = if group.is_empty() {
                name.alone
            } else {
                !name.alone && *name.name == *group
            };
            if !same {
                self.change_group(key, group);
            }
            return;
        }
        let id: Arc<str> = id.into();
        let group = self.group(&id, group);
        let node = Member {
            id: id.clone(),
            group,
            cell: None,
            edges: Vec::new(),
            told: None,
        };
        let key = self.nodes.insert(node);
        self.node_ids.insert(id, key);
        self.groups[group].waiting.push(key);
        self.groups[group].members += 1;
    }

    fn group(&mut self, id: &Arc<str>, group: &str) -> GroupKey {
        let alone = group.is_empty();
        let name = GroupName {
            alone,
            name: if alone { id.clone() } else { group.into() },
        };
        if let Some(key) = self.group_names.get(&name) {
            return *key;
        }
        let key = self.groups.insert(Cluster {
            name: name.clone(),
            x: 0.0,
            y: 0.0,
            placed: false,
            rings: 0,
            cells: FxHashMap::default(),
            waiting: Vec::new(),
            members: 0,
        });
        self.group_names.insert(name, key);
        key
    }

    fn change_group(&mut self, key: NodeKey, group: &str) {
        let edges = self.nodes[key].edges.clone();
        for edge in &edges {
            self.count_link(*edge, false);
        }
        self.leave_group(key);
        let id = self.nodes[key].id.clone();
        let group = self.group(&id, group);
        self.nodes[key].group = group;
        self.groups[group].waiting.push(key);
        self.groups[group].members += 1;
        for edge in &edges {
            self.count_link(*edge, true);
        }
    }

    fn leave_group(&mut self, key: NodeKey) {
        let node = &mut self.nodes[key];
        let group = node.group;
        let cell = node.cell.take();
        let cluster = &mut self.groups[group];
        if let Some(cell) = cell {
            cluster.cells.remove(&cell);
        } else {
            cluster.waiting.retain(|waiting| *waiting != key);
        }
        cluster.members -= 1;
        if cluster.members == 0
            && let Some(cluster) = self.groups.remove(group)
        {
            self.group_names.remove(&cluster.name);
            self.moved_groups.remove(&group);
        }
    }

    fn remove_node(&mut self, id: &str) {
        let Some(key) = self.node_ids.remove(id) else {
            return;
        };
        for edge in self.nodes[key].edges.clone() {
            self.drop_edge(edge);
        }
        self.leave_group(key);
        self.nodes.remove(key);
    }

    fn add_edge(&mut self, id: &str, source: &str, target: &str, weight: f32) {
        let weight = if weight.is_finite() {
            weight.clamp(0.0, 1_000.0)
        } else {
            1.0
        };
        if let Some(key) = self.edge_ids.get(id).copied() {
            self.count_link(key, false);
            self.edges[key].weight = weight;
            self.count_link(key, true);
            return;
        }
        let ends = (self.node_ids.get(source), self.node_ids.get(target));
        let (Some(source), Some(target)) = ends else {
            return;
        };
        let ends = [*source, *target];
        if ends[0] == ends[1] {
            return;
        }
        let id: Arc<str> = id.into();
        let key = self.edges.insert(Edge {
            id: id.clone(),
            ends,
            weight,
        });
        self.edge_ids.insert(id, key);
        for end in ends {
            self.nodes[end].edges.push(key);
        }
        self.count_link(key, true);
    }

    fn remove_edge(&mut self, id: &str) {
        if let Some(key) = self.edge_ids.get(id).copied() {
            self.drop_edge(key);
        }
    }

    fn drop_edge(&mut self, key: EdgeKey) {
        self.count_link(key, false);
        let Some(edge) = self.edges.remove(key) else {
            return;
        };
        self.edge_ids.remove(&edge.id);
        for end in edge.ends {
            let list = &mut self.nodes[end].edges;
            if let Some(at) = list.iter().position(|known| *known == key) {
                list.swap_remove(at);
            }
        }
    }

    /// Adds an edge to the sum between its groups, or takes it out.
    fn count_link(&mut self, key: EdgeKey, add: bool) {
        let edge = &self.edges[key];
        let [a, b] = edge.ends.map(|end| self.nodes[end].group);
        if a == b {
            return;
        }
        let pair = if a < b { (a, b) } else { (b, a) };
        let link = self.links.entry(pair).or_default();
        if add {
            link.weight += edge.weight;
            link.edges += 1;
        } else {
            link.weight -= edge.weight;
            link.edges -= 1;
            if link.edges == 0 {
                self.links.remove(&pair);
            }
        }
    }

    /// Who is elsewhere than last told.
    fn tell(&mut self) -> Vec<Moved> {
        let mut keys = std::mem::take(&mut self.placed_nodes);
        for group in std::mem::take(&mut self.moved_groups) {
            if let Some(group) = self.groups.get(group) {
                keys.extend(group.cells.values());
            }
        }
        let mut moved = Vec::new();
        for key in keys {
            let Some((x, y)) = self.place_of(key) else {
                continue;
            };
            let node = &mut self.nodes[key];
            if node.told != Some((x, y)) {
                node.told = Some((x, y));
                moved.push(Moved {
                    id: node.id.clone(),
                    x,
                    y,
                });
            }
        }
        moved
    }
}
