//! What this process itself costs, read from `/proc/self` (proc(5)).

use std::io;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts, Registry};

/// Cost of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Resident memory.
    pub rss_bytes: u64,
    /// Processor time since the start, user and system, all threads.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the cost of this process.
///
/// # Errors
/// When `/proc` is not there or does not look as proc(5) says.
pub fn usage() -> io::Result<Usage> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let open_files = std::fs::read_dir("/proc/self/fd")?.count();
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    parse(&stat, &statm, ticks_per_second, page_bytes)
        .map(|usage| Usage {
            open_files: u64::try_from(open_files).unwrap_or(u64::MAX),
            ..usage
        })
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/stat is malformed"))
}

fn parse(stat: &str, statm: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Usage> {
    // The name in brackets may hold spaces and brackets: the fields begin after its last bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)?.checked_add(number(12)?)?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a sum of seconds, exact enough")]
    let cpu_seconds = ticks as f64 / ticks_per_second.max(1) as f64;
    Some(Usage {
        rss_bytes: pages.checked_mul(page_bytes)?,
        cpu_seconds,
        open_files: 0,
        threads: number(17)?,
    })
}

/// Registers the cost of this process under Prometheus' standard names
/// (`process_resident_memory_bytes`, `process_cpu_seconds_total`, ...), read at each scrape.
///
/// # Errors
/// When the registry holds these names already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(UsageCollector::new()?))
}

struct UsageCollector {
    rss: Gauge,
    open_files: Gauge,
    threads: Gauge,
    started: Gauge,
    cpu: Counter,
}

impl UsageCollector {
    fn new() -> prometheus::Result<Self> {
        let started = Gauge::new(
            "process_start_time_seconds",
            "Start of the process, seconds since the Unix epoch.",
        )?;
        if let Ok(now) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            started.set(now.as_secs_f64());
        }
        Ok(Self {
            rss: Gauge::new("process_resident_memory_bytes", "Resident memory, bytes.")?,
            open_files: Gauge::new("process_open_fds", "Open file descriptors.")?,
            threads: Gauge::new("process_threads", "Threads of the process.")?,
            started,
            cpu: Counter::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "Processor time of the process, user and system, seconds.",
            ))?,
        })
    }
}

impl Collector for UsageCollector {
    fn desc(&self) -> Vec<&Desc> {
        [&self.rss, &self.open_files, &self.threads, &self.started]
            .into_iter()
            .flat_map(Collector::desc)
            .chain(self.cpu.desc())
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
    fn collect(&self) -> Vec<MetricFamily> {
        if let Ok(usage) = usage() {
            self.rss.set(usage.rss_bytes as f64);
            self.open_files.set(usage.open_files as f64);
            self.threads.set(usage.threads as f64);
            self.cpu
                .inc_by((usage.cpu_seconds - self.cpu.get()).max(0.0));
        }
        [&self.rss, &self.open_files, &self.threads, &self.started]
            .into_iter()
            .flat_map(Collector::collect)
            .chain(self.cpu.collect())
            .collect()
    }
}

/// Lets this process open as many files and sockets as its hard limit allows, and gives that number.
/// Shells and service managers start programs with a soft limit that is meant for `select`.
#[must_use]
pub fn open_files_allowed() -> u64 {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // Refused: what it was stays.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_usage_is_plausible() {
        let usage = usage().expect("/proc is mounted");
        assert!(usage.rss_bytes > 100_000, "{usage:?}");
        assert!(usage.threads >= 1 && usage.open_files >= 3, "{usage:?}");
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 100 0 0";
        let usage = parse(stat, "100 25 5", 100, 4096).expect("well-formed");
        assert!((usage.cpu_seconds - 2.0).abs() < 1e-9);
        assert_eq!((usage.threads, usage.rss_bytes), (3, 102_400));
    }

    proptest::proptest! {
        #[test]
        fn malformed_input_never_panics(stat in ".{0,200}", statm in ".{0,50}") {
            let _ = parse(&stat, &statm, 0, 4096);
        }
    }

    #[test]
    fn a_scrape_shows_the_process() {
        let registry = Registry::new();
        register(&registry).expect("fresh registry");
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert!(
            names.iter().any(|n| n == "process_resident_memory_bytes"),
            "{names:?}"
        );
    }
}
