//! What containers use.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mesoscope_proto::v1::ContainerMetrics;
use rustc_hash::FxHashMap;

use super::figures::{Figures, Reader, Scratch};
use super::tree::ContainerCgroup;
use crate::host::lines_of_net_dev;
use crate::namespace::{host_network_namespace, namespace_inode};
use crate::paths::Paths;
use crate::time::{boottime_now_ns, unix_now_ns};

/// Interfaces that an engine makes inside a container (Docker in Docker) for containers of its
/// own: their bytes pass the container's outer interface once more.
const INNER_INTERFACES: [&str; 7] = ["lo", "docker", "br-", "veth", "cni", "flannel", "cali"];

/// A container to be sampled.
#[derive(Clone, Debug)]
pub struct ContainerTarget {
    /// The container.
    pub container: Arc<ContainerCgroup>,
    /// Any live process of it, for its network's counters; without one they stay 0. A container
    /// on the host's network has none of its own. Containers of one Kubernetes pod share theirs.
    pub pid: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Previous {
    boottime_ns: u64,
    figures: Figures,
    network: Option<(u64, u64)>,
    pass: u64,
}

/// Samples what containers use; a container costs some 35 µs.
#[derive(Debug)]
pub struct ContainerSampler {
    paths: Paths,
    reader: Reader,
    scratch: Scratch,
    host_namespace: u64,
    /// By cgroup and not by container: a restart makes a new cgroup, whose counters begin at 0.
    previous: FxHashMap<(u64, String), Previous>,
    pass: u64,
    vanished_total: u64,
}

impl ContainerSampler {
    /// A sampler of the cgroup mounts of `paths`.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            reader: Reader::new(paths),
            scratch: Scratch::default(),
            host_namespace: host_network_namespace(paths),
            previous: FxHashMap::default(),
            pass: 0,
            vanished_total: 0,
        }
    }

    /// Samples `containers` into `out` (cleared first); those that are gone are left out. Rates are
    /// averages since the sample before; a first sample has none (0).
    pub fn sample(&mut self, containers: &[ContainerTarget], out: &mut Vec<ContainerMetrics>) {
        out.clear();
        self.pass += 1;
        for target in containers {
            match self.sample_one(target) {
                Some(metrics) => out.push(metrics),
                None => self.vanished_total += 1,
            }
        }
        let pass = self.pass;
        self.previous.retain(|_, previous| previous.pass == pass);
    }

    /// Containers that were gone when their turn came, since the start.
    #[must_use]
    pub fn vanished_total(&self) -> u64 {
        self.vanished_total
    }

    fn sample_one(&mut self, target: &ContainerTarget) -> Option<ContainerMetrics> {
        let container = &target.container;
        let figures = self.reader.read(&container.path)?;
        let network = target.pid.and_then(|pid| self.network_bytes(pid));
        let now = Previous {
            boottime_ns: boottime_now_ns(),
            figures,
            network,
            pass: self.pass,
        };
        let key = (container.cgroup_id, container.id.clone());
        let before = self.previous.insert(key, now);
        let mut metrics = ContainerMetrics {
            container_id: container.id.clone(),
            time_unix_ns: unix_now_ns(),
            memory_used_bytes: figures.memory_bytes,
            processes: figures.processes,
            oom_kills: figures.oom_kills,
            ..ContainerMetrics::default()
        };
        if let Some(before) = before {
            set_rates(&mut metrics, &before, &now);
        }
        Some(metrics)
    }

    /// Bytes received and sent in the network namespace of `pid`; `None` when it is the host's.
    fn network_bytes(&mut self, pid: u32) -> Option<(u64, u64)> {
        let process = self.paths.proc.join(pid.to_string());
        let link = fs::read_link(process.join("ns/net")).ok()?;
        if namespace_inode(&link) == self.host_namespace {
            return None;
        }
        outer_bytes(&mut self.scratch, &process)
    }
}

fn outer_bytes(scratch: &mut Scratch, process: &Path) -> Option<(u64, u64)> {
    let content = scratch.file(process, "net", "dev")?;
    let outer = lines_of_net_dev(content).filter(|line| {
        let mut inner = INNER_INTERFACES.iter();
        !inner.any(|prefix| line.name.starts_with(prefix))
    });
    Some(outer.fold((0, 0), |(received, sent), line| {
        (
            u64::saturating_add(received, line.received_bytes),
            u64::saturating_add(sent, line.sent_bytes),
        )
    }))
}

#[expect(clippy::cast_precision_loss, reason = "rates; 52 bits are plenty")]
fn set_rates(metrics: &mut ContainerMetrics, before: &Previous, now: &Previous) {
    let elapsed_s = now.boottime_ns.saturating_sub(before.boottime_ns).max(1) as f64 / 1e9;
    let grown =
        |of: fn(&Figures) -> u64| of(&now.figures).saturating_sub(of(&before.figures)) as f64;
    metrics.cpu_cores_used = grown(|figures| figures.cpu_ns) / 1e9 / elapsed_s;
    metrics.disk_read_bytes_per_s = grown(|figures| figures.read_bytes) / elapsed_s;
    metrics.disk_written_bytes_per_s = grown(|figures| figures.written_bytes) / elapsed_s;
    let periods = grown(|figures| figures.periods);
    if periods > 0.0 {
        metrics.cpu_throttled_fraction = grown(|figures| figures.throttled) / periods;
    }
    if let (Some(before), Some(now)) = (before.network, now.network) {
        metrics.network_received_bytes_per_s = now.0.saturating_sub(before.0) as f64 / elapsed_s;
        metrics.network_sent_bytes_per_s = now.1.saturating_sub(before.1) as f64 / elapsed_s;
    }
}
