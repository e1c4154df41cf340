//! What changed in a graph, in order, so that each view can catch up from where it was.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::keys::{EdgeKey, NodeKey};

/// A node or edge of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Item {
    Node(NodeKey),
    Edge(EdgeKey),
}

/// The changes since views last read. An item is listed again only after somebody has read: a busy
/// edge costs one entry per reading and not one per packet of news.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    revision: u64,
    entries: VecDeque<(u64, Item)>,
    /// Entries up to this revision are gone: a view that is behind starts anew.
    trimmed_to: u64,
    /// Revision that the most recent reader has seen. Readers hold the topology shared.
    read_to: AtomicU64,
}

impl Journal {
    /// Records a change of an item whose revision of the last change is `last`; gives the revision
    /// to store there.
    pub(crate) fn mark(&mut self, item: Item, last: u64) -> u64 {
        if last > self.read_to.load(Ordering::Relaxed) {
            return last;
        }
        self.push(item)
    }

    /// Records that an item is gone.
    pub(crate) fn bury(&mut self, item: Item) {
        self.push(item);
    }

    fn push(&mut self, item: Item) -> u64 {
        self.revision += 1;
        self.entries.push_back((self.revision, item));
        self.revision
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries after `cursor`, or `None` when some of them are gone. Tells the journal that they
    /// have been read.
    pub(crate) fn read(&self, cursor: u64) -> Option<impl Iterator<Item = (u64, Item)> + '_> {
        self.read_to.fetch_max(self.revision, Ordering::Relaxed);
        if cursor < self.trimmed_to {
            return None;
        }
        let start = self
            .entries
            .partition_point(|(revision, _)| *revision <= cursor);
        Some(self.entries.range(start..).copied())
    }

    /// Passes over all entries: a reader begins here, and what changes from now on is listed anew.
    pub(crate) fn skip(&self) -> u64 {
        self.read_to.fetch_max(self.revision, Ordering::Relaxed);
        self.revision
    }

    /// Drops the oldest entries beyond `limit`, after those that a later entry of the same item
    /// has replaced (`is_last` tells).
    pub(crate) fn trim(&mut self, limit: usize, is_last: impl Fn(u64, Item) -> bool) {
        if self.entries.len() <= limit {
            return;
        }
        self.entries
            .retain(|(revision, item)| is_last(*revision, *item));
        // Half is kept, so that the next trim is not due at once.
        while self.entries.len() > limit / 2 {
            if let Some((revision, _)) = self.entries.pop_front() {
                self.trimmed_to = revision;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn an_unread_item_is_listed_once() {
        let mut nodes: SlotMap<NodeKey, ()> = SlotMap::with_key();
        let item = Item::Node(nodes.insert(()));
        let mut journal = Journal::default();
        let first = journal.mark(item, 0);
        assert_eq!(journal.mark(item, first), first);
        assert_eq!(journal.read(0).expect("nothing trimmed").count(), 1);
        let second = journal.mark(item, first);
        assert!(second > first);
        assert_eq!(journal.read(first).expect("nothing trimmed").count(), 1);
    }

    #[test]
    fn what_changes_after_a_skip_is_listed() {
        let mut nodes: SlotMap<NodeKey, ()> = SlotMap::with_key();
        let item = Item::Node(nodes.insert(()));
        let mut journal = Journal::default();
        let first = journal.mark(item, 0);
        let cursor = journal.skip();
        journal.mark(item, first);
        assert_eq!(journal.read(cursor).expect("nothing trimmed").count(), 1);
    }

    #[test]
    fn a_reader_behind_the_trim_is_told() {
        let mut nodes: SlotMap<NodeKey, ()> = SlotMap::with_key();
        let mut journal = Journal::default();
        for _ in 0..10 {
            journal.bury(Item::Node(nodes.insert(())));
        }
        journal.trim(4, |_, _| true);
        assert!(journal.read(0).is_none());
        assert_eq!(
            journal
                .read(journal.revision())
                .expect("up to date")
                .count(),
            0
        );
    }
}
