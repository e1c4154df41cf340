//! Disks: file systems that hold the host's data.

use std::fs;
use std::path::PathBuf;

use mesoscope_proto::v1::Disk;
use rustc_hash::FxHashSet;
use rustix::fs::statvfs;

use crate::paths::Paths;

/// Disks told at most.
const DISKS_MAX: usize = 256;

/// File systems on local storage. Network ones are left out: asking a server that is away for its
/// capacity blocks for ever.
const LOCAL: [&str; 13] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "vfat",
    "exfat", "ntfs3",
];

/// Every local file system of the host, each once.
pub(super) fn disks(paths: &Paths) -> Vec<Disk> {
    local_mounts(paths)
        .into_iter()
        .map(|mount| {
            let (capacity_bytes, _) = usage(&mount).unwrap_or_default();
            Disk {
                mount_point: mount.point,
                device: mount.device,
                filesystem: mount.filesystem,
                capacity_bytes,
            }
        })
        .collect()
}

/// Bytes in use on all local file systems.
pub(super) fn used_bytes(paths: &Paths) -> u64 {
    let mounts = local_mounts(paths);
    mounts.iter().filter_map(usage).map(|(_, used)| used).sum()
}

#[derive(Debug, PartialEq, Eq)]
struct LocalMount {
    point: String,
    /// Where it can be reached from here.
    reached: PathBuf,
    device: String,
    filesystem: String,
}

fn local_mounts(paths: &Paths) -> Vec<LocalMount> {
    let of_init = fs::read(paths.proc.join("1/mountinfo"));
    let content = of_init.or_else(|_| fs::read(paths.proc.join("self/mountinfo")));
    let content = content.unwrap_or_default();
    let mut mounts = parse(&String::from_utf8_lossy(&content));
    for mount in &mut mounts {
        mount.reached = paths.in_host_root(&mount.point);
    }
    mounts
}

fn usage(mount: &LocalMount) -> Option<(u64, u64)> {
    let stat = statvfs(&mount.reached).ok()?;
    let capacity = stat.f_blocks.checked_mul(stat.f_frsize)?;
    let free = stat.f_bfree.checked_mul(stat.f_frsize)?;
    Some((capacity, capacity.saturating_sub(free)))
}

/// Lines of proc_pid_mountinfo(5): `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE DEVICE
/// OPTIONS`. A device mounted several times is told at its first mount of its own root, which comes
/// before bind mounts of its parts.
fn parse(mountinfo: &str) -> Vec<LocalMount> {
    let mut seen = FxHashSet::default();
    let mut mounts = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let (&[_, _, number, _, point, ..], &[filesystem, device, ..]) =
            (before.as_slice(), after.as_slice())
        else {
            continue;
        };
        // btrfs gives each subvolume a number of its own; the device is what holds the bytes.
        let identity = if filesystem == "btrfs" {
            device
        } else {
            number
        };
        if LOCAL.contains(&filesystem)
            && mounts.len() < DISKS_MAX
            && seen.insert(identity.to_owned())
        {
            mounts.push(LocalMount {
                point: unescape(point),
                reached: PathBuf::new(),
                device: unescape(device),
                filesystem: filesystem.to_owned(),
            });
        }
    }
    mounts
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| {
            byte == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit))
        });
        let value = octal.map(|digits| {
            digits
                .iter()
                .fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'))
        });
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                result.push(value);
                rest = &tail[3..];
            }
            None => {
                result.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&result).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_device_once_and_only_local_ones() {
        let mounts = parse(
            "22 27 0:21 / /proc rw - proc proc rw\n\
             27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
             43 27 254:0 /var/lib/docker /var/lib/docker rw shared:1 - ext4 /dev/vda rw\n\
             50 27 254:1 / /mnt/with\\040blank rw - xfs /dev/vdb rw\n\
             51 27 0:50 / /net rw - nfs4 server:/x rw\n\
             52 27 0:60 /@ /b rw - btrfs /dev/vdc rw\n\
             53 27 0:61 /@home /b/home rw - btrfs /dev/vdc rw\nbad line\n",
        );
        let points: Vec<_> = mounts.iter().map(|mount| mount.point.as_str()).collect();
        assert_eq!(points, ["/", "/mnt/with blank", "/b"]);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~\n]{0,200}") {
            parse(&text);
            unescape(&text);
        }

        #[test]
        fn escapes_are_undone(text in "[a-z \\\\\t]{0,30}") {
            let escaped: String = text
                .chars()
                .map(|c| if c.is_ascii_lowercase() { c.to_string() } else { format!("\\{:03o}", u32::from(c)) })
                .collect();
            prop_assert_eq!(unescape(&escaped), text);
        }
    }
}
