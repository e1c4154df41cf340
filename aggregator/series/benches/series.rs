//! What a value costs, in time and in bytes. `benches/trace.csv` holds what an agent tells of a machine
//! that compiles and tests software: each line the seconds since its beginning, the thing, its metrics.
//! It is told again and again, shifted in time, until an hour is full.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesoscope_series::{Limits, Metric, Range, Schema, Store};

const fn metric(key: &'static str, unit: &'static str, quantum: f64) -> Metric {
    Metric { key, unit, quantum }
}

static HOST: Schema = Schema {
    metrics: &[
        metric("cpu", "cores", 0.000_1),
        metric("memory", "bytes", 1.0),
        metric("load", "count", 0.01),
        metric("network_in", "bytes/s", 1.0),
        metric("network_out", "bytes/s", 1.0),
        metric("disk_read", "bytes/s", 1.0),
        metric("disk_written", "bytes/s", 1.0),
        metric("disk", "bytes", 1.0),
        metric("processes", "count", 1.0),
        metric("open_files", "count", 1.0),
    ],
    fine: true,
};
// Of these the trace has none: a machine's own figures stand for them, which change more.
static CONTAINER: Schema = Schema {
    metrics: &[
        metric("cpu", "cores", 0.000_1),
        metric("memory", "bytes", 1.0),
        metric("network_in", "bytes/s", 1.0),
        metric("network_out", "bytes/s", 1.0),
        metric("disk_read", "bytes/s", 1.0),
        metric("disk_written", "bytes/s", 1.0),
        metric("processes", "count", 1.0),
    ],
    fine: true,
};
static PROCESS: Schema = Schema {
    metrics: &[
        metric("cpu", "cores", 0.000_1),
        metric("memory", "bytes", 1.0),
        metric("open_files", "count", 1.0),
        metric("threads", "count", 1.0),
        metric("connections", "count", 1.0),
    ],
    fine: false,
};

const START_MS: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 3_600_000;

struct Row {
    time_ms: u64,
    thing: u64,
    schema: &'static Schema,
    values: Vec<f64>,
}

fn trace() -> Vec<Row> {
    let lines = include_str!("trace.csv").lines();
    let rows = lines.map(|line| {
        let mut fields = line.split(',');
        let mut next = || fields.next().expect("a field");
        let time_ms = next().parse::<u64>().expect("seconds") * 1_000;
        let thing = next().parse().expect("a number");
        Row {
            time_ms,
            thing,
            schema: if thing == 0 { &HOST } else { &PROCESS },
            values: fields
                .map(|field| field.parse().expect("a value"))
                .collect(),
        }
    });
    rows.collect()
}

fn store(keep_ms: u64) -> Store<u64, u32> {
    Store::new(Limits {
        keep_ms,
        bytes_max: 2 << 30,
    })
}

/// Tells `copies` machines for an hour; returns the end.
fn fill(store: &mut Store<u64, u32>, rows: &[Row], copies: u64) -> u64 {
    let length = rows.last().map_or(1, |row| row.time_ms) + 15_000;
    let mut start = START_MS;
    while start < START_MS + HOUR_MS {
        for row in rows {
            let now = start + row.time_ms;
            for copy in 0..copies {
                let key = copy << 32 | row.thing;
                store.tell(key, 0, row.schema, &row.values, now, now);
            }
        }
        start += length;
    }
    start
}

fn rss_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).unwrap_or_default();
    pages.parse::<usize>().unwrap_or(0) * 4_096
}

fn bytes(rows: &[Row]) {
    let only = |schema: &'static Schema| {
        let fitting = rows.iter().filter(|row| std::ptr::eq(row.schema, schema));
        fitting.map(|row| Row {
            values: row.values.clone(),
            ..*row
        })
    };
    let containers = only(&HOST).map(|row| Row {
        schema: &CONTAINER,
        values: [0, 1, 3, 4, 5, 6, 8].map(|index| row.values[index]).into(),
        ..row
    });
    for (name, rows, copies) in [
        ("host", only(&HOST).collect::<Vec<_>>(), 2_000),
        ("container", containers.collect(), 2_000),
        ("process", only(&PROCESS).collect(), 1_000),
    ] {
        let before = rss_bytes();
        let mut store = store(HOUR_MS);
        let end = fill(&mut store, &rows, copies);
        let resident = rss_bytes().saturating_sub(before);
        store.sweep(end);
        let stats = store.stats();
        println!(
            "{name}: {} things, {} series, {} values told; {:.2} bytes a value in pieces, {:.2} in all, \
             {:.0} bytes a series in all, {:.2} a series and 15 s; {} MiB counted, {} MiB more resident, \
             {:.1} MiB a thousand things",
            stats.things,
            stats.series,
            stats.taken,
            ratio(stats.chunk_bytes, stats.taken),
            ratio(stats.bytes, stats.taken),
            ratio(stats.bytes, stats.series as u64),
            ratio(stats.bytes, stats.series as u64 * 240),
            stats.bytes >> 20,
            resident >> 20,
            ratio(stats.bytes, stats.things as u64) * 1_000.0 / f64::from(1 << 20),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
fn ratio(bytes: usize, values: u64) -> f64 {
    bytes as f64 / values as f64
}

fn benches(criterion: &mut Criterion) {
    let rows = trace();
    bytes(&rows);
    let mut group = criterion.benchmark_group("series");
    group.sample_size(10);
    let mut probe = store(HOUR_MS);
    let end = fill(&mut probe, &rows, 20);
    group.throughput(Throughput::Elements(probe.stats().taken));
    group.bench_function("values told", |bencher| {
        bencher.iter(|| fill(&mut store(HOUR_MS), black_box(&rows), 20));
    });
    group.throughput(Throughput::Elements(1));
    let range = Range {
        from_ms: end - HOUR_MS,
        to_ms: end,
        step_ms: 15_000,
    };
    group.bench_function("an hour of a host asked", |bencher| {
        bencher.iter(|| probe.query(black_box(0), range, end));
    });
    group.throughput(Throughput::Elements(probe.stats().things as u64));
    group.bench_function("sweep", |bencher| bencher.iter(|| probe.sweep(end)));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
