//! The layout as its owner sees it.

/// Parameters of the layout. The same settings and changes give the same picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed of the first placement.
    pub seed: u64,
    /// Distance of neighbouring nodes, in pixels at zoom 1.
    pub spacing: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            spacing: 48.0,
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
    /// An edge is there; a known one only changes its weight. Its nodes must be known before.
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
    pub id: std::sync::Arc<str>,
    /// Pixels at zoom 1.
    pub x: f32,
    /// Pixels at zoom 1.
    pub y: f32,
}

/// A group's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub group: std::sync::Arc<str>,
    /// Centre, in pixels at zoom 1.
    pub x: f32,
    /// Centre, in pixels at zoom 1.
    pub y: f32,
    /// All members are within.
    pub radius: f32,
    /// Number of members.
    pub members: usize,
}

/// Places of all nodes of one view.
#[derive(Debug)]
pub struct Layout {
    #[expect(dead_code, reason = "the placement follows")]
    settings: Settings,
}

impl Layout {
    /// An empty picture.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Applies changes in their order and tells who moved: the newcomers always, others only when
    /// their group had to make room or the picture was laid out anew.
    pub fn update(&mut self, _changes: &[Change<'_>]) -> Vec<Moved> {
        Vec::new()
    }

    /// Lays everything out anew and tells who moved.
    pub fn relayout(&mut self) -> Vec<Moved> {
        Vec::new()
    }

    /// How much longer the edges between groups are than just after the last full layout: 1 is
    /// fresh. [`Self::update`] lays out anew by itself past a bound.
    #[must_use]
    pub fn drift(&self) -> f32 {
        1.0
    }

    /// Where a node is.
    #[must_use]
    pub fn position(&self, _id: &str) -> Option<(f32, f32)> {
        None
    }

    /// All groups, those of single nodes included.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        Vec::new()
    }
}
