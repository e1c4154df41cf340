//! What an agent has just told, as it is written down while agents wait: encoded, in order, and
//! nothing else. Everything that takes longer is done later, from here.

use mesoscope_proto::v1::{self, change};
use prost::Message;
use rustc_hash::FxHashMap;

use crate::code::packed::standing;

/// Containers whose standing is remembered; beyond, all are noted again.
const PRESSED_MAX: usize = 4_096;

/// What happened to an agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    Connected(v1::Hello),
    Disconnected,
    SnapshotBegins,
    SnapshotEnds,
    Change(Box<v1::Change>),
}

const CONNECTED: u8 = 0;
const DISCONNECTED: u8 = 1;
const SNAPSHOT_BEGINS: u8 = 2;
const SNAPSHOT_ENDS: u8 = 3;
const CHANGE: u8 = 4;

/// Notes of one agent that [`crate::History`] has not taken yet.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// What was noted last of containers that were killed in or held back by their limits.
    pressed: FxHashMap<String, v1::ContainerMetrics>,
}

impl Inbox {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The agent has a stream.
    pub fn connected(&mut self, hello: &v1::Hello, now_ms: u64) {
        self.note(CONNECTED, now_ms);
        // A vector grows as it must.
        let _ = hello.encode_length_delimited(&mut self.bytes);
    }

    /// Its stream has ended.
    pub fn disconnected(&mut self, now_ms: u64) {
        self.note(DISCONNECTED, now_ms);
    }

    /// It begins to tell all that there is.
    pub fn snapshot_begins(&mut self, now_ms: u64) {
        self.note(SNAPSHOT_BEGINS, now_ms);
    }

    /// It has told all.
    pub fn snapshot_ends(&mut self, now_ms: u64) {
        self.note(SNAPSHOT_ENDS, now_ms);
    }

    /// It tells a change. Figures are left to the series, and what leaves no trace on the map is not
    /// noted.
    pub fn change(&mut self, change: &v1::Change, now_ms: u64) {
        match &change.change {
            None
            | Some(
                change::Change::HostMetrics(_)
                | change::Change::ProcessMetrics(_)
                | change::Change::CgroupEvent(_),
            ) => {}
            Some(change::Change::ContainerMetrics(metrics)) => self.metrics(metrics, now_ms),
            Some(_) => {
                self.note(CHANGE, now_ms);
                let _ = change.encode_length_delimited(&mut self.bytes);
            }
        }
    }

    fn metrics(&mut self, metrics: &v1::ContainerMetrics, now_ms: u64) {
        let id = metrics.container_id.as_str();
        if !is_pressed(metrics) && !self.pressed.contains_key(id) {
            return;
        }
        let standing = standing(metrics);
        if self.pressed.get(id) == Some(&standing) {
            return;
        }
        if !is_pressed(metrics) {
            self.pressed.remove(id);
        } else {
            if self.pressed.len() >= PRESSED_MAX {
                self.pressed.clear();
            }
            self.pressed.insert(id.to_owned(), standing.clone());
        }
        let change = v1::Change {
            change: Some(change::Change::ContainerMetrics(standing)),
        };
        self.note(CHANGE, now_ms);
        let _ = change.encode_length_delimited(&mut self.bytes);
    }

    /// The notes so far; further ones wait anew.
    #[must_use]
    pub fn take(&mut self) -> Taken {
        Taken {
            bytes: std::mem::take(&mut self.bytes),
        }
    }

    fn note(&mut self, kind: u8, now_ms: u64) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&now_ms.to_le_bytes());
    }
}

/// Notes out of an inbox.
#[derive(Debug, Default)]
pub struct Taken {
    bytes: Vec<u8>,
}

impl Taken {
    /// The notes in their order, with their times.
    pub(crate) fn notes(&self) -> Notes<'_> {
        Notes { rest: &self.bytes }
    }

    /// What it says of the agent's streams.
    pub(crate) fn news(&self) -> News {
        let mut news = News::default();
        for (at_ms, note) in self.notes() {
            if news.first_ms == 0 {
                news.first_ms = at_ms;
            }
            match note {
                Note::Connected(hello) => {
                    news.gone_ms = None;
                    news.hello.get_or_insert((at_ms, hello));
                }
                Note::Disconnected => news.gone_ms = Some(at_ms),
                Note::SnapshotBegins => news.begins_snapshot = true,
                Note::SnapshotEnds | Note::Change(_) => {}
            }
        }
        news
    }
}

/// What notes say of an agent's streams.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// When the first of them was made.
    pub(crate) first_ms: u64,
    /// The first Hello.
    pub(crate) hello: Option<(u64, v1::Hello)>,
    /// When the last stream ended, if it did.
    pub(crate) gone_ms: Option<u64>,
    pub(crate) begins_snapshot: bool,
}

/// Whether the figures of a container say of it what its series don't: a kill for want of memory, or
/// that it is held back by its limit.
fn is_pressed(metrics: &v1::ContainerMetrics) -> bool {
    metrics.oom_kills > 0 || metrics.cpu_throttled_fraction > 0.0
}

pub(crate) struct Notes<'a> {
    rest: &'a [u8],
}

impl Iterator for Notes<'_> {
    type Item = (u64, Note);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, rest) = self.rest.split_first()?;
        let (time, rest) = rest.split_first_chunk()?;
        self.rest = rest;
        let note = match *kind {
            CONNECTED => Note::Connected(v1::Hello::decode_length_delimited(&mut self.rest).ok()?),
            DISCONNECTED => Note::Disconnected,
            SNAPSHOT_BEGINS => Note::SnapshotBegins,
            SNAPSHOT_ENDS => Note::SnapshotEnds,
            _ => {
                let change = v1::Change::decode_length_delimited(&mut self.rest).ok()?;
                Note::Change(Box::new(change))
            }
        };
        Some((u64::from_le_bytes(*time), note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_in_their_order() {
        let mut inbox = Inbox::default();
        let hello = v1::Hello {
            agent_id: "a".to_owned(),
            ..Default::default()
        };
        let change = |change| v1::Change {
            change: Some(change),
        };
        let gap = change(change::Change::Gap(v1::Gap {
            what: "process".to_owned(),
            ..Default::default()
        }));
        inbox.connected(&hello, 1);
        inbox.snapshot_begins(2);
        inbox.change(&gap, 3);
        inbox.change(
            &change(change::Change::HostMetrics(v1::HostMetrics::default())),
            3,
        );
        inbox.snapshot_ends(4);
        inbox.disconnected(5);
        let notes: Vec<_> = inbox.take().notes().collect();
        assert_eq!(
            notes,
            [
                (1, Note::Connected(hello)),
                (2, Note::SnapshotBegins),
                (3, Note::Change(Box::new(gap))),
                (4, Note::SnapshotEnds),
                (5, Note::Disconnected),
            ]
        );
    }
}
