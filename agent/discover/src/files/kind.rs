//! What a file is, as the kernel tells it.

use mesoscope_proto::v1::{FileEntry, FileKind};
use rustix::fs::{FileType, Statx};

use super::bounds::TARGET_BYTES_MAX;

/// File systems of the kernel's own, whose files are switches and not files: reading some waits for
/// ever, writing to others changes the machine. By `f_type` (`linux/magic.h`).
const KERNEL_FILE_SYSTEMS: [u64; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x1cd1,      // devpts
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
];

/// Whether a file system is one of the kernel's own.
pub(super) fn is_of_the_kernel(file_system: u64) -> bool {
    // On some machines the type is a signed 32-bit number.
    KERNEL_FILE_SYSTEMS.contains(&(file_system & 0xffff_ffff))
}

pub(super) fn kind(mode: u32) -> FileKind {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    }
}

/// A name, and whether it is not quite it.
pub(super) fn text(name: &[u8]) -> (String, bool) {
    match std::str::from_utf8(name) {
        Ok(name) => (name.to_owned(), false),
        Err(_) => (String::from_utf8_lossy(name).into_owned(), true),
    }
}

/// What a link says, cut.
pub(super) fn target(says: &[u8]) -> String {
    let cut = says.get(..TARGET_BYTES_MAX).unwrap_or(says);
    String::from_utf8_lossy(cut).into_owned()
}

pub(super) fn entry(name: &[u8], stat: &Statx, target: String) -> FileEntry {
    let mode = u32::from(stat.stx_mode);
    let kind = kind(mode);
    let (name, name_replaced) = text(name);
    FileEntry {
        name,
        kind: kind.into(),
        size_bytes: if kind == FileKind::File {
            stat.stx_size
        } else {
            0
        },
        mode: mode & 0o7777,
        modified_unix_s: stat.stx_mtime.tv_sec,
        target,
        user_id: stat.stx_uid,
        group_id: stat.stx_gid,
        name_replaced,
    }
}
