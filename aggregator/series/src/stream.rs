//! Rows of one thing at one resolution. A row is written only when it differs from the one before: a
//! value holds until the next row, or until the row that says that nothing is known any more.
//!
//! | bits | a row |
//! |---|---|
//! | `0` | in the next slot |
//! | `10` + 6 | 2 to 65 slots later |
//! | `110` + 16 | more slots later |
//! | `111` + 16 | nothing is known from so many slots later on; no values follow |
//!
//! then for each metric the difference of its code to that of the row before, zigzag:
//!
//! | bits | a difference |
//! |---|---|
//! | `0` | none |
//! | `10` + 3 | 1 to 8 |
//! | `110` + 6 | 9 to 72 |
//! | `111` + 14 | the code itself |

use crate::bits::{Reader, Writer};
use crate::chunk::{Chunk, NONE, PAYLOAD_BITS};
use crate::code::CODE_BITS;
use crate::slab::Slab;

/// Most metrics of one thing.
pub const METRICS_MAX: usize = 10;
/// Kept free in each piece, so that its end can always be told.
const END_BITS: usize = 19;
const ROW_BITS_MAX: usize = END_BITS + METRICS_MAX * (3 + CODE_BITS as usize);

pub(crate) type Codes = [u16; METRICS_MAX];

/// Where pieces come from.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    pub(crate) chunks: &'a mut Slab<Chunk>,
    /// Bytes that more of them may take.
    pub(crate) room: usize,
    /// How often there was no room: the stream gave its own oldest piece up, or lost a row.
    pub(crate) cramped: u64,
}

impl Pieces<'_> {
    fn allocate(&mut self) -> Option<u32> {
        let page = if self.chunks.free() == 0 {
            Slab::<Chunk>::page_bytes()
        } else {
            0
        };
        let grow = page <= self.room;
        let index = self.chunks.insert(Chunk::default(), grow).ok()?;
        self.room = self.room.saturating_sub(page);
        Some(index)
    }
}

/// A chain of pieces.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    head: u32,
    tail: u32,
    slot: u32,
    /// Nothing is known since the slot of the last row.
    ended: bool,
    codes: Codes,
}

/// What a stream says of one slot and those that follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) slot: u32,
    /// `None`: nothing is known.
    pub(crate) codes: Option<Codes>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            slot: 0,
            ended: true,
            codes: Codes::default(),
        }
    }

    /// Takes a row of a later slot; one that says nothing new is not written unless it is `kept`. Pieces that say nothing of `oldest` and later are given back when
    /// another is needed.
    pub(crate) fn append(
        &mut self,
        slot: u32,
        codes: &[u16],
        kept: bool,
        oldest: u32,
        pieces: &mut Pieces<'_>,
    ) {
        let same = self.codes[..codes.len()] == *codes;
        if self.tail != NONE {
            if same && !self.ended && !kept {
                return;
            }
            if self.fits(slot, codes, pieces.chunks) {
                self.write(slot, codes, pieces.chunks.get_mut(self.tail));
                return;
            }
        }
        self.begin_chunk(slot, codes, oldest, pieces);
    }

    /// Nothing is known from this slot on, which is later than the last row's.
    pub(crate) fn end(&mut self, slot: u32, metrics: usize, oldest: u32, pieces: &mut Pieces<'_>) {
        if self.tail == NONE || self.ended || slot <= self.slot {
            return;
        }
        let mut gap = u16::try_from(slot - self.slot);
        if gap.is_err() {
            // Too far to be told: the last row is written once more.
            let codes = self.codes;
            self.begin_chunk(slot - 1, &codes[..metrics], oldest, pieces);
            gap = Ok(1);
        }
        let chunk = pieces.chunks.get_mut(self.tail);
        let mut writer = Writer::new(&mut chunk.payload, usize::from(chunk.used));
        writer.put(0b111, 3);
        writer.put(gap.unwrap_or(u16::MAX).into(), 16);
        let used = writer.at();
        chunk.set_used(used);
        self.slot = slot;
        self.ended = true;
    }

    /// Gives all pieces back.
    pub(crate) fn clear(&mut self, chunks: &mut Slab<Chunk>) {
        while self.head != NONE {
            self.drop_head(chunks);
        }
        *self = Self::new();
    }

    /// Rows from the oldest that is kept.
    pub(crate) fn rows<'a>(&self, metrics: usize, chunks: &'a Slab<Chunk>) -> Rows<'a> {
        Rows {
            chunks,
            next: self.head,
            metrics,
            reader: None,
            slot: 0,
            codes: Codes::default(),
        }
    }

    /// Rows from one at or before this slot on, where there is one that is kept.
    pub(crate) fn rows_near<'a>(
        &self,
        slot: u32,
        metrics: usize,
        chunks: &'a Slab<Chunk>,
    ) -> Rows<'a> {
        let mut rows = self.rows(metrics, chunks);
        while rows.next != NONE {
            let next = chunks.get(rows.next).next;
            if next == NONE || chunks.get(next).slot > slot {
                break;
            }
            rows.next = next;
        }
        rows
    }

    fn fits(&self, slot: u32, codes: &[u16], chunks: &Slab<Chunk>) -> bool {
        let used = chunks.get(self.tail).used();
        let left = PAYLOAD_BITS - END_BITS - used.min(PAYLOAD_BITS - END_BITS);
        if u16::try_from(slot - self.slot).is_err() {
            return false;
        }
        left >= ROW_BITS_MAX || {
            let mut scratch = [0; ROW_BITS_MAX.div_ceil(8)];
            self.encode(slot, codes, &mut Writer::new(&mut scratch, 0)) <= left
        }
    }

    fn write(&mut self, slot: u32, codes: &[u16], chunk: &mut Chunk) {
        let used = chunk.used();
        let used = self.encode(slot, codes, &mut Writer::new(&mut chunk.payload, used));
        chunk.set_used(used);
        self.remember(slot, codes);
    }

    fn encode(&self, slot: u32, codes: &[u16], writer: &mut Writer<'_>) -> usize {
        match slot - self.slot {
            // After an end a row may follow in the same slot.
            1 => writer.put(0, 1),
            gap @ 2..=65 => writer.put(0b10 << 6 | (gap - 2), 8),
            gap => writer.put(0b110 << 16 | gap, 19),
        }
        for (before, now) in self.codes.iter().zip(codes) {
            let difference = i32::from(*now) - i32::from(*before);
            let sign = u32::from(difference > 0);
            match difference.unsigned_abs() * 2 - sign {
                0 => writer.put(0, 1),
                near @ 1..=8 => writer.put(0b10 << 3 | (near - 1), 5),
                near @ 9..=72 => writer.put(0b110 << 6 | (near - 9), 9),
                _ => {
                    writer.put(0b111, 3);
                    writer.put((*now).into(), CODE_BITS);
                }
            }
        }
        writer.at()
    }

    fn begin_chunk(&mut self, slot: u32, codes: &[u16], oldest: u32, pieces: &mut Pieces<'_>) {
        self.drop_older(oldest, pieces.chunks);
        let index = pieces.allocate().or_else(|| {
            pieces.cramped += 1;
            (self.head != NONE).then(|| self.drop_head(pieces.chunks))?;
            pieces.allocate()
        });
        let Some(index) = index else {
            return;
        };
        let chunks = &mut *pieces.chunks;
        let chunk = chunks.get_mut(index);
        chunk.slot = slot;
        let mut writer = Writer::new(&mut chunk.payload, 0);
        for code in codes {
            writer.put((*code).into(), CODE_BITS);
        }
        let used = writer.at();
        chunk.set_used(used);
        if self.tail == NONE {
            self.head = index;
        } else {
            chunks.get_mut(self.tail).next = index;
        }
        self.tail = index;
        self.remember(slot, codes);
    }

    fn remember(&mut self, slot: u32, codes: &[u16]) {
        self.slot = slot;
        self.ended = false;
        self.codes[..codes.len()].copy_from_slice(codes);
    }

    /// What holds at `oldest` stays.
    fn drop_older(&mut self, oldest: u32, chunks: &mut Slab<Chunk>) {
        while self.head != self.tail {
            let next = chunks.get(self.head).next;
            if chunks.get(next).slot > oldest {
                return;
            }
            self.drop_head(chunks);
        }
    }

    fn drop_head(&mut self, chunks: &mut Slab<Chunk>) {
        let next = chunks.remove(self.head).next;
        self.head = next;
        if next == NONE {
            self.tail = NONE;
        }
    }
}

/// Reads a stream.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    chunks: &'a Slab<Chunk>,
    next: u32,
    metrics: usize,
    reader: Option<Reader<'a>>,
    slot: u32,
    codes: Codes,
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let codes = &mut self.codes[..self.metrics];
        let Some(reader) = self.reader.as_mut().filter(|reader| !reader.is_at_end()) else {
            if self.next == NONE {
                return None;
            }
            let chunk = self.chunks.get(self.next);
            let mut reader = Reader::new(&chunk.payload, chunk.used());
            for code in codes {
                *code = code_of(reader.take(CODE_BITS));
            }
            (self.next, self.slot, self.reader) = (chunk.next, chunk.slot, Some(reader));
            return Some(self.row(true));
        };
        let known = match reader.ones(3) {
            0 => {
                self.slot += 1;
                true
            }
            1 => {
                self.slot += reader.take(6) + 2;
                true
            }
            far => {
                self.slot += reader.take(16);
                far == 2
            }
        };
        if known {
            for code in codes {
                let zigzag = match reader.ones(3) {
                    0 => continue,
                    1 => reader.take(3) + 1,
                    2 => reader.take(6) + 9,
                    _ => {
                        *code = code_of(reader.take(CODE_BITS));
                        continue;
                    }
                };
                let by = code_of(zigzag.div_ceil(2));
                *code = if zigzag % 2 == 1 {
                    code.wrapping_add(by)
                } else {
                    code.wrapping_sub(by)
                };
            }
        }
        Some(self.row(known))
    }
}

impl Rows<'_> {
    fn row(&self, known: bool) -> Row {
        Row {
            slot: self.slot,
            codes: known.then_some(self.codes),
        }
    }
}

fn code_of(bits: u32) -> u16 {
    u16::try_from(bits).unwrap_or(u16::MAX)
}
