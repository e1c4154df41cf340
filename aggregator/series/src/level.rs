//! One resolution of one thing: the slot that still fills, and the stream of those before it.

use crate::chunk::Chunk;
use crate::code;
use crate::schema::Schema;
use crate::slab::Slab;
use crate::source::Source;
use crate::stream::{Codes, METRICS_MAX, Pieces, Row, Stream};

/// How long a slot is and how long slots are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) step_ms: u64,
    pub(crate) keep_ms: u64,
}

impl Grid {
    /// The slot of a time.
    pub(crate) fn slot(self, time_ms: u64) -> u32 {
        u32::try_from(time_ms / self.step_ms).unwrap_or(u32::MAX - 1)
    }

    pub(crate) fn start_ms(self, slot: u32) -> u64 {
        u64::from(slot) * self.step_ms
    }

    pub(crate) fn oldest(self, now_ms: u64) -> u32 {
        self.slot(now_ms.saturating_sub(self.keep_ms))
    }
}

/// What a level needs to know of its thing and the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) schema: &'static Schema,
    pub(crate) source: Option<&'a Source>,
    pub(crate) now_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Level {
    grid: Grid,
    stream: Stream,
    slot: u32,
    /// Values that were told in this slot.
    count: u16,
    sums: [f32; METRICS_MAX],
}

impl Level {
    pub(crate) fn new(grid: Grid) -> Self {
        Self {
            grid,
            stream: Stream::new(),
            slot: 0,
            count: 0,
            sums: [0.0; METRICS_MAX],
        }
    }

    /// How its slots lie.
    pub(crate) fn grid(&self) -> Grid {
        self.grid
    }

    /// Whether the slot of this time is still open or to come.
    pub(crate) fn takes(&self, time_ms: u64) -> bool {
        self.grid.slot(time_ms) >= self.slot
    }

    /// Adds values to the slot of a time: its value is their mean.
    pub(crate) fn add(
        &mut self,
        time_ms: u64,
        values: &[f64],
        place: Place<'_>,
        pieces: &mut Pieces<'_>,
    ) {
        let slot = self.grid.slot(time_ms);
        if slot > self.slot {
            self.flush(place, pieces);
            self.slot = slot;
        }
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += narrow(*value);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Nothing is known behind the slot of this time.
    pub(crate) fn end(&mut self, time_ms: u64, place: Place<'_>, pieces: &mut Pieces<'_>) {
        self.flush(place, pieces);
        let after = self.grid.slot(time_ms).max(self.slot).saturating_add(1);
        let oldest = self.grid.oldest(place.now_ms);
        self.stream
            .end(after, place.schema.metrics.len(), oldest, pieces);
        self.slot = after;
    }

    pub(crate) fn clear(&mut self, chunks: &mut Slab<Chunk>) {
        self.stream.clear(chunks);
    }

    /// All rows, the open slot's last.
    pub(crate) fn rows<'a>(
        &self,
        schema: &Schema,
        chunks: &'a Slab<Chunk>,
    ) -> impl Iterator<Item = Row> + use<'a> {
        let open = (self.count > 0).then(|| Row {
            slot: self.slot,
            codes: Some(self.codes(schema)),
        });
        self.stream.rows(schema.metrics.len(), chunks).chain(open)
    }

    /// The last row at or before a slot.
    pub(crate) fn row_at(&self, slot: u32, schema: &Schema, chunks: &Slab<Chunk>) -> Option<Row> {
        if self.count > 0 && self.slot <= slot {
            return Some(Row {
                slot: self.slot,
                codes: Some(self.codes(schema)),
            });
        }
        let rows = self.stream.rows_near(slot, schema.metrics.len(), chunks);
        rows.take_while(|row| row.slot <= slot).last()
    }

    fn flush(&mut self, place: Place<'_>, pieces: &mut Pieces<'_>) {
        if self.count == 0 {
            return;
        }
        let codes = self.codes(place.schema);
        let codes = &codes[..place.schema.metrics.len()];
        // What was told for a time in which the source was silent (it kept it for later) holds in
        // its own slot only.
        let start_ms = self.grid.start_ms(self.slot);
        let kept = place
            .source
            .is_some_and(|source| source.was_silent(start_ms, start_ms + self.grid.step_ms));
        let oldest = self.grid.oldest(place.now_ms);
        self.stream.append(self.slot, codes, kept, oldest, pieces);
        self.count = 0;
        self.sums = [0.0; METRICS_MAX];
    }

    fn codes(&self, schema: &Schema) -> Codes {
        let mut codes = Codes::default();
        for ((code, sum), metric) in codes.iter_mut().zip(self.sums).zip(schema.metrics) {
            let mean = f64::from(sum) / f64::from(self.count);
            *code = code::encode(mean / metric.quantum);
        }
        codes
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "24 bits are more than codes keep; what is too large for it is cut before"
)]
fn narrow(value: f64) -> f32 {
    value.min(1e30) as f32
}
