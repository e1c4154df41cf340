//! How far an agent's batches have been taken in. Values in, values out.
//!
//! Batches of one generation carry sequence numbers without a gap. After a gap the state is not
//! to be trusted: deltas are dropped until a snapshot begins, and what it does not hold is gone at
//! its end.

use mesoscope_proto::v1::{Hello, SnapshotPart, Welcome};

/// What has been taken in of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    generation: u64,
    /// The next sequence number.
    expected: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// A snapshot must come first.
    #[default]
    Incomplete,
    /// The first part of a snapshot has come, the last has not.
    InSnapshot,
    /// Everything up to `expected` is in the topology.
    Complete,
}

/// What to do with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Apply its changes.
    Apply {
        /// A snapshot begins before them.
        begin: bool,
        /// The snapshot ends after them.
        end: bool,
    },
    /// It was taken in before.
    Duplicate,
    /// It means nothing without a snapshot, which was asked for before.
    Dropped,
    /// Ask for a snapshot, for this reason; the batch is dropped.
    Resync(String),
    /// The agent breaks the protocol.
    Refuse(String),
}

impl Progress {
    /// Takes a Hello; the answer tells whether the agent may go on where it was.
    pub fn welcome(&mut self, hello: &Hello, version: &str) -> Welcome {
        let same = hello.generation == self.generation && self.state == State::Complete;
        // What the agent still holds must begin at or before what comes next here, and what comes
        // next must not lie beyond what it has given out.
        let spooled = hello.sequence_first <= self.expected && self.expected <= hello.sequence_next;
        let resume = same && spooled;
        if !resume {
            *self = Self {
                generation: hello.generation,
                expected: 0,
                state: State::Incomplete,
            };
        }
        Welcome {
            resume,
            sequence_expected: self.expected,
            aggregator_version: version.to_owned(),
        }
    }

    /// Decides on a batch.
    pub fn batch(&mut self, generation: u64, sequence: u64, part: i32) -> Verdict {
        let Ok(part) = SnapshotPart::try_from(part) else {
            return Verdict::Refuse(format!("there is no snapshot part {part}"));
        };
        if generation != self.generation {
            return Verdict::Refuse(format!(
                "the batch is of generation {generation}, the Hello was of {}",
                self.generation
            ));
        }
        if sequence == u64::MAX {
            return Verdict::Refuse("the sequence number is out of range".to_owned());
        }
        let begins = matches!(part, SnapshotPart::First | SnapshotPart::Whole);
        let ends = matches!(part, SnapshotPart::Last | SnapshotPart::Whole);
        if sequence < self.expected {
            return Verdict::Duplicate;
        }
        if !begins {
            match self.state {
                // The stream is reliable and in order: the snapshot that was asked for will come.
                State::Incomplete => {
                    self.expected = sequence + 1;
                    return Verdict::Dropped;
                }
                State::Complete | State::InSnapshot if sequence != self.expected => {
                    let reason = format!("expected batch {}, got {sequence}", self.expected);
                    return self.resync(sequence, reason);
                }
                State::Complete if part != SnapshotPart::None => {
                    let reason = "a part of a snapshot came without the first one".to_owned();
                    return self.resync(sequence, reason);
                }
                State::Complete | State::InSnapshot => {}
            }
        }
        self.expected = sequence + 1;
        if ends {
            self.state = State::Complete;
        } else if begins {
            self.state = State::InSnapshot;
        }
        Verdict::Apply {
            begin: begins,
            end: ends,
        }
    }

    /// The highest sequence number that is in the topology for good: what the agent may forget.
    /// `None` while a snapshot is wanted or under way, as it may have to be sent again.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u64> {
        match self.state {
            State::Complete => self.expected.checked_sub(1),
            State::Incomplete | State::InSnapshot => None,
        }
    }

    /// Another member relays the agent from `sequence_next` on. Gives whether it is to be asked for a
    /// snapshot: what came before is not here, and none is on its way.
    pub fn relayed(&mut self, generation: u64, sequence_next: u64, snapshot_follows: bool) -> bool {
        let same = generation == self.generation && self.state == State::Complete;
        if same && (snapshot_follows || sequence_next <= self.expected) {
            return false;
        }
        *self = Self {
            generation,
            expected: 0,
            state: State::Incomplete,
        };
        !snapshot_follows
    }

    /// The next sequence number.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// A snapshot was asked for, and has not begun.
    #[must_use]
    pub fn awaits_snapshot(&self) -> bool {
        self.state == State::Incomplete
    }

    /// What is held can't be trusted any more (the topology forgot the agent).
    pub fn forget(&mut self) {
        self.state = State::Incomplete;
        self.expected = 0;
    }

    fn resync(&mut self, sequence: u64, reason: String) -> Verdict {
        self.state = State::Incomplete;
        self.expected = sequence + 1;
        Verdict::Resync(reason)
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
