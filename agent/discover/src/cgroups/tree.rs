//! Cgroup ids, paths and containers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesoscope_proto::v1::Capability;
use rustc_hash::{FxHashMap, FxHashSet};

use super::container_path::container_of_path;
use crate::error::Error;
use crate::paths::Paths;

/// Cgroups kept at most; the kernel's own default bound is far below it.
const CGROUPS_MAX: usize = 65_536;
/// Depth of the walk at most; the kernel's deepest systems nest some ten levels.
const DEPTH_MAX: usize = 64;

/// A hierarchy of cgroups that ids may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// cgroup v2, alone or beside v1 (hybrid).
    Unified,
    /// The memory controller of cgroup v1.
    MemoryV1,
}

/// A container as its cgroup tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerCgroup {
    /// Full id; for runtimes without ids, the name.
    pub id: String,
    /// As in [`ContainerPath`](super::ContainerPath); empty when the path does not tell.
    pub runtime: &'static str,
    /// Inode of the container's own cgroup.
    pub cgroup_id: u64,
    /// Path of the container's own cgroup in `hierarchy`.
    pub path: String,
    /// Where `cgroup_id` and `path` are from.
    pub hierarchy: Hierarchy,
}

/// What a process belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Id of the cgroup, 0 when it is not known.
    pub cgroup_id: u64,
    /// The container, if it is in one.
    pub container: Option<Arc<ContainerCgroup>>,
}

/// What a walk changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refresh {
    /// Cgroups that were not known before.
    pub added: usize,
    /// Cgroups that were known and are gone.
    pub removed: usize,
}

#[derive(Debug)]
struct Entry {
    path: Box<str>,
    container: Option<Arc<ContainerCgroup>>,
}

/// Cgroups of the unified hierarchy; of v1's memory hierarchy where there is no unified one, and
/// its containers also where the unified hierarchy does not have them.
#[derive(Debug)]
pub struct CgroupTree {
    primary: Hierarchy,
    primary_root: PathBuf,
    memory_v1: Option<PathBuf>,
    entries: FxHashMap<u64, Entry>,
    ids: FxHashMap<Box<str>, u64>,
    containers: FxHashMap<String, Arc<ContainerCgroup>>,
    over_limit_total: u64,
}

impl CgroupTree {
    /// Finds the hierarchies below the folder of the cgroup mounts and walks them.
    ///
    /// # Errors
    /// When neither a unified nor a memory hierarchy is mounted there, or it cannot be listed.
    pub fn discover(paths: &Paths) -> Result<Self, Error> {
        let root = &paths.cgroup;
        let unified = [root.clone(), root.join("unified")]
            .into_iter()
            .find(|path| path.join("cgroup.controllers").exists());
        let memory_v1 = Some(root.join("memory")).filter(|path| path.join("tasks").exists());
        let (primary, primary_root, memory_v1) = match (unified, memory_v1) {
            (Some(unified), memory) => (Hierarchy::Unified, unified, memory),
            (None, Some(memory)) => (Hierarchy::MemoryV1, memory, None),
            (None, None) => {
                return Err(Error::Unavailable {
                    what: "the cgroup tree",
                    reason: format!(
                        "neither cgroup v2 nor the memory controller of v1 is mounted below {}; \
                         in a container, mount the host's /sys/fs/cgroup there",
                        root.display()
                    ),
                });
            }
        };
        let mut tree = Self {
            primary,
            primary_root,
            memory_v1,
            entries: FxHashMap::default(),
            ids: FxHashMap::default(),
            containers: FxHashMap::default(),
            over_limit_total: 0,
        };
        tree.refresh()?;
        Ok(tree)
    }

    /// Walks the hierarchies again and takes over what changed: after a loss of events, or
    /// periodically where there are none.
    ///
    /// # Errors
    /// When the root of the hierarchy cannot be listed; then nothing is changed.
    pub fn refresh(&mut self) -> Result<Refresh, Error> {
        let found = walk(&self.primary_root)?;
        let mut refresh = Refresh::default();
        let present: FxHashSet<u64> = found.iter().map(|(id, _)| *id).collect();
        let gone: Vec<u64> = self
            .entries
            .keys()
            .copied()
            .filter(|id| !present.contains(id))
            .collect();
        for id in gone {
            self.removed(id);
            refresh.removed += 1;
        }
        for (id, path) in found {
            if !self.entries.contains_key(&id) {
                refresh.added += 1;
            }
            self.created(id, &path);
        }
        self.refresh_memory_v1();
        Ok(refresh)
    }

    /// Takes over a cgroup that the kernel made. Returns the container if this is its own cgroup.
    pub fn created(&mut self, cgroup_id: u64, path: &str) -> Option<Arc<ContainerCgroup>> {
        if let Some(known) = self.entries.get(&cgroup_id) {
            if &*known.path == path {
                return None;
            }
            self.removed(cgroup_id);
        }
        if self.entries.len() >= CGROUPS_MAX {
            self.over_limit_total += 1;
            return None;
        }
        // A path can be made again before its removal was told: the newest id is its own.
        if let Some(stale) = self.ids.get(path).copied() {
            self.removed(stale);
        }
        let (container, is_own) = self.container_for(cgroup_id, path);
        self.ids.insert(path.into(), cgroup_id);
        self.entries.insert(
            cgroup_id,
            Entry {
                path: path.into(),
                container: container.clone(),
            },
        );
        container.filter(|_| is_own)
    }

    /// Forgets a cgroup that the kernel removed. Returns the container if this was its own cgroup.
    pub fn removed(&mut self, cgroup_id: u64) -> Option<Arc<ContainerCgroup>> {
        let entry = self.entries.remove(&cgroup_id)?;
        self.ids.remove(&entry.path);
        let container = entry.container?;
        if container.cgroup_id != cgroup_id {
            return None;
        }
        self.containers.remove(&container.id);
        Some(container)
    }

    /// Path of a cgroup within its hierarchy ("/" for the root).
    #[must_use]
    pub fn path(&self, cgroup_id: u64) -> Option<&str> {
        self.entries.get(&cgroup_id).map(|entry| &*entry.path)
    }

    /// Id of the cgroup with this path.
    #[must_use]
    pub fn id(&self, path: &str) -> Option<u64> {
        self.ids.get(path).copied()
    }

    /// The container that a cgroup belongs to, itself or by one above it.
    #[must_use]
    pub fn container(&self, cgroup_id: u64) -> Option<&Arc<ContainerCgroup>> {
        self.entries.get(&cgroup_id)?.container.as_ref()
    }

    /// The container with this id.
    #[must_use]
    pub fn container_by_id(&self, id: &str) -> Option<&Arc<ContainerCgroup>> {
        self.containers.get(id)
    }

    /// Every container that has a cgroup.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<ContainerCgroup>> {
        self.containers.values()
    }

    /// What a process belongs to, by the content of its `/proc/PID/cgroup`.
    #[must_use]
    pub fn membership(&self, proc_cgroup: &str) -> Membership {
        let (unified, memory) = paths_of(proc_cgroup);
        let primary = match self.primary {
            Hierarchy::Unified => unified,
            Hierarchy::MemoryV1 => memory,
        };
        let cgroup_id = primary.and_then(|path| self.lookup_id(path)).unwrap_or(0);
        let by_primary = self.container(cgroup_id).cloned();
        let container = by_primary
            .or_else(|| self.container_named_by(self.primary, primary?))
            .or_else(|| {
                self.memory_v1.as_ref()?;
                self.container_named_by(Hierarchy::MemoryV1, memory?)
            });
        let only_in_v1 = container.as_ref().filter(|container| {
            container.hierarchy == Hierarchy::MemoryV1 && self.primary == Hierarchy::Unified
        });
        Membership {
            cgroup_id: only_in_v1.map_or(cgroup_id, |container| container.cgroup_id),
            container,
        }
    }

    /// The hierarchy that ids of [`created`](Self::created) and [`container`](Self::container) are of.
    #[must_use]
    pub fn primary(&self) -> Hierarchy {
        self.primary
    }

    /// Cgroups known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no cgroup is known; never so after a walk, which finds the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Cgroups that can be known at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        CGROUPS_MAX
    }

    /// Cgroups that were not taken over because of that bound.
    #[must_use]
    pub fn over_limit_total(&self) -> u64 {
        self.over_limit_total
    }

    /// How containers are told from their cgroups here.
    #[must_use]
    pub fn capability(&self) -> Capability {
        let provider = match (self.primary, &self.memory_v1) {
            (Hierarchy::Unified, None) => "cgroup v2",
            (Hierarchy::Unified, Some(_)) => "cgroup v2 beside v1 (hybrid)",
            (Hierarchy::MemoryV1, _) => "cgroup v1 (memory)",
        };
        Capability {
            name: "containers-by-cgroup".to_owned(),
            available: true,
            provider: provider.to_owned(),
            reason: String::new(),
        }
    }

    /// By path; asks the file system for a cgroup that no event or walk has told of yet.
    fn lookup_id(&self, path: &str) -> Option<u64> {
        self.id(path)
            .or_else(|| inode(&self.primary_root, path).ok())
    }

    /// The container that a path names, also when it is not in the tree yet.
    fn container_named_by(&self, hierarchy: Hierarchy, path: &str) -> Option<Arc<ContainerCgroup>> {
        let named = container_of_path(path)?;
        if let Some(known) = self.containers.get(named.id) {
            return Some(Arc::clone(known));
        }
        let root = match hierarchy {
            Hierarchy::MemoryV1 => self.memory_v1.as_ref().unwrap_or(&self.primary_root),
            Hierarchy::Unified => &self.primary_root,
        };
        Some(Arc::new(ContainerCgroup {
            id: named.id.to_owned(),
            runtime: named.runtime,
            cgroup_id: inode(root, named.path).ok()?,
            path: named.path.to_owned(),
            hierarchy,
        }))
    }

    /// The container of a new cgroup, and whether the cgroup is the container's own.
    fn container_for(
        &mut self,
        cgroup_id: u64,
        path: &str,
    ) -> (Option<Arc<ContainerCgroup>>, bool) {
        let Some(named) = container_of_path(path) else {
            return (None, false);
        };
        if named.path != path {
            let known = self
                .id(named.path)
                .and_then(|id| self.container(id))
                .cloned();
            let container = known.or_else(|| self.container_named_by(self.primary, path));
            return (container, false);
        }
        let container = Arc::new(ContainerCgroup {
            id: named.id.to_owned(),
            runtime: named.runtime,
            cgroup_id,
            path: path.to_owned(),
            hierarchy: self.primary,
        });
        self.containers
            .insert(container.id.clone(), Arc::clone(&container));
        (Some(container), true)
    }

    /// Containers that only the memory hierarchy of v1 has.
    fn refresh_memory_v1(&mut self) {
        let Some(root) = &self.memory_v1 else { return };
        // Without this hierarchy the map lacks some containers; with an error, too, until the next.
        let found = walk(root).unwrap_or_default();
        self.containers
            .retain(|_, container| container.hierarchy == Hierarchy::Unified);
        for (cgroup_id, path) in found {
            let Some(named) = container_of_path(&path).filter(|named| named.path == path) else {
                continue;
            };
            if self.containers.len() < CGROUPS_MAX && !self.containers.contains_key(named.id) {
                let container = ContainerCgroup {
                    id: named.id.to_owned(),
                    runtime: named.runtime,
                    cgroup_id,
                    path: path.clone(),
                    hierarchy: Hierarchy::MemoryV1,
                };
                self.containers
                    .insert(container.id.clone(), Arc::new(container));
            }
        }
    }
}

/// The paths in the unified and in the memory hierarchy out of `/proc/PID/cgroup`, whose lines are
/// `ID:CONTROLLERS:PATH` (cgroups(7)).
fn paths_of(proc_cgroup: &str) -> (Option<&str>, Option<&str>) {
    let mut unified = None;
    let mut memory = None;
    for line in proc_cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !path.starts_with('/') {
            continue;
        }
        // The kernel marks the cgroup of a dying process so.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        if id == "0" && controllers.is_empty() {
            unified = Some(path);
        } else if controllers.split(',').any(|name| name == "memory") {
            memory = Some(path);
        }
    }
    (unified, memory)
}

fn inode(root: &Path, path: &str) -> std::io::Result<u64> {
    Ok(fs::metadata(root.join(path.trim_start_matches('/')))?.ino())
}

/// Every cgroup below `root` with its path, parents first. One that is removed meanwhile is left out.
fn walk(root: &Path) -> Result<Vec<(u64, String)>, Error> {
    let root_id = fs::metadata(root)
        .map_err(|error| Error::read(root, error))?
        .ino();
    let mut found = vec![(root_id, "/".to_owned())];
    let mut folders = vec![(root.to_path_buf(), String::new(), 0)];
    while let Some((folder, path, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(Error::read(root, error)),
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || found.len() >= CGROUPS_MAX {
                continue;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            found.push((metadata.ino(), path.clone()));
            if depth < DEPTH_MAX {
                folders.push((entry.path(), path, depth + 1));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
