//! Where cgroups are: which hierarchy names the containers of this machine, and a v2 directory to
//! attach to.

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, statfs},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

/// `CGROUP2_SUPER_MAGIC` (include/uapi/linux/magic.h).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The cgroups of a machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Hierarchies {
    /// Mount point of the v2 hierarchy, where it is mounted.
    pub v2: Option<PathBuf>,
    /// Number of the v1 hierarchy that accounts memory; 0 when there is none.
    pub memory_v1: u32,
}

impl Hierarchies {
    /// Looks at what is mounted below `cgroup_root` and at `/proc/cgroups`.
    #[must_use]
    pub fn find(cgroup_root: &Path) -> Self {
        let v2 = [cgroup_root.to_path_buf(), cgroup_root.join("unified")]
            .into_iter()
            .find(|path| is_v2(path));
        let memory_v1 = fs::read_to_string("/proc/cgroups")
            .ok()
            .and_then(|text| memory_hierarchy(&text))
            .unwrap_or(0);
        Self { v2, memory_v1 }
    }

    /// Containers exist only in v1: there is no v2 mount that could name them.
    #[must_use]
    pub fn pure_v1(&self) -> bool {
        self.v2.is_none() && self.memory_v1 != 0
    }

    /// The root directory of the v2 hierarchy, to attach to; mounted for this process alone where
    /// nobody has mounted it (a pure v1 boot).
    ///
    /// # Errors
    /// What the kernel says against opening or mounting it.
    pub fn open_root(&self) -> std::io::Result<OwnedFd> {
        match &self.v2 {
            Some(path) => Ok(File::open(path)?.into()),
            None => Ok(mount_privately()?),
        }
    }
}

/// Whether a directory is in a v2 hierarchy.
#[must_use]
pub fn is_v2(path: &Path) -> bool {
    statfs(path)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|magic| magic == CGROUP2_MAGIC))
}

/// A mount that is nowhere in the tree: it lives as long as the descriptor.
fn mount_privately() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    rustix::fs::openat(
        &mount,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Second column of the line `memory` of `/proc/cgroups`.
fn memory_hierarchy(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("memory"))
            .then(|| words.next()?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_hierarchy_is_the_second_column() {
        let text =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t4\t1\t1\nmemory\t7\t1\t1\n";
        assert_eq!(memory_hierarchy(text), Some(7));
        assert_eq!(memory_hierarchy("memory"), None);
        assert_eq!(memory_hierarchy(""), None);
    }
}
