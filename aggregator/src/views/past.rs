//! Where the nodes of a past view are drawn: where they are live, and those that are gone where they
//! were put for the moment looked at before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_layout::{Layout, Settings};
use mesoscope_proto::v1::{Edge, Node, TopologyDiff};
use mesoscope_topology::{Options, ViewKind};

use super::shared::{SharedView, layout_changes};
use crate::archive::Recalled;

/// Views whose places are kept.
pub const PLACES_MAX: usize = 8;
/// Places that nobody used are kept so long.
const PLACES_KEEP: Duration = Duration::from_secs(120);

/// The places of the nodes of a view.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) layout: Layout,
    pub(super) nodes: HashMap<String, Node>,
    pub(super) edges: HashMap<String, Edge>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            layout: Layout::new(Settings::default()),
            nodes: HashMap::new(),
            edges: HashMap::new(),
        }
    }
}

#[derive(Debug)]
struct Kept {
    kind: ViewKind,
    options: Options,
    used: Instant,
    places: Arc<Mutex<Places>>,
}

/// The places of past views that somebody looks at.
#[derive(Debug, Default)]
pub(super) struct PastPlaces(Mutex<Vec<Kept>>);

impl PastPlaces {
    /// The whole view as it was, with the places of its nodes. Blocking.
    pub(super) fn view(
        &self,
        (kind, options): (ViewKind, Options),
        moment: &Recalled,
        live: Option<&SharedView>,
    ) -> TopologyDiff {
        let mut diff = moment.view(kind, options.clone());
        let places = self.of(kind, options, live);
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        places.place(&mut diff);
        diff
    }

    /// Views whose places are kept.
    pub(super) fn kept(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn of(
        &self,
        kind: ViewKind,
        options: Options,
        live: Option<&SharedView>,
    ) -> Arc<Mutex<Places>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kept| kept.used.elapsed() < PLACES_KEEP);
        let known = all
            .iter_mut()
            .find(|kept| kept.kind == kind && kept.options == options);
        if let Some(known) = known {
            known.used = Instant::now();
            return known.places.clone();
        }
        if all.len() >= PLACES_MAX {
            all.sort_by_key(|kept| kept.used);
            all.remove(0);
        }
        let places = live.map(SharedView::places).unwrap_or_default();
        let places = Arc::new(Mutex::new(places));
        all.push(Kept {
            kind,
            options,
            used: Instant::now(),
            places: places.clone(),
        });
        places
    }
}

impl Places {
    fn place(&mut self, diff: &mut TopologyDiff) {
        let changes = layout_changes(&self.nodes, &self.edges, diff);
        if !changes.is_empty() {
            self.layout.update(&changes);
        }
        for node in &mut diff.nodes {
            if let Some((x, y)) = self.layout.position(&node.id) {
                (node.x, node.y) = (x, y);
            }
        }
        let by_id = |node: &Node| (node.id.clone(), node.clone());
        self.nodes = diff.nodes.iter().map(by_id).collect();
        let by_id = |edge: &Edge| (edge.id.clone(), edge.clone());
        self.edges = diff.edges.iter().map(by_id).collect();
    }
}
