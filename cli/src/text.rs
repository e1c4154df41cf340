//! Times, sizes, addresses and names as people read them.

use std::time::{Duration, UNIX_EPOCH};

use mesoscope_proto::v1::{Container, Endpoint, Process, ProcessExit};

/// Digits of a container's id that are enough to tell it.
const SHORT_ID: usize = 12;

/// A point in time as RFC 3339 in UTC with milliseconds; empty for 0, which means "not known".
pub fn time(unix_ns: u64) -> String {
    if unix_ns == 0 {
        return String::new();
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

/// The time of day in UTC with milliseconds; empty for 0.
pub fn time_of_day(unix_ns: u64) -> String {
    let text = time(unix_ns);
    // 2026-01-02T03:04:05.678Z
    text.split_once('T')
        .map(|(_, time)| time.trim_end_matches('Z').to_owned())
        .unwrap_or_default()
}

/// Bytes with a decimal unit.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let value = count as f64;
    if count < 1000 {
        format!("{count} B")
    } else {
        scaled(value)
    }
}

/// Bytes a second with a decimal unit.
pub fn rate(bytes_per_s: f64) -> String {
    if bytes_per_s < 1000.0 {
        format!("{bytes_per_s:.0} B/s")
    } else {
        format!("{}/s", scaled(bytes_per_s))
    }
}

fn scaled(mut value: f64) -> String {
    for unit in ["B", "kB", "MB", "GB", "TB", "PB"] {
        if value < 999.5 {
            return if value < 9.95 {
                format!("{value:.1} {unit}")
            } else {
                format!("{value:.0} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.0} EB")
}

/// A length of time in its best unit.
pub fn duration(ns: u64) -> String {
    let time = Duration::from_nanos(ns);
    match time.as_secs() {
        0 if ns < 1_000_000 => format!("{} µs", ns / 1000),
        0 if ns < 10_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        0 => format!("{} ms", time.as_millis()),
        1..=59 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// "10.0.0.1:80", "[::1]:80"; "?" when it is not known.
pub fn endpoint(endpoint: Option<&Endpoint>) -> String {
    endpoint
        .and_then(Endpoint::socket_addr)
        .map_or_else(|| "?".to_owned(), |address| address.to_string())
}

/// The command line, or the name where there is none (kernel threads); safe to print.
pub fn command(process: &Process) -> String {
    if process.argv.is_empty() {
        return printable(&format!("[{}]", process.name));
    }
    let mut text = process.argv.join(" ");
    if process.argv_truncated {
        text.push('…');
    }
    printable(&text)
}

/// The program's name as its first argument gives it: the task's own name is cut at 15 bytes, and is
/// "exe" for what runs itself again (busybox, runc).
pub fn program(process: &Process) -> String {
    let first = process.argv.first().map_or("", String::as_str);
    // "nginx: worker process", "-bash" (a login shell)
    let title = first.split([' ', ':']).next().unwrap_or("");
    let file = title
        .rsplit('/')
        .next()
        .unwrap_or("")
        .trim_start_matches('-');
    printable(if file.is_empty() { &process.name } else { file })
}

/// The container's name, else the beginning of its id.
pub fn container(container: Option<&Container>, id: &str) -> String {
    match container {
        Some(container) if !container.name.is_empty() => printable(&container.name),
        Some(container) => short_id(&container.id),
        None => short_id(id),
    }
}

/// The first digits of a container's id.
pub fn short_id(id: &str) -> String {
    printable(&id.chars().take(SHORT_ID).collect::<String>())
}

/// How a process ended.
pub fn exit(exit: &ProcessExit) -> String {
    if exit.inferred {
        return "gone, its end was not seen".to_owned();
    }
    match (exit.signal, exit.oom) {
        (0, _) => format!("code {}", exit.code),
        (_, true) => "killed for want of memory".to_owned(),
        (signal, false) => format!("killed by {}", signal_name(signal)),
    }
}

/// "SIGKILL"; numbers beyond the classic ones are real-time signals.
pub fn signal_name(signal: u32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    usize::try_from(signal)
        .ok()
        .and_then(|number| NAMES.get(number.checked_sub(1)?))
        .map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}"))
}

/// "Connection refused".
pub fn errno(number: u32) -> String {
    let Ok(number) = i32::try_from(number) else {
        return format!("error {number}");
    };
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// `text` cut to `width` characters.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `text` cut or padded to exactly `width` characters.
pub fn fit(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

/// Names and arguments come from strangers: nothing of them may steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_directional(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Marks that reorder what stands around them.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(12_345_678), "12 MB");
        assert_eq!(rate(0.4), "0 B/s");
        assert_eq!(rate(2_500.0), "2.5 kB/s");
        assert_eq!(duration(12_345), "12 µs");
        assert_eq!(duration(1_234_567), "1.2 ms");
        assert_eq!(duration(120_000_000), "120 ms");
        assert_eq!(duration(90_000_000_000), "1 min 30 s");
        assert_eq!(duration(90_061_000_000_000), "1 d 1 h");
    }

    #[test]
    fn times_are_utc_and_empty_when_not_known() {
        assert_eq!(time(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123Z");
        assert_eq!(time_of_day(1_700_000_000_123_456_789), "22:13:20.123");
        assert_eq!(time(0), "");
        assert_eq!(time_of_day(0), "");
    }

    #[test]
    fn ends_of_processes_and_errors_are_words() {
        let mut end = ProcessExit {
            code: 3,
            ..ProcessExit::default()
        };
        assert_eq!(exit(&end), "code 3");
        end.signal = 9;
        assert_eq!(exit(&end), "killed by SIGKILL");
        end.oom = true;
        assert_eq!(exit(&end), "killed for want of memory");
        assert_eq!(signal_name(31), "SIGSYS");
        assert_eq!(signal_name(34), "signal 34");
        assert_eq!(errno(111), "Connection refused");
        assert_eq!(errno(u32::MAX), "error 4294967295");
    }

    #[test]
    fn a_program_is_named_in_full() {
        let process = |name: &str, argv: &[&str]| Process {
            name: name.into(),
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            ..Process::default()
        };
        assert_eq!(
            program(&process(
                "mesoscope-aggre",
                &["/usr/bin/mesoscope-aggregator", "-v"]
            )),
            "mesoscope-aggregator"
        );
        assert_eq!(
            program(&process("nginx", &["nginx: worker process"])),
            "nginx"
        );
        assert_eq!(program(&process("exe", &["/bin/wget", "x"])), "wget");
        assert_eq!(program(&process("bash", &["-bash"])), "bash");
        assert_eq!(program(&process("kswapd0", &[])), "kswapd0");
        assert_eq!(command(&process("kswapd0", &[])), "[kswapd0]");
    }

    #[test]
    fn texts_are_cut_and_padded_by_characters() {
        assert_eq!(fit("äöü", 5), "äöü  ");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(cut("abc", 3), "abc");
    }

    proptest! {
        #[test]
        fn nothing_printed_steers_the_terminal(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(shown.chars().count(), text.chars().count());
        }

        #[test]
        fn every_number_can_be_shown(number in any::<u64>(), float in any::<f64>()) {
            let _ = (bytes(number), duration(number), time(number), time_of_day(number), rate(float));
        }
    }
}
