//! What was put in comes out, within the stated precision and the bound.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;

use mesoscope_series::{
    COARSE_STEP_MS, FINE_KEEP_MS, FINE_STEP_MS, Limits, Metric, Range, Schema, Store,
};
use proptest::prelude::*;

const METRICS: &[Metric] = &[
    Metric {
        key: "cpu",
        unit: "cores",
        quantum: 0.0001,
    },
    Metric {
        key: "memory",
        unit: "bytes",
        quantum: 1.0,
    },
];
static FINE: Schema = Schema {
    metrics: METRICS,
    fine: true,
};
static COARSE: Schema = Schema {
    metrics: METRICS,
    fine: false,
};
const START_MS: u64 = 1_700_000_000_000 / COARSE_STEP_MS * COARSE_STEP_MS;
const HOUR_MS: u64 = 3_600_000;

fn limits(bytes_max: usize) -> Limits {
    Limits {
        keep_ms: HOUR_MS,
        bytes_max,
    }
}

fn near(value: f64, told: f64, quantum: f64) -> bool {
    (value - told).abs() <= (told / 500.0).max(quantum)
}

fn values(
    store: &Store<u32, u32>,
    key: u32,
    from: u64,
    to: u64,
    step: u64,
    now: u64,
) -> Vec<Option<f64>> {
    let range = Range {
        from_ms: from,
        to_ms: to,
        step_ms: step,
    };
    store.query(key, range, now).expect("it is known").values[0].clone()
}

/// Within the precision, and unknown where it must be.
fn alike(values: &[Option<f64>], told: &[Option<f64>]) -> bool {
    let same = |(value, told): (&Option<f64>, &Option<f64>)| match (value, told) {
        (Some(value), Some(told)) => near(*value, *told, 0.0001),
        (value, told) => value.is_none() && told.is_none(),
    };
    values.len() == told.len() && values.iter().zip(told).all(same)
}

#[derive(Debug, Clone)]
enum Step {
    Tell {
        after_ms: u64,
        ago_ms: u64,
        cpu: f64,
    },
    End {
        after_ms: u64,
    },
    Silent {
        after_ms: u64,
    },
    Speaks {
        after_ms: u64,
    },
    ToldAll {
        after_ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![10 => 0..20_000u64, 1 => 0..900_000u64];
    let cpu = prop_oneof![Just(0.5), 0.0..0.01, 0.0..64.0, 0.0..1e9];
    let ago = prop_oneof![5 => Just(0u64), 1 => 0..60_000u64];
    prop_oneof![
        20 => (after.clone(), ago, cpu).prop_map(|(after_ms, ago_ms, cpu)| Step::Tell { after_ms, ago_ms, cpu }),
        1 => after.clone().prop_map(|after_ms| Step::End { after_ms }),
        1 => after.clone().prop_map(|after_ms| Step::Silent { after_ms }),
        1 => after.clone().prop_map(|after_ms| Step::Speaks { after_ms }),
        1 => after.prop_map(|after_ms| Step::ToldAll { after_ms }),
    ]
}

/// The same rules without compression: every slot by itself.
#[derive(Default)]
struct Model {
    rows: BTreeMap<u64, (f64, f64)>,
    ends: Vec<u64>,
    open: u64,
    ended: bool,
    seen_ms: u64,
    silences: Vec<(u64, u64)>,
}

impl Model {
    fn tell(&mut self, time_ms: u64, now_ms: u64, value: f64) {
        let slot = time_ms / COARSE_STEP_MS;
        if slot < self.open {
            return;
        }
        self.open = slot;
        self.ended = false;
        self.seen_ms = now_ms;
        let row = self.rows.entry(slot).or_default();
        *row = (row.0 + value, row.1 + 1.0);
    }

    fn end(&mut self, time_ms: u64) {
        if self.ended || self.rows.is_empty() {
            return;
        }
        self.ended = true;
        self.open = self.open.max(time_ms / COARSE_STEP_MS) + 1;
        self.ends.push(self.open);
    }

    fn at(&self, slot: u64) -> Option<f64> {
        if let Some((sum, count)) = self.rows.get(&slot) {
            return Some(sum / count);
        }
        let (told, (sum, count)) = self.rows.range(..slot).next_back()?;
        let ended = self.ends.iter().any(|end| told < end && *end <= slot);
        let (from, to) = (slot * COARSE_STEP_MS, (slot + 1) * COARSE_STEP_MS);
        let silent = self
            .silences
            .iter()
            .any(|silence| silence.0 <= from && to <= silence.1);
        (!ended && !silent).then_some(sum / count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_told_comes_out(steps in prop::collection::vec(step(), 1..300)) {
        let mut store = Store::new(limits(1 << 20));
        let mut model = Model::default();
        let mut now = START_MS;
        for step in steps {
            match step {
                Step::Tell { after_ms, ago_ms, cpu } => {
                    now += after_ms;
                    store.tell(1, 7, &FINE, &[cpu, 4096.0], now - ago_ms, now);
                    model.tell(now - ago_ms, now, cpu);
                }
                Step::End { after_ms } => {
                    now += after_ms;
                    store.end(1, now, now);
                    model.end(now);
                }
                Step::Silent { after_ms } => {
                    now += after_ms;
                    store.source_falls_silent(7, now);
                    if model.silences.last().is_none_or(|last| last.1 != u64::MAX) {
                        model.silences.push((now, u64::MAX));
                    }
                }
                Step::Speaks { after_ms } => {
                    now += after_ms;
                    store.source_speaks(7, now);
                    if let Some(last) = model.silences.last_mut().filter(|last| last.1 == u64::MAX) {
                        last.1 = now;
                    }
                }
                Step::ToldAll { after_ms } => {
                    now += after_ms;
                    store.source_told_all(7, now);
                    if model.seen_ms < now {
                        model.end(now);
                    }
                    store.sweep(now);
                }
            }
        }
        if model.rows.is_empty() || store.schema(1).is_none() {
            return Ok(());
        }
        let from = now.saturating_sub(HOUR_MS);
        let told = values(&store, 1, from, now, COARSE_STEP_MS, now);
        let first = from / COARSE_STEP_MS;
        for (index, value) in told.into_iter().enumerate() {
            let slot = first + index as u64;
            // The last minutes have finer slots.
            let moment = slot * COARSE_STEP_MS + COARSE_STEP_MS / 2;
            if moment + FINE_KEEP_MS < now {
                let at = store.at(1, moment, now).map(|values| values[0]);
                prop_assert!(alike(&[at], &[value]), "slot {slot}: {at:?} for {value:?}");
            }
            match (value, model.at(slot)) {
                (Some(value), Some(expected)) => {
                    prop_assert!(near(value, expected, 0.0001), "slot {slot}: {value} for {expected}");
                }
                (value, expected) => prop_assert_eq!(value, expected, "slot {}", slot),
            }
        }
    }

    #[test]
    fn the_bound_holds_whatever_is_told(
        bytes_max in 150_000usize..600_000,
        told in prop::collection::vec((0u32..3_000, 0u64..3_000, 0.0..1e6f64, 0u8..40), 1..4_000),
    ) {
        let mut store = Store::new(limits(bytes_max));
        let mut now = START_MS;
        for (key, after, value, act) in told {
            now += after;
            match act {
                0 => store.end(key, now, now),
                1 => store.sweep(now),
                _ => {
                    let schema = if key % 3 == 0 { &FINE } else { &COARSE };
                    store.tell(key, key % 5, schema, &[value, value * 3.0], now, now);
                }
            }
            prop_assert!(store.stats().bytes <= bytes_max, "{:?}", store.stats());
        }
        let range = Range { from_ms: now - HOUR_MS, to_ms: now, step_ms: FINE_STEP_MS };
        for key in 0..3_000 {
            let _ = store.query(key, range, now);
        }
    }
}

#[test]
fn the_last_minutes_have_finer_steps() {
    let mut store = Store::new(limits(1 << 20));
    let mut now = START_MS;
    for step in 0..720u64 {
        now = START_MS + step * FINE_STEP_MS;
        store.tell(1, 0, &FINE, &[(step % 3) as f64, 0.0], now, now);
    }
    let fine = values(&store, 1, now - 60_000, now, FINE_STEP_MS, now);
    assert!(alike(&fine[..3], &[2.0, 0.0, 1.0].map(Some)), "{fine:?}");
    let coarse = values(
        &store,
        1,
        now - 1_800_000,
        now - 1_000_000,
        COARSE_STEP_MS,
        now,
    );
    assert!(alike(&coarse, &vec![Some(1.0); coarse.len()]), "{coarse:?}");
    let mixed = values(&store, 1, now - 1_800_000, now, FINE_STEP_MS, now);
    assert_eq!(mixed.len(), 360);
    assert!(mixed.iter().all(Option::is_some), "{mixed:?}");
}

#[test]
fn bad_values_change_nothing_but_a_counter() {
    let mut store = Store::new(limits(1 << 20));
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        store.tell(1, 0, &FINE, &[bad, 1.0], START_MS, START_MS);
    }
    store.tell(1, 0, &FINE, &[1.0], START_MS, START_MS);
    assert_eq!(store.stats().malformed, 7);
    assert!(store.schema(1).is_none());
    store.tell(1, 0, &FINE, &[f64::MAX, 1.0], START_MS, START_MS);
    store.tell(1, 0, &FINE, &[1.0, 1.0], START_MS - 2 * HOUR_MS, START_MS);
    store.tell(1, 0, &FINE, &[1.0, 1.0], START_MS - 60_000, START_MS);
    assert_eq!((store.stats().taken, store.stats().late), (2, 4));
}

#[test]
fn a_clock_ahead_is_cut_to_now_and_blocks_nothing() {
    let mut store = Store::new(limits(1 << 20));
    store.tell(1, 0, &FINE, &[1.0, 1.0], START_MS * 2, START_MS);
    store.tell(
        1,
        0,
        &FINE,
        &[3.0, 1.0],
        START_MS + 30_000,
        START_MS + 30_000,
    );
    let told = values(
        &store,
        1,
        START_MS,
        START_MS + 45_000,
        COARSE_STEP_MS,
        START_MS + 44_000,
    );
    assert!(alike(&told, &[1.0, 1.0, 3.0].map(Some)), "{told:?}");
}

#[test]
fn what_a_source_no_longer_tells_of_ends_and_is_forgotten() {
    let mut store = Store::new(limits(1 << 20));
    for key in [1, 2] {
        store.tell(key, 0, &COARSE, &[1.0, 1.0], START_MS, START_MS);
    }
    let later = START_MS + 600_000;
    store.is_there(2, later);
    store.source_told_all(0, later);
    store.sweep(later);
    let now = later + 60_000;
    let last = |key| values(&store, key, now - 30_000, now, COARSE_STEP_MS, now);
    assert!(alike(&last(1), &[None; 2]), "{:?}", last(1));
    assert!(alike(&last(2), &[Some(1.0); 2]), "{:?}", last(2));
    store.sweep(later + HOUR_MS + 1);
    assert!(store.schema(1).is_none() && store.schema(2).is_some());
    store.forget_source(0);
    store.sweep(later + HOUR_MS + 2);
    store.sweep(later + 2 * HOUR_MS + 2);
    assert_eq!(
        (
            store.stats().things,
            store.stats().chunk_bytes,
            store.stats().series
        ),
        (0, 0, 0)
    );
}

#[test]
fn what_has_ended_makes_room_first() {
    let mut store = Store::new(limits(400_000));
    let mut keys = 0;
    while store.stats().refused == 0 {
        keys += 1;
        store.tell(keys, 0, &COARSE, &[1.0, 1.0], START_MS, START_MS);
    }
    assert!(store.schema(keys).is_none());
    store.end(5, START_MS, START_MS);
    store.end(4, START_MS, START_MS);
    store.tell(keys, 0, &COARSE, &[1.0, 1.0], START_MS, START_MS);
    assert!(store.schema(keys).is_some() && store.schema(4).is_some());
    assert!(store.schema(5).is_none());
    assert_eq!(store.stats().evicted, 1);
}
