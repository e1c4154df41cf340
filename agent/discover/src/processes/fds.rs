//! How many file descriptors a process has.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, statat};

/// How this kernel tells the number of a process' descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FdCounting {
    /// The size of `/proc/PID/fd` is the number (Linux 6.2 and later): one call.
    BySize,
    /// The folder has to be listed: its cost grows with the number.
    ByListing,
}

impl FdCounting {
    /// Asks the kernel about ourselves: we have descriptors, so a size of zero means an older kernel.
    pub(super) fn probe(proc_root: BorrowedFd<'_>) -> Self {
        match statat(proc_root, "self/fd", AtFlags::empty()) {
            Ok(stat) if stat.st_size > 0 => Self::BySize,
            _ => Self::ByListing,
        }
    }
}

/// The size of a `fd` folder, where that is the number of descriptors.
pub(super) fn by_size(proc_root: BorrowedFd<'_>, path: &[u8]) -> io::Result<u32> {
    let stat = statat(proc_root, path, AtFlags::empty())?;
    Ok(u32::try_from(stat.st_size).unwrap_or(0))
}

/// Lists a `fd` folder and stops at `limit` entries. Returns what was counted.
pub(super) fn by_listing(proc_root: BorrowedFd<'_>, path: &[u8], limit: u32) -> io::Result<u32> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(proc_root, path, flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut count = 0;
    while count < limit {
        let Some(entry) = entries.next() else { break };
        if !entry?.file_name().to_bytes().starts_with(b".") {
            count += 1;
        }
    }
    Ok(count)
}
