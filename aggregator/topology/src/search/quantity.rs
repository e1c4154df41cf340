//! Numbers with units: `2%`, `10MB`, `5m`.

use std::{cmp::Ordering, fmt};

use mesoscope_proto::v1;

/// Larger numbers are refused: none is measured that is.
const NUMBER_MAX: f64 = 1e18;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The field's own unit.
    Own,
    Percent,
    /// So many bytes, or bytes per second; the index is in [`BYTES`].
    Bytes(usize),
    /// So many milliseconds; the index is in [`DURATIONS`].
    Duration(usize),
}

/// Names of sizes; case does not count.
const BYTES: [(&str, f64); 11] = [
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("PB", 1e15),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("PiB", 1_125_899_906_842_624.0),
];

/// Names of durations, in milliseconds.
const DURATIONS: [(&str, f64); 5] = [
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3_600e3),
    ("d", 86_400e3),
];

/// A number and its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantity {
    number: f64,
    unit: Unit,
}

impl Quantity {
    /// A number with a known unit or none; else `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        let end = text.find(|c| !digits(c)).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number.parse().ok()?;
        if number.abs() > NUMBER_MAX {
            return None;
        }
        let size = unit.strip_suffix("/s").unwrap_or(unit);
        let unit = if unit.is_empty() {
            Unit::Own
        } else if unit == "%" {
            Unit::Percent
        } else if let Some(at) = DURATIONS.iter().position(|(name, _)| *name == unit) {
            Unit::Duration(at)
        } else {
            let named = |(name, _): &(&str, f64)| name.eq_ignore_ascii_case(size);
            Unit::Bytes(BYTES.iter().position(named)?)
        };
        Some(Self { number, unit })
    }

    /// How a field compares to it; `None` when the two can't be compared. A moment is compared by how
    /// long ago it was.
    pub(super) fn order_of_field(&self, field: &v1::Field, now_ms: u64) -> Option<Ordering> {
        let value: f64 = field.value.parse().ok()?;
        let (value, wanted) = match (self.unit, field.r#type.as_str()) {
            (Unit::Own, kind) if kind != "time" => (value, self.number),
            (Unit::Bytes(at), "bytes") => (value, self.number * BYTES[at].1),
            (Unit::Duration(at), "time") => (as_f64(now_ms) - value, self.number * DURATIONS[at].1),
            _ => return None,
        };
        value.partial_cmp(&wanted)
    }

    /// How a metric compares to it; `None` when the two can't be compared. Percents of cores are
    /// those of one core, as everywhere; else those of what would be full.
    pub(super) fn order_of_metric(&self, metric: &v1::Metric) -> Option<Ordering> {
        let (value, wanted) = match self.unit {
            Unit::Own => (metric.value, self.number),
            Unit::Percent if metric.unit == "cores" => (metric.value * 100.0, self.number),
            Unit::Percent if metric.unit == "%" => (metric.value, self.number),
            Unit::Percent if metric.max > 0.0 => (metric.value / metric.max * 100.0, self.number),
            Unit::Bytes(at) if metric.unit.starts_with("bytes") => {
                (metric.value, self.number * BYTES[at].1)
            }
            _ => return None,
        };
        value.partial_cmp(&wanted)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Own => "",
            Unit::Percent => "%",
            Unit::Bytes(at) => BYTES[at].0,
            Unit::Duration(at) => DURATIONS[at].0,
        };
        write!(to, "{}{unit}", self.number)
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: f64, unit: &str, max: f64) -> v1::Metric {
        v1::Metric {
            value,
            max,
            unit: unit.into(),
            ..Default::default()
        }
    }

    fn order(text: &str, metric: &v1::Metric) -> Option<Ordering> {
        Quantity::parse(text)
            .expect("a quantity")
            .order_of_metric(metric)
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in [
            "",
            "%",
            "x",
            "2x",
            "2 %",
            "1e9",
            "--1",
            "9999999999999999999",
            "nan",
            "inf",
        ] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
        for good in ["0", "-1.5", "2%", "10mb", "10MiB/s", "5m", "100ms"] {
            assert!(Quantity::parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn units_fit_what_is_measured() {
        let cpu = metric(0.03, "cores", 4.0);
        assert_eq!(order("2%", &cpu), Some(Ordering::Greater));
        assert_eq!(order("0.03", &cpu), Some(Ordering::Equal));
        assert_eq!(order("1MB", &cpu), None);
        let memory = metric(1_048_576.0, "bytes", 2_097_152.0);
        assert_eq!(order("1MiB", &memory), Some(Ordering::Equal));
        assert_eq!(order("1MB", &memory), Some(Ordering::Greater));
        assert_eq!(order("50%", &memory), Some(Ordering::Equal));
        assert_eq!(order("5m", &memory), None, "a duration is no size");
    }

    #[test]
    fn moments_are_compared_by_how_long_ago_they_were() {
        let started = v1::Field {
            value: "1000".into(),
            r#type: "time".into(),
            ..Default::default()
        };
        let ago = |text: &str| {
            let quantity = Quantity::parse(text).expect("a quantity");
            quantity.order_of_field(&started, 61_000)
        };
        assert_eq!(ago("1m"), Some(Ordering::Equal));
        assert_eq!(ago("2m"), Some(Ordering::Less));
        assert_eq!(ago("5"), None);
    }
}
