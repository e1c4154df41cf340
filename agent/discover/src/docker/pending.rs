//! What is still to be asked of the engine, bounded and in order.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Containers that may wait at once; beyond it, the whole list is read again.
const PENDING_MAX: usize = 4096;

/// What to do about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Ask for it.
    Inspect {
        /// Earlier questions that were not answered.
        attempts: u32,
    },
    /// It is gone.
    Remove,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Container(String, Work),
    /// Everything of the list that was added before has been taken.
    ListEnds {
        containers: usize,
    },
}

/// A queue that holds each container once: events that follow closely are answered by one question.
#[derive(Debug, Default)]
pub(super) struct Pending {
    order: VecDeque<Slot>,
    work: FxHashMap<String, Work>,
}

#[derive(Debug)]
enum Slot {
    Container(String),
    ListEnds(usize),
}

/// There is no room: the whole list must be read again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Pending {
    pub(super) fn push(&mut self, id: String, work: Work) -> Result<(), Full> {
        if let Some(known) = self.work.get_mut(&id) {
            // A removal is final: ids are never given twice.
            if *known != Work::Remove {
                *known = work;
            }
            return Ok(());
        }
        if self.work.len() >= PENDING_MAX {
            return Err(Full);
        }
        self.order.push_back(Slot::Container(id.clone()));
        self.work.insert(id, work);
        Ok(())
    }

    pub(super) fn push_list_end(&mut self, containers: usize) {
        self.order.push_back(Slot::ListEnds(containers));
    }

    /// The next thing to do. The end of a list waits until nothing is `in_flight`.
    pub(super) fn pop(&mut self, in_flight: usize) -> Option<Next> {
        match self.order.front()? {
            Slot::ListEnds(_) if in_flight > 0 => None,
            Slot::ListEnds(containers) => {
                let containers = *containers;
                self.order.pop_front();
                Some(Next::ListEnds { containers })
            }
            Slot::Container(_) => {
                let Some(Slot::Container(id)) = self.order.pop_front() else {
                    return None;
                };
                let work = self.work.remove(&id)?;
                Some(Next::Container(id, work))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.work.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSPECT: Work = Work::Inspect { attempts: 0 };

    #[test]
    fn events_of_one_container_become_one_question_and_removal_wins() {
        let mut pending = Pending::default();
        pending.push("a".into(), INSPECT).expect("room");
        pending.push("b".into(), INSPECT).expect("room");
        pending.push("a".into(), Work::Remove).expect("room");
        pending.push("a".into(), INSPECT).expect("room");
        assert_eq!(
            pending.pop(0),
            Some(Next::Container("a".into(), Work::Remove))
        );
        assert_eq!(pending.pop(1), Some(Next::Container("b".into(), INSPECT)));
        assert_eq!(pending.pop(0), None);
    }

    #[test]
    fn the_end_of_a_list_waits_for_the_questions_before_it() {
        let mut pending = Pending::default();
        pending.push_list_end(3);
        pending.push("a".into(), INSPECT).expect("room");
        assert_eq!(pending.pop(1), None);
        assert_eq!(pending.pop(0), Some(Next::ListEnds { containers: 3 }));
        assert_eq!(pending.pop(2), Some(Next::Container("a".into(), INSPECT)));
    }

    #[test]
    fn it_is_bounded() {
        let mut pending = Pending::default();
        for number in 0..PENDING_MAX {
            pending.push(number.to_string(), INSPECT).expect("room");
        }
        assert_eq!(pending.push("one more".into(), INSPECT), Err(Full));
        assert_eq!(pending.push("7".into(), Work::Remove), Ok(()));
        assert_eq!(pending.len(), PENDING_MAX);
        pending.clear();
        assert_eq!(pending.push("one more".into(), INSPECT), Ok(()));
    }

    proptest! {
        #[test]
        fn each_container_is_taken_once_with_its_last_work(
            pushes in proptest::collection::vec((0..20_u8, any::<bool>()), 0..100)
        ) {
            let mut pending = Pending::default();
            let mut expected = std::collections::HashMap::new();
            for (id, remove) in pushes {
                let work = if remove { Work::Remove } else { INSPECT };
                pending.push(id.to_string(), work.clone()).expect("room");
                let last = expected.entry(id.to_string()).or_insert(work.clone());
                if *last != Work::Remove {
                    *last = work;
                }
            }
            while let Some(Next::Container(id, work)) = pending.pop(0) {
                prop_assert_eq!(expected.remove(&id), Some(work));
            }
            prop_assert!(expected.is_empty());
        }
    }
}
