//! `/proc/PID/stat`, without allocating.
//!
//! Source: proc_pid_stat(5) and `fs/proc/array.c`.

use mesoscope_capture::event::ProcessId;

use crate::text::number;
use crate::time::TICK_NS;

/// Flag of a kernel thread (`PF_KTHREAD`, `include/linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The fields of `/proc/PID/stat` that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 1.
    pub pid: u32,
    /// Field 2 without its parentheses; any bytes but NUL, 15 at most for programs.
    pub comm: &'a [u8],
    /// Field 3, as its letter.
    pub state: u8,
    /// Field 4; 0 for the first process and for children of another namespace's processes.
    pub parent_pid: u32,
    /// A thread of the kernel, by field 9.
    pub kernel_thread: bool,
    /// Fields 14 + 15: ticks (10 ms) in user and kernel mode.
    pub cpu_ticks: u64,
    /// Field 20.
    pub threads: u32,
    /// Field 22: ticks (10 ms) from boot to the start.
    pub start_ticks: u64,
    /// Field 23.
    pub virtual_bytes: u64,
    /// Field 24; the kernel's cheap count, a few pages off for processes with many threads.
    pub rss_pages: u64,
}

impl<'a> Stat<'a> {
    /// Parses the file's content. `None` when it does not have the documented form.
    #[must_use]
    pub fn parse(content: &'a [u8]) -> Option<Self> {
        let open = content.iter().position(|&byte| byte == b'(')?;
        // The name may itself hold parentheses, blanks and line ends: the last one closes it.
        let close = content.iter().rposition(|&byte| byte == b')')?;
        let comm = content.get(open + 1..close)?;
        let pid = number(content.get(..open)?.trim_ascii())?;
        let mut fields = content
            .get(close + 1..)?
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        let [state] = *fields.next()? else {
            return None;
        };
        let parent_pid = number(fields.next()?)?;
        let flags = number(fields.nth(4)?)?;
        let user_ticks = number(fields.nth(4)?)?;
        let system_ticks = number(fields.next()?)?;
        let threads = number(fields.nth(4)?)?;
        let start_ticks = number(fields.nth(1)?)?;
        let virtual_bytes = number(fields.next()?)?;
        let rss_pages = number(fields.next()?)?;
        Some(Self {
            pid: u32::try_from(pid).ok()?,
            comm,
            state,
            parent_pid: u32::try_from(parent_pid).ok()?,
            kernel_thread: flags & KERNEL_THREAD != 0,
            cpu_ticks: user_ticks.checked_add(system_ticks)?,
            threads: u32::try_from(threads).ok()?,
            start_ticks,
            virtual_bytes,
            rss_pages,
        })
    }

    /// The process' identity.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        ProcessId {
            pid: self.pid,
            start_boottime_ns: self.start_ticks.saturating_mul(TICK_NS),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SYSTEMD: &[u8] = b"1 (systemd) S 0 1 1 0 -1 4194560 25318 1233 89 31 12 34 5 6 20 0 1 0 \
        42 172429312 3202 18446744073709551615 1 1 0 0 0 0 671173123 4096 1260 0 0 0 17 1 0 0 0 0 0\n";

    #[test]
    fn a_real_line() {
        let stat = Stat::parse(SYSTEMD).expect("a line of a real kernel");
        assert_eq!(stat.pid, 1);
        assert_eq!(stat.comm, b"systemd");
        assert_eq!(stat.state, b'S');
        assert_eq!(stat.parent_pid, 0);
        assert!(!stat.kernel_thread);
        assert_eq!(stat.cpu_ticks, 46);
        assert_eq!(stat.threads, 1);
        assert_eq!(stat.id().start_boottime_ns, 420_000_000);
        assert_eq!(stat.virtual_bytes, 172_429_312);
        assert_eq!(stat.rss_pages, 3202);
    }

    #[test]
    fn truncated_anywhere_is_refused() {
        let rss_end = SYSTEMD
            .windows(5)
            .position(|window| window == b"3202 ")
            .expect("in the line");
        for length in 0..rss_end {
            assert_eq!(Stat::parse(&SYSTEMD[..length]), None, "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn any_name_and_numbers_are_read_back(
            pid in any::<u32>(),
            comm in proptest::collection::vec(1_u8.., 0..16),
            parent in any::<u32>(),
            kernel in any::<bool>(),
            ticks in 0..u64::MAX / 2,
            threads in any::<u32>(),
            start in any::<u64>(),
            vsize in any::<u64>(),
            rss in any::<u64>(),
        ) {
            let flags = if kernel { KERNEL_THREAD | 0x40 } else { 0x40 };
            let mut line = format!("{pid} (").into_bytes();
            line.extend(&comm);
            line.extend(format!(
                ") R {parent} 1 1 0 -1 {flags} 1 2 3 4 {ticks} 7 5 6 20 -5 {threads} 0 {start} {vsize} {rss} 99\n"
            ).bytes());
            let stat = Stat::parse(&line).expect("well formed");
            prop_assert_eq!(stat, Stat {
                pid, comm: &comm, state: b'R', parent_pid: parent, kernel_thread: kernel,
                cpu_ticks: ticks + 7, threads, start_ticks: start, virtual_bytes: vsize, rss_pages: rss,
            });
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&bytes);
        }

        #[test]
        fn a_damaged_line_never_panics(at in 0..150_usize, byte in any::<u8>()) {
            let mut line = SYSTEMD.to_vec();
            line[at] = byte;
            let _ = Stat::parse(&line);
        }
    }
}
