//! What is told of a kind of thing.

/// A metric: a number that is never negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name in answers.
    pub key: &'static str,
    /// "cores", "bytes", "bytes/s", "count".
    pub unit: &'static str,
    /// The least difference that is kept.
    pub quantum: f64,
}

/// The metrics of a kind of thing, told together.
#[derive(Debug)]
pub struct Schema {
    /// At most [`crate::METRICS_MAX`].
    pub metrics: &'static [Metric],
    /// It is told often enough for steps of 5 s.
    pub fine: bool,
}
