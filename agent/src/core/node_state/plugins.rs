//! What plugins see of this node, and what they said of it.

use std::collections::BTreeMap;

use mesoscope_plugins::manifest::Nodes;
use mesoscope_plugins::nodes::{self, Sight, Target};
use mesoscope_plugins::validate::is_empty;
use mesoscope_proto::v1;

use super::state::{NodeState, key};

/// By node, then plugin: told behind the nodes that it is about.
#[derive(Default)]
pub(super) struct PluginsSaid {
    kept: BTreeMap<(Target, String), v1::PluginFacts>,
}

impl PluginsSaid {
    pub(super) fn snapshot(&self, emit: &mut dyn FnMut(v1::PluginFacts)) {
        self.kept.values().cloned().for_each(emit);
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

impl NodeState {
    /// What a plugin sees whose manifest names these nodes: what is there now, in the order of the ids.
    #[must_use]
    pub fn sight(&self, wanted: &Nodes) -> Sight {
        let mut sight = Sight::default();
        if wanted.host {
            let name = self.hostname();
            sight.add(|| nodes::host(name));
        }
        if !wanted.containers.is_empty() {
            let present = self.containers.present();
            for container in present.filter(|container| wanted.has_container(container)) {
                sight.add(|| nodes::container(container));
            }
        }
        if !wanted.processes.is_empty() {
            let mut fitting: Vec<_> = self
                .programs()
                .filter_map(|id| Some((id, self.processes.get(id)?)))
                .filter(|(_, process)| wanted.has_process(&process.name, &process.executable))
                .collect();
            fitting.sort_unstable_by_key(|(id, _)| (id.start_boottime_ns, id.pid));
            for (id, process) in fitting {
                let container = process.container.as_deref().unwrap_or_default();
                sight
                    .add(|| nodes::process(key(id), &process.name, &process.executable, container));
            }
        }
        sight
    }

    /// A plugin says something of a node, in place of what it said of it before; facts with nothing in
    /// them take that away. They are within the bounds of their manifest, and so is their number.
    pub fn plugin_said(&mut self, facts: v1::PluginFacts) {
        let target = Target::of(&facts.container_id, facts.process.as_ref());
        let name = (target, facts.plugin.clone());
        let changed = if is_empty(&facts) {
            self.plugins.kept.remove(&name).is_some()
        } else {
            self.plugins.kept.insert(name, facts.clone()).as_ref() != Some(&facts)
        };
        if changed {
            self.pending.plugins.push(facts);
        }
    }
}
