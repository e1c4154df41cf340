//! The agent's resident memory over time.

use crate::usage;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Samples all the while.
pub struct Memory {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    pid: u32,
    begun: Instant,
    /// (seconds since this agent was started, bytes)
    samples: Vec<(f64, f64)>,
    bytes_max: f64,
}

/// What it came to.
#[derive(Serialize)]
pub struct Course {
    rss_mib_max: f64,
    rss_mib_end: f64,
    /// Of the last agent, without the first fifth of its life.
    slope_mib_per_h: f64,
    slope_over_s: f64,
    /// Of the last agent, at most 60, evenly spread.
    rss_mib: Vec<f64>,
}

const MIB: f64 = 1_048_576.0;

impl Memory {
    /// Begins with this agent.
    pub fn watch(pid: u32) -> Self {
        let state = Arc::new(Mutex::new(State {
            pid,
            begun: Instant::now(),
            samples: Vec::new(),
            bytes_max: 0.0,
        }));
        let into = state.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SAMPLE_EVERY).await;
                let mut state = into.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(bytes) = usage::rss_bytes(state.pid) else {
                    continue;
                };
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "memory of a process is far below 2^52 bytes"
                )]
                let bytes = bytes as f64;
                let age = state.begun.elapsed().as_secs_f64();
                state.samples.push((age, bytes));
                state.bytes_max = state.bytes_max.max(bytes);
            }
        });
        Self { state, task }
    }

    /// Goes on with another agent.
    pub fn follow(&self, pid: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.pid, state.begun) = (pid, Instant::now());
        state.samples.clear();
    }

    /// Ends.
    pub fn finish(self) -> Course {
        self.task.abort();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = &state.samples[state.samples.len() / 5..];
        let every = state.samples.len().div_ceil(60).max(1);
        Course {
            rss_mib_max: state.bytes_max / MIB,
            rss_mib_end: state
                .samples
                .last()
                .map_or(f64::NAN, |sample| sample.1 / MIB),
            slope_mib_per_h: slope(settled) * 3600.0 / MIB,
            slope_over_s: settled.last().map_or(0.0, |last| last.0 - settled[0].0),
            rss_mib: state
                .samples
                .iter()
                .step_by(every)
                .map(|sample| (sample.1 / MIB * 10.0).round() / 10.0)
                .collect(),
        }
    }
}

/// Least squares; 0 for fewer than two points.
#[expect(clippy::cast_precision_loss, reason = "a few thousand samples")]
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn slope_of_a_line_and_of_nothing() {
        let line: Vec<(f64, f64)> = (0..10)
            .map(|x| (f64::from(x), 3.0 * f64::from(x) + 7.0))
            .collect();
        assert!((slope(&line) - 3.0).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0)]).abs() < 1e-9);
    }
}
