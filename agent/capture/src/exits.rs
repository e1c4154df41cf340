//! One end for each process.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use crate::ProcessId;

/// How many ends are remembered: more than there can be threads between the two moments that race.
const REMEMBERED: usize = 1024;

/// The processes that ended lately.
///
/// Before 6.16 `sched_process_exit` does not say which thread is the last one, and of several that
/// end at once more than one may find nobody else alive. The first record holds; the others repeat it.
#[derive(Debug, Default)]
pub struct RecentExits {
    order: VecDeque<ProcessId>,
    known: FxHashSet<ProcessId>,
}

impl RecentExits {
    /// Whether this is the first end of the process.
    pub fn first(&mut self, process: ProcessId) -> bool {
        if !self.known.insert(process) {
            return false;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(process);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_once_and_memory_is_bounded() {
        let mut exits = RecentExits::default();
        let process = |pid| ProcessId {
            pid,
            start_boottime_ns: 0,
        };
        assert!(exits.first(process(1)));
        assert!(!exits.first(process(1)));
        assert!(exits.first(ProcessId {
            pid: 1,
            start_boottime_ns: 10_000_000
        }));
        for pid in 2..5000 {
            assert!(exits.first(process(pid)));
            assert!(!exits.first(process(pid)));
        }
        assert_eq!(exits.order.len(), REMEMBERED);
        assert_eq!(exits.known.len(), REMEMBERED);
    }
}
