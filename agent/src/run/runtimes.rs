//! What the container runtimes tell.

use mesoscope_capture::MonoNs;
use mesoscope_discover::runtime::RuntimeEvent;
use rustc_hash::FxHashSet;

use crate::core::node_state::NodeState;

/// What one runtime has told of so far.
#[derive(Debug, Default)]
pub struct RuntimeSource {
    known: FxHashSet<String>,
    /// Told since the runtime began to list all that it has.
    listing: Option<FxHashSet<String>>,
}

impl RuntimeSource {
    /// Takes over one event.
    pub fn event(&mut self, now: MonoNs, event: RuntimeEvent, state: &mut NodeState) {
        match event {
            RuntimeEvent::Connected { runtime, version } => {
                tracing::info!(runtime, version, "container runtime");
                self.listing = Some(FxHashSet::default());
            }
            RuntimeEvent::Disconnected { reason } => {
                tracing::debug!(reason, "no container runtime");
                self.listing = None;
            }
            RuntimeEvent::Upsert(container) => {
                self.known.insert(container.id.clone());
                if let Some(listing) = &mut self.listing {
                    listing.insert(container.id.clone());
                }
                state.container_named(*container);
            }
            RuntimeEvent::Removed { id } => {
                self.known.remove(&id);
                state.container_removed(now, &id);
            }
            RuntimeEvent::Listed { .. } => {
                let Some(listed) = self.listing.take() else {
                    return;
                };
                for gone in self.known.difference(&listed) {
                    state.container_removed(now, gone);
                }
                self.known = listed;
            }
        }
    }
}
