//! Changes as numbered batches, encoded once.

use mesoscope_proto::v1::{AgentMessage, Batch, Change, SnapshotPart, agent_message, change};
use prost::Message;
use prost::bytes::Bytes;

/// A batch is closed when its changes have this size; small enough that no copy of it hurts.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// One encoded `AgentMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Number of the batch in it.
    pub sequence: u64,
    /// The message.
    pub bytes: Bytes,
}

/// Collects changes into batches.
pub struct Batcher<'a> {
    generation: u64,
    sequence: &'a mut u64,
    time_unix_ns: u64,
    snapshot: bool,
    parts: u32,
    changes: Vec<Change>,
    bytes: usize,
    push: &'a mut dyn FnMut(Encoded),
}

impl<'a> Batcher<'a> {
    /// Numbers batches from `sequence` on.
    pub fn new(
        generation: u64,
        sequence: &'a mut u64,
        time_unix_ns: u64,
        snapshot: bool,
        push: &'a mut dyn FnMut(Encoded),
    ) -> Self {
        Self {
            generation,
            sequence,
            time_unix_ns,
            snapshot,
            parts: 0,
            changes: Vec::new(),
            bytes: 0,
            push,
        }
    }

    /// Adds a change.
    pub fn add(&mut self, change: change::Change) {
        let change = Change {
            change: Some(change),
        };
        let bytes = change.encoded_len() + 8;
        if self.bytes + bytes > BATCH_BYTES_MAX && !self.changes.is_empty() {
            self.close(false);
        }
        self.bytes += bytes;
        self.changes.push(change);
    }

    /// Closes the last batch. A snapshot has one even when it is empty.
    pub fn finish(mut self) {
        if self.snapshot || !self.changes.is_empty() {
            self.close(true);
        }
    }

    fn close(&mut self, last: bool) {
        let part = match (self.snapshot, self.parts, last) {
            (false, _, _) => SnapshotPart::None,
            (true, 0, true) => SnapshotPart::Whole,
            (true, 0, false) => SnapshotPart::First,
            (true, _, false) => SnapshotPart::Middle,
            (true, _, true) => SnapshotPart::Last,
        };
        let message = AgentMessage {
            message: Some(agent_message::Message::Batch(Batch {
                generation: self.generation,
                sequence: *self.sequence,
                snapshot: part.into(),
                time_unix_ns: self.time_unix_ns,
                changes: std::mem::take(&mut self.changes),
            })),
        };
        (self.push)(Encoded {
            sequence: *self.sequence,
            bytes: message.encode_to_vec().into(),
        });
        *self.sequence += 1;
        self.parts += 1;
        self.bytes = 0;
    }
}
