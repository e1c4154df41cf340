//! What the capture is asked to do.

use std::path::PathBuf;

/// Configuration of a [`crate::Capture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Size of the ring buffer: a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Events per second that one cgroup may emit before its events are withheld and counted; 0 for
    /// no cap. The workload itself is never held back.
    pub events_per_second_per_cgroup: u32,
    /// Attach the hooks that record connect() and bind() in their caller's context.
    pub tier1: bool,
    /// Attach the per-packet hooks (UDP bytes, DNS answers, protocol recognition), and where.
    pub tier2: Tier2,
    /// Have the kernel keep run time and run count of BPF programs while this capture lives
    /// (`BPF_ENABLE_STATS`; 35-70 ns a run).
    pub bpf_statistics: bool,
    /// Where cgroup file systems are mounted; the v2 hierarchy is looked for here, then in `unified/`.
    pub cgroup_root: PathBuf,
    /// Where tracefs is mounted: only the rung without BTF reads it.
    pub tracefs_root: PathBuf,
    /// The highest rung of the ladder to try; lower it to test what a lesser kernel gives.
    pub rung: Rung,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            ring_bytes: 1 << 20,
            events_per_second_per_cgroup: 60_000,
            tier1: true,
            tier2: Tier2::Off,
            bpf_statistics: false,
            cgroup_root: PathBuf::from("/sys/fs/cgroup"),
            tracefs_root: PathBuf::from("/sys/kernel/tracing"),
            rung: Rung::Btf,
        }
    }
}

/// Where the per-packet hooks of tier 2 are attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tier2 {
    /// Nowhere.
    #[default]
    Off,
    /// At the root of the v2 hierarchy: every socket of the node.
    Node,
    /// At these cgroup directories (absolute, of the v2 hierarchy) only.
    Cgroups(Vec<PathBuf>),
}

/// A rung of the capability ladder, the best last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// No kernel programs: the caller lives on `/proc` and `sock_diag`.
    None,
    /// Kernel programs without BTF: `sock_ops`, connect hooks and classic tracepoints.
    NoBtf,
    /// `tp_btf` programs with offsets from the kernel's BTF.
    #[default]
    Btf,
}
