//! What changed since the last flush, each thing once.

use std::sync::Arc;

use mesoscope_capture::ProcessId;
use mesoscope_proto::v1;

/// A change that waits for the flush.
pub(super) enum Item<K, M> {
    /// As the thing is at the flush.
    Live(K),
    /// As it was before something that must be told on its own.
    Frozen(Box<M>),
}

/// Position of a thing's item in its list, so that it can be frozen in place.
pub(super) type Slot = Option<u32>;

/// Puts `key` on the list unless it is there.
pub(super) fn mark<K, M>(list: &mut Vec<Item<K, M>>, slot: &mut Slot, key: K) {
    if slot.is_none() {
        *slot = u32::try_from(list.len()).ok();
        list.push(Item::Live(key));
    }
}

/// Fixes the waiting item of a thing as `message`.
pub(super) fn freeze<K, M>(list: &mut [Item<K, M>], slot: &mut Slot, message: M) {
    let item = slot
        .take()
        .and_then(|slot| list.get_mut(usize::try_from(slot).ok()?));
    if let Some(item) = item {
        *item = Item::Frozen(Box::new(message));
    }
}

/// Everything that waits.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) containers: Vec<Arc<str>>,
    pub(super) processes: Vec<Item<ProcessId, v1::Process>>,
    pub(super) listeners: Vec<Item<u64, v1::Listener>>,
    pub(super) connections: Vec<Item<u64, v1::Connection>>,
    pub(super) other: Vec<v1::change::Change>,
    pub(super) plugins: Vec<v1::PluginFacts>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.containers.len()
            + self.processes.len()
            + self.listeners.len()
            + self.connections.len()
            + self.other.len()
            + self.plugins.len()
    }
}
