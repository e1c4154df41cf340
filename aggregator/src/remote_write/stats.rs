//! How it does, for `/metrics`.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use super::queue::Counts;

/// How it does.
#[derive(Debug)]
pub struct Stats {
    /// Bytes that wait.
    pub bytes: usize,
    /// Bytes that may wait.
    pub bytes_max: usize,
    /// Series that had a value when they were last taken.
    pub series: usize,
    /// Series that are written at most.
    pub series_max: usize,
    /// Values of series beyond that.
    pub left_out: u64,
    /// What became of the others.
    pub counts: Counts,
}

impl Stats {
    /// As metrics.
    ///
    /// # Errors
    /// When Prometheus' library refuses a name.
    pub fn families(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let mut families = Vec::new();
        for (name, help, value) in [
            (
                "mesoscope_remote_write_queue_bytes",
                "Bytes that wait for the receiver of remote-write.",
                self.bytes,
            ),
            (
                "mesoscope_remote_write_queue_limit_bytes",
                "Bytes that may wait for the receiver of remote-write.",
                self.bytes_max,
            ),
            (
                "mesoscope_remote_write_series",
                "Series that had a value when they were last written.",
                self.series,
            ),
            (
                "mesoscope_remote_write_series_limit",
                "Series that are written at most.",
                self.series_max,
            ),
        ] {
            let gauge = IntGauge::new(name, help)?;
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            families.extend(gauge.collect());
        }
        let samples = IntCounterVec::new(
            Opts::new(
                "mesoscope_remote_write_samples_total",
                "Values that wait no more: sent, refused by the receiver, dropped since there was no room, \
                 or left out since they were of more series than may be.",
            ),
            &["outcome"],
        )?;
        for (outcome, total) in [
            ("sent", self.counts.sent),
            ("refused", self.counts.refused),
            ("no_room", self.counts.no_room),
            ("left_out", self.left_out),
        ] {
            samples.with_label_values(&[outcome]).inc_by(total);
        }
        families.extend(samples.collect());
        let failed = IntCounter::new(
            "mesoscope_remote_write_failures_total",
            "Requests of remote-write that failed.",
        )?;
        failed.inc_by(self.counts.failed);
        families.extend(failed.collect());
        Ok(families)
    }
}
