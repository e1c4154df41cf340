//! The text of cgroup files, without allocating.
//!
//! Source: the kernel's `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`.

use crate::text::number;

/// The number of a file that holds only one.
pub(super) fn single(content: &[u8]) -> Option<u64> {
    number(content.trim_ascii())
}

/// The value of `key` in a flat keyed file: lines of `KEY VALUE`.
pub(super) fn flat(content: &[u8], key: &str) -> Option<u64> {
    content.split(|&byte| byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?;
        number(value.trim_ascii())
    })
}

/// Major numbers of block devices that pass their requests on to others, which count them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StackedDevices(Vec<u64>);

impl StackedDevices {
    /// Out of `/proc/devices`, whose second part lists `MAJOR NAME` of block devices.
    pub(super) fn parse(devices: &str) -> Self {
        let block = devices.split("Block devices:").nth(1).unwrap_or("");
        let majors = block.lines().filter_map(|line| {
            let (major, name) = line.trim().split_once(' ')?;
            let stacked = ["device-mapper", "md", "mdp", "loop", "zram", "bcache"];
            stacked.contains(&name).then(|| major.parse().ok())?
        });
        Self(majors.take(64).collect())
    }

    fn contains(&self, device: &[u8]) -> bool {
        let major = device.split(|&byte| byte == b':').next().and_then(number);
        major.is_some_and(|major| self.0.contains(&major))
    }
}

/// Bytes read and written by `io.stat` (v2): lines of `MAJOR:MINOR KEY=VALUE...`.
pub(super) fn io_v2(content: &[u8], stacked: &StackedDevices) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for line in content.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ');
        if words.next().is_none_or(|device| stacked.contains(device)) {
            continue;
        }
        for word in words {
            let value = |key: &[u8]| word.strip_prefix(key).and_then(number).unwrap_or(0);
            sums.0 = sums.0.saturating_add(value(b"rbytes="));
            sums.1 = sums.1.saturating_add(value(b"wbytes="));
        }
    }
    sums
}

/// Bytes read and written by `blkio.throttle.io_service_bytes` (v1): lines of `MAJOR:MINOR
/// OPERATION BYTES`.
pub(super) fn io_v1(content: &[u8], stacked: &StackedDevices) -> (u64, u64) {
    let mut sums = (0_u64, 0_u64);
    for line in content.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(device), Some(operation)) = (words.next(), words.next()) else {
            continue;
        };
        let bytes = words.next().and_then(number).unwrap_or(0);
        if stacked.contains(device) {
            continue;
        }
        match operation {
            b"Read" => sums.0 = sums.0.saturating_add(bytes),
            b"Write" => sums.1 = sums.1.saturating_add(bytes),
            _ => {}
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEVICES: &str = "Character devices:\n  1 mem\n253 loop\n\nBlock devices:\n  7 loop\n  8 sd\n\
        253 device-mapper\n254 virtblk\n259 blkext\n";

    #[test]
    fn requests_are_counted_once() {
        let stacked = StackedDevices::parse(DEVICES);
        assert_eq!(stacked, StackedDevices(vec![7, 253]));
        let v2 = b"8:0 rbytes=100 wbytes=7 rios=1 wios=1 dbytes=9 dios=0\n253:0 rbytes=100 wbytes=7\n8:16 \n";
        assert_eq!(io_v2(v2, &stacked), (100, 7));
        let v1 = b"254:0 Read 10\n254:0 Write 20\n254:0 Sync 5\n254:0 Total 35\n253:1 Read 9\nTotal 44\n";
        assert_eq!(io_v1(v1, &stacked), (10, 20));
    }

    #[test]
    fn keys_are_whole_words() {
        let stat = b"nr_periods_x 1\nnr_periods 7\nusage_usec 99\nlast 5";
        assert_eq!(flat(stat, "nr_periods"), Some(7));
        assert_eq!(flat(stat, "usage_usec"), Some(99));
        assert_eq!(flat(stat, "last"), Some(5));
        assert_eq!(flat(stat, "usage"), None);
        assert_eq!(single(b"42\n"), Some(42));
        assert_eq!(single(b"max\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let stacked = StackedDevices::parse(&String::from_utf8_lossy(&bytes));
            single(&bytes);
            flat(&bytes, "x");
            io_v1(&bytes, &stacked);
            io_v2(&bytes, &stacked);
        }

        #[test]
        fn values_come_back(values in proptest::collection::vec(any::<u64>(), 1..20)) {
            let mut text = String::new();
            for (at, value) in values.iter().enumerate() {
                text.push_str(&format!("key{at} {value}\n"));
            }
            for (at, value) in values.iter().enumerate() {
                prop_assert_eq!(flat(text.as_bytes(), &format!("key{at}")), Some(*value));
            }
        }
    }
}
