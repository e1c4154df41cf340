//! How busy this machine is.

use std::fs;
use std::path::Path;

use mesoscope_proto::v1::HostMetrics;
use rustc_hash::FxHashSet;

use super::disks;
use super::info::meminfo_bytes;
use crate::error::Error;
use crate::paths::Paths;
use crate::text::{number, read};
use crate::time::{TICK_NS, boottime_now_ns, unix_now_ns};

/// Bytes of a sector in `/proc/diskstats`, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    boottime_ns: u64,
    cpu_ticks: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

/// Samples how busy the machine is. A sample takes some 200 µs.
#[derive(Debug)]
pub struct HostSampler {
    paths: Paths,
    /// Nothing before the first sample: its rates are averages since boot.
    previous: Counters,
}

impl HostSampler {
    /// A sampler of the files of `paths`.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            previous: Counters::default(),
        }
    }

    /// A sample. Rates are averages since the sample before, or since boot for the first. What a
    /// file does not tell stays 0.
    ///
    /// # Errors
    /// When `/proc/stat` cannot be read or is not understood.
    pub fn sample(&mut self) -> Result<HostMetrics, Error> {
        let proc = &self.paths.proc;
        let stat_path = proc.join("stat");
        let stat = fs::read(&stat_path).map_err(|error| Error::read(&stat_path, error))?;
        let cpu_ticks = busy_ticks(&stat).ok_or_else(|| Error::Malformed {
            path: stat_path,
            reason: "its first line is not \"cpu\" with eight numbers".to_owned(),
        })?;
        let (disk_read_bytes, disk_written_bytes) = disk_bytes(
            &fs::read(proc.join("diskstats")).unwrap_or_default(),
            |name| is_hardware(&self.paths.sys.join("block").join(name)),
        );
        let (received_bytes, sent_bytes) = self.network_bytes();
        let now = Counters {
            boottime_ns: boottime_now_ns(),
            cpu_ticks,
            disk_read_bytes,
            disk_written_bytes,
            received_bytes,
            sent_bytes,
        };
        let previous = std::mem::replace(&mut self.previous, now);
        let elapsed_ns = now.boottime_ns.saturating_sub(previous.boottime_ns);
        let rate = |now: u64, before: u64| per_second(now.saturating_sub(before), elapsed_ns);
        let cpu_ns = |ticks: u64| ticks.saturating_mul(TICK_NS);
        let [load_1m, load_5m, load_15m] = loads(&read(&proc.join("loadavg")));
        let meminfo = read(&proc.join("meminfo"));
        let total = meminfo_bytes(&meminfo, "MemTotal:").unwrap_or(0);
        let available = meminfo_bytes(&meminfo, "MemAvailable:").unwrap_or(total);
        Ok(HostMetrics {
            time_unix_ns: unix_now_ns(),
            cpu_cores_used: rate(cpu_ns(now.cpu_ticks), cpu_ns(previous.cpu_ticks)) / 1e9,
            memory_used_bytes: total.saturating_sub(available),
            load_1m,
            load_5m,
            load_15m,
            disk_read_bytes_per_s: rate(now.disk_read_bytes, previous.disk_read_bytes),
            disk_written_bytes_per_s: rate(now.disk_written_bytes, previous.disk_written_bytes),
            network_received_bytes_per_s: rate(now.received_bytes, previous.received_bytes),
            network_sent_bytes_per_s: rate(now.sent_bytes, previous.sent_bytes),
            uptime_s: now.boottime_ns / 1_000_000_000,
            processes: process_count(proc),
            open_files: first_number(&read(&proc.join("sys/fs/file-nr"))),
            disk_used_bytes: disks::used_bytes(&self.paths),
        })
    }

    /// Bytes over interfaces of hardware. Bridges, bonds, VLANs and veths carry the same bytes once
    /// more. Where there is no hardware (the node is itself a container), those of the default route.
    fn network_bytes(&self) -> (u64, u64) {
        let net = self.paths.proc.join("1/net");
        let own = self.paths.proc.join("self/net");
        let folder = if net.exists() { net } else { own };
        let dev = fs::read(folder.join("dev")).unwrap_or_default();
        let class = self.paths.sys.join("class/net");
        let hardware = |name: &str| is_hardware(&class.join(name));
        if lines_of_net_dev(&dev).any(|line| hardware(line.name)) {
            return network_bytes(&dev, hardware);
        }
        let routes = read(&folder.join("route"));
        let default: FxHashSet<&str> = default_interfaces(&routes).collect();
        network_bytes(&dev, |name| default.contains(name))
    }
}

/// Whether a block device or interface is backed by a device of the machine.
fn is_hardware(sysfs_folder: &Path) -> bool {
    sysfs_folder.join("device").exists()
}

#[expect(clippy::cast_precision_loss, reason = "a rate; 52 bits are plenty")]
fn per_second(amount: u64, elapsed_ns: u64) -> f64 {
    amount as f64 * 1e9 / elapsed_ns.max(1) as f64
}

/// Ticks of work of all cores: user, nice, system, irq, softirq. Guests are within user; steal is
/// another machine's.
fn busy_ticks(stat: &[u8]) -> Option<u64> {
    let line = stat.split(|&byte| byte == b'\n').next()?;
    let mut fields = line
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    if fields.next()? != b"cpu" {
        return None;
    }
    let mut ticks = [0; 7];
    for tick in &mut ticks {
        *tick = number(fields.next()?)?;
    }
    let [user, nice, system, _idle, _iowait, irq, softirq] = ticks;
    [nice, system, irq, softirq]
        .iter()
        .try_fold(user, |sum, ticks| sum.checked_add(*ticks))
}

/// Bytes read and written of whole disks, by fields 6 and 10 of `/proc/diskstats`.
fn disk_bytes(diskstats: &[u8], is_disk: impl Fn(&str) -> bool) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for line in diskstats.split(|&byte| byte == b'\n') {
        let mut fields = line
            .split(|&byte| byte == b' ')
            .filter(|field| !field.is_empty());
        let name = fields.nth(2).and_then(|name| str::from_utf8(name).ok());
        if !name.is_some_and(&is_disk) {
            continue;
        }
        let (read, written) = (
            fields.nth(2).and_then(number),
            fields.nth(3).and_then(number),
        );
        let bytes = |sectors: Option<u64>| sectors.unwrap_or(0).saturating_mul(SECTOR_BYTES);
        sums.0 = sums.0.saturating_add(bytes(read));
        sums.1 = sums.1.saturating_add(bytes(written));
    }
    sums
}

/// A line of `/proc/net/dev`.
pub(crate) struct NetDevLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// The interfaces of `/proc/net/dev`; lines that are not understood are passed over.
pub(crate) fn lines_of_net_dev(content: &[u8]) -> impl Iterator<Item = NetDevLine<'_>> {
    content.split(|&byte| byte == b'\n').filter_map(|line| {
        // "eth0:123": the counters may follow the colon at once; names may hold colons themselves.
        let colon = line.iter().rposition(|&byte| byte == b':')?;
        let mut fields = line[colon + 1..]
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        Some(NetDevLine {
            name: str::from_utf8(&line[..colon]).ok()?.trim(),
            received_bytes: number(fields.next()?)?,
            sent_bytes: number(fields.nth(7)?)?,
        })
    })
}

fn network_bytes(dev: &[u8], counts: impl Fn(&str) -> bool) -> (u64, u64) {
    lines_of_net_dev(dev)
        .filter(|line| counts(line.name))
        .fold((0, 0), |(received, sent), line| {
            (
                received.saturating_add(line.received_bytes),
                sent.saturating_add(line.sent_bytes),
            )
        })
}

/// Interfaces of default routes in `/proc/net/route`: destination and mask are 0.
fn default_interfaces(routes: &str) -> impl Iterator<Item = &str> {
    routes.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next()?;
        let destination = fields.next()?;
        let mask = fields.nth(5)?;
        (destination == "00000000" && mask == "00000000").then_some(name)
    })
}

fn loads(loadavg: &str) -> [f64; 3] {
    let mut fields = loadavg.split_ascii_whitespace();
    std::array::from_fn(|_| {
        let load = fields.next().and_then(|field| field.parse::<f64>().ok());
        load.filter(|load| load.is_finite()).unwrap_or(0.0)
    })
}

fn first_number(text: &str) -> u64 {
    let word = text.split_ascii_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn process_count(proc: &Path) -> u32 {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let processes = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    u32::try_from(processes.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_machine_is_busy_while_we_are() {
        let mut sampler = HostSampler::new(&Paths::default());
        let since_boot = sampler.sample().expect("a procfs");
        assert!(since_boot.memory_used_bytes > 0 && since_boot.processes > 1);
        assert!(since_boot.open_files > 0 && since_boot.uptime_s > 0);
        assert!(since_boot.disk_used_bytes > 0);
        let end = std::time::Instant::now() + std::time::Duration::from_millis(300);
        while std::time::Instant::now() < end {}
        let busy = sampler.sample().expect("a procfs");
        assert!(busy.cpu_cores_used > 0.5, "{busy:?}");
    }

    #[test]
    fn fields_of_real_files() {
        assert_eq!(
            busy_ticks(b"cpu  10 2 3 400 50 6 7 8 9 0\ncpu0 1 1\n"),
            Some(28)
        );
        assert_eq!(busy_ticks(b"cpu0 10 2 3 400 50 6 7\n"), None);
        let stats = b" 254 0 vda 274492 58909 23203666 183328 93367 128131 18684040 109214 0 1 2\n\
                       254 1 vda1 1 1 9 1 1 1 9 1\n";
        let sums = disk_bytes(stats, |name| name == "vda");
        assert_eq!(sums, (23_203_666 * 512, 18_684_040 * 512));
        let dev = b"Inter-|   Receive  |  Transmit\n face |bytes    packets\n\
            lo:    4577 55 0 0 0 0 0 0 4577 55 0 0 0 0 0 0\n  eth0:1093 33 0 0 0 0 0 0 2004 21 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(dev, |name| name == "eth0"), (1093, 2004));
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth1\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(default_interfaces(routes).collect::<Vec<_>>(), ["eth0"]);
        assert_eq!(loads("0.10 2 NaN 1/2 3"), [0.10, 2.0, 0.0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            busy_ticks(&bytes);
            disk_bytes(&bytes, |_| true);
            network_bytes(&bytes, |_| true);
            let text = String::from_utf8_lossy(&bytes);
            default_interfaces(&text).count();
            loads(&text);
        }

        #[test]
        fn counters_come_back(received: u64, sent: u64, name in "[a-z0-9.:]{1,15}") {
            let line = format!("{name}: {received} 1 2 3 4 5 6 7 {sent} 9\n");
            let found: Vec<_> = lines_of_net_dev(line.as_bytes())
                .map(|line| (line.name.to_owned(), line.received_bytes, line.sent_bytes)).collect();
            prop_assert_eq!(found, vec![(name, received, sent)]);
        }
    }
}
