//! Which process holds a socket: by the links of `/proc/PID/fd`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mesoscope_capture::event::ProcessId;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::namespace::namespace_inode;
use crate::processes::stat::Stat;
use crate::text::number;

/// Who holds a socket, by which descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub process: ProcessId,
    pub fd: u32,
}

/// Owners found so far, by the socket's cookie. Descriptors are listed only while there are sockets
/// whose owner is not known: an owner stays one as long as it lives.
#[derive(Debug)]
pub(super) struct Owners {
    root: PathBuf,
    known: FxHashMap<u64, Owner>,
    /// Sockets that no process was seen to hold, and the pass in which they were looked for.
    not_found: FxHashMap<u64, u64>,
    pass: u64,
    scans_total: u64,
}

/// Passes before a socket without an owner is looked for again: those of processes that we may
/// not see would else cost a scan each time.
const PASSES_BETWEEN_SEARCHES: u64 = 16;

impl Owners {
    pub(super) fn new(proc_root: &Path) -> Self {
        Self {
            root: proc_root.to_path_buf(),
            known: FxHashMap::default(),
            not_found: FxHashMap::default(),
            pass: 0,
            scans_total: 0,
        }
    }

    /// Learns the owners of `sockets` (cookie and inode), and forgets all others.
    pub(super) fn learn(&mut self, sockets: &[(u64, u32)]) {
        let present: FxHashSet<u64> = sockets.iter().map(|(cookie, _)| *cookie).collect();
        self.known.retain(|cookie, _| present.contains(cookie));
        self.pass += 1;
        let pass = self.pass;
        self.not_found.retain(|cookie, searched| {
            present.contains(cookie) && pass - *searched < PASSES_BETWEEN_SEARCHES
        });
        self.forget_ended();
        let unknown: FxHashMap<u32, u64> = sockets
            .iter()
            .filter(|(cookie, inode)| {
                *inode != 0
                    && !self.known.contains_key(cookie)
                    && !self.not_found.contains_key(cookie)
            })
            .map(|(cookie, inode)| (*inode, *cookie))
            .collect();
        if !unknown.is_empty() {
            self.scan(unknown);
        }
    }

    pub(super) fn get(&self, cookie: u64) -> Option<Owner> {
        self.known.get(&cookie).copied()
    }

    /// Passes that had to list descriptors.
    pub(super) fn scans_total(&self) -> u64 {
        self.scans_total
    }

    /// A socket can outlive the process that held it first: a child holds it by then.
    fn forget_ended(&mut self) {
        let mut alive = FxHashMap::default();
        let root = &self.root;
        self.known.retain(|_, owner| {
            *alive.entry(owner.process).or_insert_with(|| {
                identity(&root.join(owner.process.pid.to_string())) == Some(owner.process)
            })
        });
    }

    /// Lists descriptors until every socket sought is found.
    fn scan(&mut self, mut sought: FxHashMap<u32, u64>) {
        self.scans_total += 1;
        let root = self.root.clone();
        for (_, folder) in process_folders(&root) {
            let Ok(entries) = fs::read_dir(folder.join("fd")) else {
                continue;
            };
            let mut process = None;
            for entry in entries.flatten() {
                let Some(inode) = fs::read_link(entry.path())
                    .ok()
                    .and_then(|link| socket_inode(&link))
                else {
                    continue;
                };
                let Some(cookie) = sought.get(&inode).copied() else {
                    continue;
                };
                if process.is_none() {
                    process = identity(&folder);
                }
                let fd = number(entry.file_name().as_bytes()).and_then(|fd| u32::try_from(fd).ok());
                if let (Some(process), Some(fd)) = (process, fd) {
                    sought.remove(&inode);
                    self.known.insert(cookie, Owner { process, fd });
                }
            }
            if sought.is_empty() {
                return;
            }
        }
        let pass = self.pass;
        self.not_found
            .extend(sought.into_values().map(|cookie| (cookie, pass)));
    }
}

/// Network namespaces that have processes: inode, and a link to enter each by.
pub(super) fn network_namespaces(proc_root: &Path) -> FxHashMap<u64, PathBuf> {
    let mut namespaces = FxHashMap::default();
    for (_, folder) in process_folders(proc_root) {
        let link = folder.join("ns/net");
        if let Ok(target) = fs::read_link(&link) {
            namespaces.entry(namespace_inode(&target)).or_insert(link);
        }
    }
    namespaces
}

fn process_folders(root: &Path) -> impl Iterator<Item = (u32, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = u32::try_from(number(entry.file_name().as_bytes())?).ok()?;
        Some((pid, entry.path()))
    })
}

fn identity(folder: &Path) -> Option<ProcessId> {
    let content = fs::read(folder.join("stat")).ok()?;
    Some(Stat::parse(&content)?.id())
}

/// The inode in a descriptor's link such as `socket:[12345]`.
fn socket_inode(link: &Path) -> Option<u32> {
    let digits = link
        .as_os_str()
        .as_bytes()
        .strip_prefix(b"socket:[")?
        .strip_suffix(b"]")?;
    u32::try_from(number(digits)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn inodes_come_back(inode: u32, other in "[a-z:\\[\\]0-9]{0,20}") {
            let link = format!("socket:[{inode}]");
            prop_assert_eq!(socket_inode(Path::new(&link)), Some(inode));
            if !other.starts_with("socket:[") {
                prop_assert_eq!(socket_inode(Path::new(&other)), None);
            }
        }
    }
}
