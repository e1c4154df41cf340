//! What is asked of a store.

use std::hash::Hash;

use crate::code;
use crate::level::{Grid, Level};
use crate::schema::Schema;
use crate::source::Source;
use crate::store::{COARSE_STEP_MS, FINE_KEEP_MS, Store, Thing};
use crate::stream::Codes;

/// A time and a step, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub from_ms: u64,
    /// Behind the last moment.
    pub to_ms: u64,
    /// Of one value; at least 1.
    pub step_ms: u64,
}

impl Range {
    /// Start of the first step: steps begin at multiples of their length.
    #[must_use]
    pub fn start_ms(&self) -> u64 {
        self.from_ms - self.from_ms % self.step_ms.max(1)
    }

    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.to_ms
            .saturating_sub(self.start_ms())
            .div_ceil(self.step_ms.max(1))
    }
}

/// The values of a thing over a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the thing has.
    pub metrics: &'static [crate::Metric],
    /// For each metric the mean of each step; `None` where nothing is known.
    pub values: Vec<Vec<Option<f64>>>,
}

impl<K: Copy + Eq + Hash, S: Copy + Eq + Hash> Store<K, S> {
    /// The values of a thing; `None` when it has no series.
    #[must_use]
    pub fn query(&self, key: K, range: Range, now_ms: u64) -> Option<Answer> {
        let thing = self.find(key)?;
        let metrics = thing.schema.metrics;
        let fine_from = now_ms.saturating_sub(FINE_KEEP_MS);
        let split = match &thing.fine {
            Some(_) if range.step_ms < COARSE_STEP_MS => fine_from,
            _ => u64::MAX,
        };
        let slots = |level: &Level, from_ms: u64, to_ms: u64| {
            let range = from_ms..to_ms.min(now_ms.saturating_add(1)).max(from_ms);
            self.slots(thing, level, range, now_ms)
        };
        let coarse = slots(&thing.coarse, range.start_ms(), range.to_ms.min(split));
        let fine = thing.fine.as_ref().filter(|_| split < range.to_ms);
        let fine = fine.map(|level| slots(level, range.start_ms().max(split), range.to_ms));
        let mut values = vec![Vec::new(); metrics.len()];
        for step in 0..range.steps() {
            let from_ms = range.start_ms() + step * range.step_ms;
            let to_ms = (from_ms + range.step_ms).min(range.to_ms);
            let within = match &fine {
                Some(fine) if from_ms >= split => fine.within(from_ms, to_ms),
                _ => coarse.within(from_ms, to_ms),
            };
            mean(within, thing.schema, &mut values);
        }
        Some(Answer { metrics, values })
    }

    /// The values of a thing in the slot that a moment falls in, in the order of its metrics; `None` where
    /// nothing is known of it then. This is the quickest way to ask for one moment of many things.
    #[must_use]
    pub fn at(&self, key: K, time_ms: u64, now_ms: u64) -> Option<Vec<f64>> {
        let thing = self.find(key)?;
        let is_fine = time_ms >= now_ms.saturating_sub(FINE_KEEP_MS);
        let fine = thing.fine.as_deref().filter(|_| is_fine);
        let level = fine.unwrap_or(&thing.coarse);
        let grid = level.grid();
        let slot = grid.slot(time_ms.min(now_ms));
        let row = level.row_at(slot, thing.schema, &self.chunks)?;
        let codes = row.codes?;
        if row.slot != slot && !holds(self.sources.get(&thing.source), grid, slot) {
            return None;
        }
        let metrics = thing.schema.metrics.iter();
        let values = metrics
            .zip(codes)
            .map(|(metric, code)| code::decode(code) * metric.quantum);
        Some(values.collect())
    }

    /// What holds in each slot of a range.
    fn slots(
        &self,
        thing: &Thing<K, S>,
        level: &Level,
        range: std::ops::Range<u64>,
        now_ms: u64,
    ) -> Slots {
        let grid = level.grid();
        let (first, now) = (grid.slot(range.start), grid.slot(now_ms));
        let last = grid.slot(range.end.saturating_sub(1)).min(now);
        let mut slots = Slots {
            grid,
            first,
            codes: vec![None; (last + 1).saturating_sub(first) as usize],
        };
        if range.is_empty() {
            slots.codes.clear();
            return slots;
        }
        let source = self.sources.get(&thing.source);
        let mut rows = level.rows(thing.schema, &self.chunks).peekable();
        while let Some(row) = rows.next() {
            let until = rows.peek().map_or(now.saturating_add(1), |next| next.slot);
            let Some(codes) = row.codes else {
                continue;
            };
            for slot in row.slot.max(first)..until.min(last.saturating_add(1)) {
                if slot == row.slot || holds(source, grid, slot) {
                    slots.codes[(slot - first) as usize] = Some(codes);
                }
            }
        }
        slots
    }
}

fn holds(source: Option<&Source>, grid: Grid, slot: u32) -> bool {
    let from_ms = grid.start_ms(slot);
    source.is_some_and(|source| !source.was_silent(from_ms, from_ms + grid.step_ms))
}

struct Slots {
    grid: Grid,
    first: u32,
    codes: Vec<Option<Codes>>,
}

impl Slots {
    /// Those that overlap a time.
    fn within(&self, from_ms: u64, to_ms: u64) -> &[Option<Codes>] {
        let index = |slot: u32| (slot.saturating_sub(self.first) as usize).min(self.codes.len());
        let from = index(self.grid.slot(from_ms));
        let to = index(self.grid.slot(to_ms.saturating_sub(1)).saturating_add(1));
        &self.codes[from.min(to)..to]
    }
}

fn mean(slots: &[Option<Codes>], schema: &Schema, values: &mut [Vec<Option<f64>>]) {
    for (index, (values, metric)) in values.iter_mut().zip(schema.metrics).enumerate() {
        let (mut sum, mut count) = (0.0, 0.0);
        for codes in slots.iter().flatten() {
            sum += code::decode(codes[index]) * metric.quantum;
            count += 1.0;
        }
        values.push((count > 0.0).then(|| sum / count));
    }
}
