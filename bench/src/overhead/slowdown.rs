//! What observing costs the observed: A/B batches of the same work, attached and not.
//!
//! One process does the work, pinned to one CPU, in a network namespace of its own; the observer's
//! consumer runs on another. Batches of 12 to 25 ms alternate in the order A B B A, so that a drift
//! of the machine falls on both. CPU time is compared, not wall time, the kernel's share and the
//! children's included. The figure is the median over the pairs of with / without.

use super::observers::Observer;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A kind of work, as `mesoscope-bench-actor work` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Spawn of a static program of one system call, flat out.
    SpawnTiny,
    /// Spawn of /bin/true.
    SpawnTrue,
    /// TCP connect, 64 B there, 128 B back, close.
    TcpConnect,
    /// 64 B there and back on an open connection.
    TcpRequest,
    /// 32 KiB on an open connection.
    TcpBulk,
    /// One datagram.
    Udp,
    /// 64 B there and back on a UNIX socket.
    Unix,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SpawnTiny,
        Self::SpawnTrue,
        Self::TcpConnect,
        Self::TcpRequest,
        Self::TcpBulk,
        Self::Udp,
        Self::Unix,
    ];

    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpawnTiny => "spawn_one_syscall",
            Self::SpawnTrue => "spawn_bin_true",
            Self::TcpConnect => "tcp_connect_close",
            Self::TcpRequest => "tcp_request_response",
            Self::TcpBulk => "tcp_bulk",
            Self::Udp => "udp",
            Self::Unix => "unix",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::SpawnTiny | Self::SpawnTrue => "spawn",
            Self::TcpConnect => "tcp-connect",
            Self::TcpRequest => "tcp-request",
            Self::TcpBulk => "tcp-bulk",
            Self::Udp => "udp",
            Self::Unix => "unix",
        }
    }
}

/// Result of one comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Slowdown {
    /// Median over the pairs of (CPU time with) / (CPU time without).
    pub ratio: f64,
    /// Half of the middle 95 % of the medians of resampled pairs: how sure `ratio` is.
    pub ratio_plus_minus: f64,
    /// Median CPU time of one repetition without the observer.
    pub once_without_us: f64,
    /// Pairs.
    pub pairs: usize,
    /// Repetitions a batch.
    pub batch: u64,
}

/// The process that does the work.
pub struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    batch: u64,
}

const BATCH_NS: f64 = 18e6;

impl Worker {
    /// Starts it and finds out how many repetitions make a batch.
    pub fn start(actor: &Path, work: Work, tiny: &Path) -> Result<Self> {
        let program = if work == Work::SpawnTrue {
            Path::new("/bin/true")
        } else {
            tiny
        };
        let mut child = Command::new("unshare")
            .arg("--net")
            .arg(actor)
            .args(["work", work.kind()])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the worker")?;
        let ask = child.stdin.take().context("stdin is piped")?;
        let answers = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut worker = Self {
            child,
            ask,
            answers,
            batch: 16,
        };
        worker.calibrate()?;
        Ok(worker)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small positive numbers"
    )]
    fn calibrate(&mut self) -> Result<()> {
        for _ in 0..4 {
            let took = self.run(self.batch)?.max(1.0);
            self.batch = ((self.batch as f64 * BATCH_NS / took) as u64).clamp(4, 1_000_000);
        }
        Ok(())
    }

    /// Does `count` repetitions and says what CPU nanoseconds they took.
    fn run(&mut self, count: u64) -> Result<f64> {
        writeln!(self.ask, "{count}")?;
        self.ask.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim()
            .parse()
            .with_context(|| format!("the worker answered {line:?}"))
    }

    fn batch(&mut self) -> Result<f64> {
        // Warms what attaching has flushed.
        self.run(self.batch.div_ceil(10))?;
        self.run(self.batch)
    }

    /// Compares `pairs` pairs.
    #[expect(clippy::cast_precision_loss, reason = "a batch is a small number")]
    pub fn compare(&mut self, observer: Observer, pairs: usize) -> Result<Slowdown> {
        let (mut ratios, mut without) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
        for pair in 0..pairs {
            let mut sample = [0.0; 2];
            let order = if pair % 2 == 0 {
                [false, true]
            } else {
                [true, false]
            };
            for with in order {
                let attached = if with { Some(observer.attach()?) } else { None };
                sample[usize::from(with)] = self.batch()?;
                drop(attached);
            }
            ratios.push(sample[1] / sample[0]);
            without.push(sample[0] / self.batch as f64 / 1_000.0);
        }
        Ok(Slowdown {
            ratio: median(&mut ratios.clone()),
            ratio_plus_minus: spread_of_median(&ratios),
            once_without_us: median(&mut without),
            pairs,
            batch: self.batch,
        })
    }

    /// Works flat out for a while under one attachment, and says what share of a core the observer's
    /// own process took.
    pub fn sustain(&mut self, observer: Observer, duration: Duration) -> Result<Sustained> {
        let attached = observer.attach()?;
        let (begun, cpu) = (Instant::now(), attached.cpu()?);
        let mut done = 0;
        while begun.elapsed() < duration {
            self.run(self.batch)?;
            done += self.batch;
        }
        // What is still in the buffer belongs to it.
        std::thread::sleep(Duration::from_millis(200));
        let seconds = begun.elapsed().as_secs_f64();
        let used = attached.cpu()?.saturating_sub(cpu);
        #[expect(clippy::cast_precision_loss, reason = "a count of seconds' work")]
        let per_second = done as f64 / seconds;
        Ok(Sustained {
            repetitions_per_s: per_second,
            observer_cpu_percent: used.as_secs_f64() / seconds * 100.0,
        })
    }
}

/// What an observer takes for itself while the work runs flat out.
#[derive(Clone, Debug, Serialize)]
pub struct Sustained {
    /// Repetitions of the work each second.
    pub repetitions_per_s: f64,
    /// Share of one core of the observer's process (ours: the consumer thread).
    pub observer_cpu_percent: f64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Bootstrap: half of the range that holds the middle 95 % of the medians of 400 resamples.
fn spread_of_median(values: &[f64]) -> f64 {
    use rand::seq::IndexedRandom;
    let mut random = rand::rng();
    let mut medians: Vec<f64> = (0..400)
        .map(|_| {
            median(
                &mut (0..values.len())
                    .filter_map(|_| values.choose(&mut random).copied())
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (medians[389] - medians[10]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::{median, spread_of_median};

    #[test]
    fn median_of_odd_and_even() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&mut [4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn equal_pairs_have_no_spread() {
        assert!(spread_of_median(&[1.01; 41]).abs() < 1e-12);
    }
}
