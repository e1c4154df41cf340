//! All series, within their bound.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::chunk::Chunk;
use crate::level::{Grid, Level, Place};
use crate::schema::Schema;
use crate::slab::Slab;
use crate::source::Source;
use crate::stream::Pieces;

/// Step of the last minutes.
pub const FINE_STEP_MS: u64 = 5_000;
/// How long the fine step is kept.
pub const FINE_KEEP_MS: u64 = 5 * 60_000;
/// Step of everything.
pub const COARSE_STEP_MS: u64 = 15_000;
/// Most pieces that one call takes: an end after a row, at both resolutions.
const CHUNKS_PER_CALL: usize = 4;
const NONE: u32 = u32::MAX;

/// The bounds of a store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long values are kept.
    pub keep_ms: u64,
    /// Bytes of everything that grows with what is kept.
    pub bytes_max: usize,
}

/// How full the store is and what became of what it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes allocated, of [`Limits::bytes_max`].
    pub bytes: usize,
    /// Bytes of pieces in use: the values themselves.
    pub chunk_bytes: usize,
    /// Things that have series.
    pub things: usize,
    /// Series: metrics of all things.
    pub series: usize,
    /// Values taken.
    pub taken: u64,
    /// Values refused: not finite or negative, or another number of them than there are metrics.
    pub malformed: u64,
    /// Values refused: older than what was told before, or than what is kept.
    pub late: u64,
    /// Things that ended and went before their time, for want of room.
    pub evicted: u64,
    /// Values of new things for which there was no room.
    pub refused: u64,
    /// Pieces that were missing: the series of one thing became shorter than [`Limits::keep_ms`].
    pub cramped: u64,
}

/// One thing and its series.
#[derive(Debug)]
pub(crate) struct Thing<K, S> {
    key: K,
    pub(crate) schema: &'static Schema,
    pub(crate) source: S,
    /// When it was told last, by any means.
    seen_ms: u64,
    /// When it ended; it may be told again later.
    ended_ms: Option<u64>,
    /// Neighbours among those that have ended.
    before: u32,
    after: u32,
    pub(crate) coarse: Level,
    pub(crate) fine: Option<Box<Level>>,
}

/// Time series of things by their names `K`, told by sources `S`.
#[derive(Debug)]
pub struct Store<K, S> {
    coarse: Grid,
    fine: Grid,
    limits: Limits,
    numbers: FxHashMap<K, u32>,
    things: Slab<Option<Thing<K, S>>>,
    pub(crate) chunks: Slab<Chunk>,
    pub(crate) sources: FxHashMap<S, Source>,
    fine_levels: usize,
    /// What `numbers` has room for. A table never shrinks, but its own word for it does while the marks
    /// of what was removed are in it.
    table_slots: usize,
    /// Those that have ended, the first to end first.
    ended: (u32, u32),
    totals: Stats,
}

impl<K: Copy + Eq + Hash, S: Copy + Eq + Hash> Store<K, S> {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            coarse: Grid {
                step_ms: COARSE_STEP_MS,
                keep_ms: limits.keep_ms,
            },
            fine: Grid {
                step_ms: FINE_STEP_MS,
                keep_ms: FINE_KEEP_MS.min(limits.keep_ms),
            },
            limits,
            numbers: FxHashMap::default(),
            things: Slab::new(),
            chunks: Slab::new(),
            sources: FxHashMap::default(),
            fine_levels: 0,
            table_slots: 0,
            ended: (NONE, NONE),
            totals: Stats::default(),
        }
    }

    /// The values of a thing at a time, one for each metric. They hold until the next ones, until
    /// the thing ends or its source is silent. A time to come is taken for now. What is malformed, too
    /// late or finds no room changes nothing but the counters.
    pub fn tell(
        &mut self,
        key: K,
        source: S,
        schema: &'static Schema,
        values: &[f64],
        time_ms: u64,
        now_ms: u64,
    ) {
        let count = values.len() as u64;
        let time_ms = time_ms.min(now_ms);
        if values.len() != schema.metrics.len()
            || values
                .iter()
                .any(|value| !value.is_finite() || *value < 0.0)
        {
            self.totals.malformed += count;
            return;
        }
        if time_ms + self.limits.keep_ms < now_ms {
            self.totals.late += count;
            return;
        }
        let Some(number) = self.thing(key, source, schema) else {
            self.totals.refused += count;
            return;
        };
        let (thing, place, mut pieces) = self.parts(number, now_ms);
        if !thing.coarse.takes(time_ms) {
            self.totals.late += count;
            return;
        }
        let revived = thing.ended_ms.take().is_some();
        thing.seen_ms = thing.seen_ms.max(now_ms);
        thing.coarse.add(time_ms, values, place, &mut pieces);
        if let Some(level) = thing.fine.as_mut().filter(|level| level.takes(time_ms)) {
            level.add(time_ms, values, place, &mut pieces);
        }
        let cramped = pieces.cramped;
        self.totals.cramped += cramped;
        self.totals.taken += count;
        if revived {
            self.unlink(number);
        }
    }

    /// A thing is still there: what is known of it goes on to hold.
    pub fn is_there(&mut self, key: K, now_ms: u64) {
        let Some(number) = self.numbers.get(&key).copied() else {
            return;
        };
        let thing = self.get_mut(number);
        thing.seen_ms = thing.seen_ms.max(now_ms);
    }

    /// A thing has ended.
    pub fn end(&mut self, key: K, time_ms: u64, now_ms: u64) {
        if let Some(number) = self.numbers.get(&key).copied() {
            self.end_number(number, time_ms.min(now_ms), now_ms);
        }
    }

    /// A source speaks (again).
    pub fn source_speaks(&mut self, source: S, now_ms: u64) {
        self.sources.entry(source).or_default().speaks(now_ms);
    }

    /// A source has fallen silent: what it told holds no longer.
    pub fn source_falls_silent(&mut self, source: S, now_ms: u64) {
        self.sources.entry(source).or_default().falls_silent(now_ms);
    }

    /// A source has told all that there is: what it told before `since_ms` and not again is gone.
    pub fn source_told_all(&mut self, source: S, since_ms: u64) {
        self.sources.entry(source).or_default().whole_ms = since_ms;
    }

    /// Forgets a source: what it told of ends with the next sweep.
    pub fn forget_source(&mut self, source: S) {
        self.sources.remove(&source);
    }

    /// Lets time pass: ends what its source no longer tells of, and forgets what ended longer ago
    /// than is kept. To be called about once per [`COARSE_STEP_MS`].
    pub fn sweep(&mut self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(self.limits.keep_ms);
        for source in self.sources.values_mut() {
            source.forget_before(oldest_ms);
        }
        for number in self.things.numbers() {
            let Some(thing) = self.things.get(number) else {
                continue;
            };
            let ended_ms = match (thing.ended_ms, self.sources.get(&thing.source)) {
                (Some(ended_ms), _) => {
                    if ended_ms < oldest_ms {
                        self.remove(number);
                    }
                    continue;
                }
                (None, None) => Some(thing.seen_ms),
                (None, Some(source)) if source.whole_ms > thing.seen_ms => Some(source.whole_ms),
                (None, Some(source)) => source.silent_since().filter(|since| *since < oldest_ms),
            };
            if let Some(ended_ms) = ended_ms {
                self.end_number(number, ended_ms, now_ms);
            }
        }
    }

    /// How full it is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            bytes: self.bytes(),
            chunk_bytes: self.chunks.len() * size_of::<Chunk>(),
            things: self.things.len(),
            ..self.totals
        }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The kind of a thing, if it has series.
    #[must_use]
    pub fn schema(&self, key: K) -> Option<&'static Schema> {
        Some(self.find(key)?.schema)
    }

    pub(crate) fn find(&self, key: K) -> Option<&Thing<K, S>> {
        self.things.get(*self.numbers.get(&key)?).as_ref()
    }

    /// The number of a thing, with room for what it is told next. `None`: there is no room.
    fn thing(&mut self, key: K, source: S, schema: &'static Schema) -> Option<u32> {
        self.sources.entry(source).or_default();
        if let Some(number) = self.numbers.get(&key).copied() {
            self.make_room_for_chunks(number);
            return Some(number);
        }
        while !self.has_room_for_thing(schema) {
            if !self.evict(NONE) {
                return None;
            }
        }
        let fine = schema.fine.then(|| Box::new(Level::new(self.fine)));
        let thing = Thing {
            key,
            schema,
            source,
            seen_ms: 0,
            ended_ms: None,
            before: NONE,
            after: NONE,
            coarse: Level::new(self.coarse),
            fine,
        };
        let number = self.things.insert(Some(thing), true).ok()?;
        self.numbers.insert(key, number);
        self.table_slots = self.table_slots.max(self.numbers.capacity());
        self.fine_levels += usize::from(schema.fine);
        self.totals.series += schema.metrics.len();
        self.make_room_for_chunks(number);
        Some(number)
    }

    fn has_room_for_thing(&self, schema: &Schema) -> bool {
        let mut needed = usize::from(schema.fine) * size_of::<Level>();
        if self.things.free() == 0 {
            needed += Slab::<Option<Thing<K, S>>>::page_bytes();
        }
        let (len, slots) = (self.numbers.len(), self.table_slots);
        // Half empty, it only clears its marks.
        if len == self.numbers.capacity() && (len + 1) * 2 > slots {
            needed += table_bytes::<K>(slots * 2 + 1) - table_bytes::<K>(slots);
        }
        if self.chunks.free() == 0 {
            needed += Slab::<Chunk>::page_bytes();
        }
        self.bytes() + needed <= self.limits.bytes_max
    }

    /// What has ended makes room, but for the thing that it is made for.
    fn make_room_for_chunks(&mut self, number: u32) {
        while self.chunks.free() < CHUNKS_PER_CALL
            && self.bytes() + Slab::<Chunk>::page_bytes() > self.limits.bytes_max
        {
            if !self.evict(number) {
                return;
            }
        }
    }

    /// Removes the thing that ended first; false when there is none but `kept`.
    fn evict(&mut self, kept: u32) -> bool {
        let mut first = self.ended.0;
        if first == kept && first != NONE {
            first = self.get_mut(first).after;
        }
        if first == NONE {
            return false;
        }
        self.remove(first);
        self.totals.evicted += 1;
        true
    }

    fn end_number(&mut self, number: u32, time_ms: u64, now_ms: u64) {
        if self.get_mut(number).ended_ms.is_some() {
            return;
        }
        self.make_room_for_chunks(number);
        let (thing, place, mut pieces) = self.parts(number, now_ms);
        thing.coarse.end(time_ms, place, &mut pieces);
        if let Some(level) = &mut thing.fine {
            level.end(time_ms, place, &mut pieces);
        }
        thing.ended_ms = Some(time_ms);
        let cramped = pieces.cramped;
        self.totals.cramped += cramped;
        self.link(number);
    }

    fn remove(&mut self, number: u32) {
        if self.get_mut(number).ended_ms.is_some() {
            self.unlink(number);
        }
        let Some(mut thing) = self.things.remove(number) else {
            return;
        };
        self.numbers.remove(&thing.key);
        self.totals.series -= thing.schema.metrics.len();
        thing.coarse.clear(&mut self.chunks);
        if let Some(mut level) = thing.fine {
            level.clear(&mut self.chunks);
            self.fine_levels -= 1;
        }
    }

    fn link(&mut self, number: u32) {
        let last = std::mem::replace(&mut self.ended.1, number);
        let thing = self.get_mut(number);
        (thing.before, thing.after) = (last, NONE);
        if last == NONE {
            self.ended.0 = number;
        } else {
            self.get_mut(last).after = number;
        }
    }

    fn unlink(&mut self, number: u32) {
        let thing = self.get_mut(number);
        let (before, after) = (thing.before, thing.after);
        if before == NONE {
            self.ended.0 = after;
        } else {
            self.get_mut(before).after = after;
        }
        if after == NONE {
            self.ended.1 = before;
        } else {
            self.get_mut(after).before = before;
        }
    }

    fn get_mut(&mut self, number: u32) -> &mut Thing<K, S> {
        let thing = self.things.get_mut(number).as_mut();
        thing.expect("numbers are of things that are there")
    }

    fn parts(&mut self, number: u32, now_ms: u64) -> (&mut Thing<K, S>, Place<'_>, Pieces<'_>) {
        let pieces = Pieces {
            room: self.limits.bytes_max.saturating_sub(self.bytes()),
            chunks: &mut self.chunks,
            cramped: 0,
        };
        let thing = self.things.get_mut(number).as_mut();
        let thing = thing.expect("numbers are of things that are there");
        let place = Place {
            schema: thing.schema,
            source: self.sources.get(&thing.source),
            now_ms,
        };
        (thing, place, pieces)
    }

    fn bytes(&self) -> usize {
        self.things.bytes()
            + self.chunks.bytes()
            + self.fine_levels * size_of::<Level>()
            + table_bytes::<K>(self.table_slots)
    }
}

/// Bytes of a hash table: it is full at 7/8.
fn table_bytes<K>(capacity: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    (capacity * 8).div_ceil(7).next_power_of_two() * (size_of::<(K, u32)>() + 1)
}
