//! Labels that people gave to nodes, beside those that engines have.

use std::collections::BTreeMap;

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use crate::{Topology, ViewKind, keys::NodeKey, render::Fields};

/// Where those of engines stand, too.
const TITLE: &str = "Labels";

/// Of all nodes, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Labels(FxHashMap<String, BTreeMap<String, String>>);

impl Topology {
    /// Gives a node these labels and no others. Those of a node that is not known wait for it.
    pub fn set_labels(&mut self, node: &str, labels: BTreeMap<String, String>) {
        if labels.is_empty() {
            self.labels.0.remove(node);
        } else {
            self.labels.0.insert(node.to_owned(), labels);
        }
    }

    /// Whether a view that groups nothing has this node.
    #[must_use]
    pub fn has_node(&self, view: ViewKind, id: &str) -> bool {
        self.find_node(view, id).is_some()
    }

    /// Adds them to the sections of a node.
    pub(crate) fn add_labels(&self, view: ViewKind, key: NodeKey, sections: &mut Vec<v1::Section>) {
        if self.labels.0.is_empty() {
            return;
        }
        let node = self.graph(view).nodes.get(key);
        let Some(labels) = node.and_then(|node| self.labels.0.get(&*node.id)) else {
            return;
        };
        let mut fields = Fields::default();
        for (key, value) in labels {
            fields.add(key, key, "text", value.as_str());
        }
        match sections.iter_mut().find(|section| section.title == TITLE) {
            Some(section) => section.fields.extend(fields.0),
            None => sections.push(v1::Section {
                title: TITLE.into(),
                fields: fields.0,
            }),
        }
    }
}
