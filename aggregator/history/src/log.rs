//! What one agent told: segments, each a state and what was told after it.

mod step;

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use mesoscope_proto::v1;
use prost::Message;
use rustc_hash::{FxHashMap, FxHasher};

use crate::RESOLUTION_MS;
use crate::code::block::{self, Packed, Writer};
use crate::code::entry::{Connected, Counters, Entry, Op};
use crate::code::packed::steady;
use crate::inbox::{Note, Taken};
use crate::state::{Keeps, State};
use step::{Step, op_of};

/// Bytes of entries that wait before they are compressed.
const BLOCK_BYTES: usize = 8 << 10;
/// A new segment begins when what was told after a state is so many times as long: what is read of it
/// is bounded, and states take at most their part of the memory.
const SEGMENT_FACTOR: usize = 4;
/// Shorter segments are not worth a state.
const SEGMENT_BYTES_MIN: usize = 32 << 10;
/// Segments in what is kept, of an agent that tells little: the oldest is dropped as a whole.
const SEGMENTS_MIN: u64 = 4;

/// What was written last of an open connection.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// Of all but its counters.
    hash: u64,
    sent: u64,
    received: u64,
    retransmits: u32,
    rtt_us: u32,
}

/// A state, and what was told after it.
#[derive(Debug)]
struct Segment {
    from_ms: u64,
    state: Packed,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
pub(crate) struct Block {
    from_ms: u64,
    packed: Packed,
}

/// The history of one agent.
#[derive(Debug)]
pub(crate) struct Log {
    segments: VecDeque<Segment>,
    /// Entries that are not compressed yet, of the last segment.
    open: Writer,
    open_from_ms: u64,
    open_connections: FxHashMap<u64, Written>,
    status: Option<v1::AgentStatus>,
    in_snapshot: bool,
    /// The first segment begins when the agent was first heard of: there is nothing before it.
    whole: bool,
    gone_ms: Option<u64>,
    wants_segment: bool,
}

impl Log {
    /// The history of an agent of which nothing was known, or nothing is known any more.
    pub(crate) fn new(whole: bool, now_ms: u64) -> Self {
        let first = Segment {
            from_ms: now_ms,
            state: Packed::new(&[], &[]),
            blocks: Vec::new(),
        };
        Self {
            segments: VecDeque::from([first]),
            open: Writer::new(now_ms),
            open_from_ms: now_ms,
            open_connections: FxHashMap::default(),
            status: None,
            in_snapshot: false,
            whole,
            gone_ms: None,
            wants_segment: false,
        }
    }

    /// Writes down what was told.
    pub(crate) fn take(&mut self, taken: &Taken) {
        let mut step = Step::default();
        for (at_ms, note) in taken.notes() {
            let number = at_ms.div_ceil(RESOLUTION_MS);
            if number != step.number {
                self.write(&mut step);
                step.number = number;
            }
            let op = match note {
                Note::Change(change) => {
                    if let Some(op) = op_of(*change) {
                        step.put(at_ms, op);
                    }
                    continue;
                }
                Note::Connected(hello) => {
                    self.write(&mut step);
                    self.connected(at_ms, hello);
                    continue;
                }
                Note::Disconnected => {
                    self.gone_ms = Some(at_ms);
                    self.in_snapshot = false;
                    Op::Disconnected(true)
                }
                Note::SnapshotBegins => Op::Snapshot(true),
                Note::SnapshotEnds => {
                    // Much of what comes is like what is there; the first segment has nothing yet.
                    self.wants_segment |= self.last().state.length() == 0;
                    Op::Snapshot(false)
                }
            };
            // What was told before it is before it.
            self.write(&mut step);
            if let Op::Snapshot(begins) = op {
                self.in_snapshot = begins;
            }
            self.put(at_ms, op);
        }
        self.write(&mut step);
    }

    /// The agent has a stream.
    pub(crate) fn connected(&mut self, at_ms: u64, hello: v1::Hello) {
        self.gone_ms = None;
        self.in_snapshot = false;
        // A status of the generation before is none of this one.
        self.status = None;
        let connected = Connected {
            hello: v1::Hello {
                sequence_first: 0,
                sequence_next: 0,
                ..hello
            },
            ..Default::default()
        };
        self.put(at_ms, Op::Connected(connected));
    }

    fn write(&mut self, step: &mut Step) {
        for (at_ms, op) in step.take() {
            let op = match op {
                Op::Connection(told) => self.shortened(told),
                Op::Status(told) => {
                    let told = steady(&told);
                    if self.status.as_ref() == Some(&told) {
                        continue;
                    }
                    self.status = Some(told.clone());
                    Some(Op::Status(told))
                }
                op => Some(op),
            };
            if let Some(op) = op {
                self.put(at_ms, op);
            }
        }
    }

    fn put(&mut self, at_ms: u64, op: Op) {
        let entry = Entry {
            op: Some(op),
            ..Default::default()
        };
        self.open.put(at_ms, entry);
    }

    /// Of a connection that goes on as it was, only how its counters have moved; nothing where
    /// nothing did.
    fn shortened(&mut self, told: v1::Connection) -> Option<Op> {
        let is_open = told.closed_unix_ns == 0
            && matches!(
                told.state(),
                v1::ConnectionState::Open | v1::ConnectionState::Unspecified
            );
        if !is_open {
            self.open_connections.remove(&told.cookie);
            return Some(Op::Connection(told));
        }
        let now = Written {
            hash: hash_but_counters(&told),
            sent: told.bytes_sent,
            received: told.bytes_received,
            retransmits: told.retransmits,
            rtt_us: told.rtt_us,
        };
        let before = self.open_connections.insert(told.cookie, now);
        let Some(before) = before.filter(|before| before.hash == now.hash) else {
            return Some(Op::Connection(told));
        };
        let news = Counters {
            cookie: told.cookie,
            sent: now.sent.saturating_sub(before.sent),
            received: now.received.saturating_sub(before.received),
            retransmits: now.retransmits.saturating_sub(before.retransmits),
            rtt_us: if now.rtt_us == before.rtt_us {
                0
            } else {
                now.rtt_us
            },
        };
        let moves = (news.sent, news.received, news.retransmits, news.rtt_us) != (0, 0, 0, 0);
        // In a snapshot it counts that it was named.
        (moves || self.in_snapshot).then_some(Op::Counters(news))
    }

    /// Compresses what has gathered, begins a new segment where one is due, and drops what is older
    /// than is kept.
    pub(crate) fn tidy(&mut self, now_ms: u64, keep_ms: u64, keeps: Keeps) {
        let last = self.last();
        let after: usize = last.blocks.iter().map(|block| block.packed.length()).sum();
        let after = after + self.open.bytes().len();
        let enough = (SEGMENT_FACTOR * last.state.length()).max(SEGMENT_BYTES_MIN);
        let age_ms = now_ms.saturating_sub(last.from_ms);
        let old = age_ms >= keep_ms / SEGMENTS_MIN && after > 0;
        if (self.wants_segment && !self.in_snapshot) || after >= enough || old {
            self.begin_segment(now_ms, keeps);
        } else if self.open.bytes().len() >= BLOCK_BYTES {
            self.seal(now_ms);
        }
        let oldest_ms = now_ms.saturating_sub(keep_ms);
        while self
            .segments
            .get(1)
            .is_some_and(|next| next.from_ms <= oldest_ms)
        {
            self.drop_oldest();
        }
    }

    fn last(&self) -> &Segment {
        self.segments.back().expect("there is always one")
    }

    /// Compresses what waits.
    fn seal(&mut self, now_ms: u64) {
        if self.open.bytes().is_empty() {
            return;
        }
        let like = self.last().state.unpack(&[]);
        let block = Block {
            from_ms: self.open_from_ms,
            packed: Packed::new(self.open.bytes(), &like),
        };
        let last = self.segments.back_mut().expect("there is always one");
        last.blocks.push(block);
        last.blocks.shrink_to_fit();
        self.open = Writer::new(now_ms);
        self.open_from_ms = now_ms;
    }

    /// Begins a segment with the state as it is now.
    pub(crate) fn begin_segment(&mut self, now_ms: u64, keeps: Keeps) {
        self.seal(now_ms);
        self.wants_segment = false;
        let mut state = self.span(u64::MAX, u64::MAX).read(keeps, |_, _| {});
        state.expire(now_ms, keeps);
        let from_ms = now_ms;
        let mut writer = Writer::new(from_ms);
        for (at_ms, entry) in state.entries() {
            writer.put(at_ms, entry);
        }
        self.open_connections
            .retain(|cookie, _| state.connections.contains_key(cookie));
        self.open_connections.shrink_to_fit();
        self.segments.push_back(Segment {
            from_ms,
            state: Packed::new(writer.bytes(), &[]),
            blocks: Vec::new(),
        });
        self.open = Writer::new(now_ms);
        self.open_from_ms = now_ms;
    }

    /// Gives up the oldest segment; false when there is only one.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        if self.segments.len() < 2 {
            return false;
        }
        self.segments.pop_front();
        self.whole = false;
        true
    }

    /// When its oldest segment begins, and whether there was nothing before it.
    pub(crate) fn begins_ms(&self) -> (u64, bool) {
        let first = self.segments.front().expect("there is always one");
        (first.from_ms, self.whole)
    }

    /// When the agent went away, if it has not come back.
    pub(crate) fn gone_ms(&self) -> Option<u64> {
        self.gone_ms
    }

    /// Segments that could be given up.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let of_segment = |segment: &Segment| {
            let blocks: usize = segment
                .blocks
                .iter()
                .map(|block| block.packed.bytes())
                .sum();
            size_of::<Segment>() + segment.state.bytes() + blocks
        };
        let segments: usize = self.segments.iter().map(of_segment).sum();
        let table = self.open_connections.capacity() * (size_of::<(u64, Written)>() + 1);
        let status = self.status.as_ref().map_or(0, Message::encoded_len);
        size_of::<Self>() + segments + self.open.capacity() + table + status
    }

    /// What is needed to read the state at a time, with all that was told from `tail_ms` on. The copy is
    /// small: blocks are shared.
    pub(crate) fn span(&self, at_ms: u64, tail_ms: u64) -> Span {
        let from = self
            .segments
            .iter()
            .rposition(|segment| segment.from_ms <= tail_ms)
            .unwrap_or(0);
        let mut states = self.segments.iter().skip(from);
        let first = states.next().expect("there is always one");
        let mut parts = vec![Part {
            like: first.state.clone(),
            blocks: first.blocks.clone(),
        }];
        for segment in states.take_while(|segment| segment.from_ms <= at_ms) {
            parts.push(Part {
                like: segment.state.clone(),
                blocks: segment.blocks.clone(),
            });
        }
        Span {
            state_from_ms: first.from_ms,
            parts,
            open: self.open.bytes().into(),
            open_from_ms: self.open_from_ms,
            at_ms,
            tail_ms: tail_ms.max(first.from_ms),
        }
    }
}

/// Blocks of one segment, and what they were compressed beside.
#[derive(Debug, Clone)]
struct Part {
    like: Packed,
    blocks: Vec<Block>,
}

/// A piece of the history of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    state_from_ms: u64,
    parts: Vec<Part>,
    open: Arc<[u8]>,
    open_from_ms: u64,
    at_ms: u64,
    tail_ms: u64,
}

impl Span {
    /// The state at the beginning of the tail; each entry of the tail is handed out.
    pub(crate) fn read(&self, keeps: Keeps, mut tail: impl FnMut(u64, Op)) -> State {
        let mut state = State::default();
        let mut first = true;
        let mut take = |state: &mut State, bytes: &[u8], from_ms: u64| {
            for (at_ms, entry) in block::read(bytes, from_ms) {
                let Some(op) = entry.op.filter(|_| at_ms <= self.at_ms) else {
                    continue;
                };
                if at_ms <= self.tail_ms {
                    state.apply(at_ms, op, keeps);
                } else {
                    tail(at_ms, op);
                }
            }
        };
        for part in &self.parts {
            let like = part.like.unpack(&[]);
            if std::mem::take(&mut first) {
                state = State::of_entries(block::read(&like, self.state_from_ms), keeps);
            }
            for block in &part.blocks {
                if block.from_ms > self.at_ms {
                    break;
                }
                take(&mut state, &block.packed.unpack(&like), block.from_ms);
            }
        }
        take(&mut state, &self.open, self.open_from_ms);
        state
    }
}

fn hash_but_counters(told: &v1::Connection) -> u64 {
    let bare = v1::Connection {
        bytes_sent: 0,
        bytes_received: 0,
        retransmits: 0,
        rtt_us: 0,
        ..told.clone()
    };
    let mut hasher = FxHasher::default();
    hasher.write(&bare.encode_to_vec());
    hasher.finish()
}
