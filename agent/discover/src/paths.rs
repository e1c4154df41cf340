//! Where the node's file systems are mounted, for agents that run in a container.

use std::path::{Path, PathBuf};

/// Where the node's file systems are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// procfs of the host's pid namespace.
    pub proc: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// Folder of the cgroup mounts; hierarchies below it are found by themselves.
    pub cgroup: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            cgroup: PathBuf::from("/sys/fs/cgroup"),
        }
    }
}

impl Paths {
    /// A path of the host's own root as seen through its first process; falls back on the own root
    /// where that is not allowed (`CAP_SYS_PTRACE` is missing).
    #[must_use]
    pub fn in_host_root(&self, absolute: &str) -> PathBuf {
        let through_init = self
            .proc
            .join("1/root")
            .join(absolute.trim_start_matches('/'));
        if through_init.symlink_metadata().is_ok() {
            through_init
        } else {
            Path::new(absolute).to_path_buf()
        }
    }

    /// Link of the host's own network namespace: that of its first process, else that of the
    /// kernel's own threads (readable where the first process has more capabilities than we), else
    /// ours.
    #[must_use]
    pub fn host_network_namespace(&self) -> PathBuf {
        let candidates = ["1/ns/net", "2/ns/net"].map(|link| self.proc.join(link));
        let readable = candidates.into_iter().find(|link| link.read_link().is_ok());
        readable.unwrap_or_else(|| self.proc.join("self/ns/net"))
    }
}
