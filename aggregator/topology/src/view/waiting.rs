//! Things whose figures are told later.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::journal::Item;

/// Each with the time from which it may be told, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(BinaryHeap<Reverse<(u64, Item)>>);

impl Waiting {
    pub(super) fn put(&mut self, due_ms: u64, item: Item) {
        self.0.push(Reverse((due_ms, item)));
    }

    /// The one that has been due longest, if any is, and since when. It may have been told otherwise
    /// since it was put.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<(u64, Item)> {
        let Reverse((due_ms, _)) = self.0.peek()?;
        if *due_ms > now_ms {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
