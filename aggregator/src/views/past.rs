//! Where the nodes of a past view are drawn: where they are live, and those that are gone where they
//! were put for the moment looked at before.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_layout::{Change, Layout, Settings};
use mesoscope_proto::v1::TopologyDiff;
use mesoscope_topology::{Options, ViewKind};

use super::shared::{SharedView, layout_changes};
use crate::archive::Recalled;

/// Views whose places are kept.
pub const PLACES_MAX: usize = 8;
/// Places that nobody used are kept so long.
const PLACES_KEEP: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Kept {
    kind: ViewKind,
    options: Options,
    used: Instant,
    places: Arc<Mutex<Layout>>,
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
        place(&mut places, &mut diff);
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
    ) -> Arc<Mutex<Layout>> {
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
        let new = || Layout::new(Settings::default());
        let places = live.map_or_else(new, SharedView::layout);
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

/// Lets the layout follow to a whole view, and fills in where its nodes are.
fn place(layout: &mut Layout, view: &mut TopologyDiff) {
    let nodes: HashSet<&str> = view.nodes.iter().map(|node| &*node.id).collect();
    let edges: HashSet<&str> = view.edges.iter().map(|edge| &*edge.id).collect();
    let gone = |known: &HashSet<&str>, id: &Arc<str>| (!known.contains(&**id)).then(|| id.clone());
    let nodes_gone: Vec<_> = layout.nodes().filter_map(|id| gone(&nodes, id)).collect();
    let edges_gone: Vec<_> = layout.edges().filter_map(|id| gone(&edges, id)).collect();
    let mut changes: Vec<_> = edges_gone
        .iter()
        .map(|id| Change::EdgeRemoved { id })
        .collect();
    changes.extend(nodes_gone.iter().map(|id| Change::NodeRemoved { id }));
    changes.extend(layout_changes(view));
    layout.update(&changes);
    for node in &mut view.nodes {
        if let Some((x, y)) = layout.position(&node.id) {
            (node.x, node.y) = (x, y);
        }
    }
}
