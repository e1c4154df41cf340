//! Which machine, kernel and commit a figure belongs to.

use std::process::Command;

/// The commit of the working tree, or "unknown" outside of one.
pub fn commit() -> String {
    Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Kernel release.
pub fn kernel() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// Processor, cores, memory, operating system.
pub fn describe() -> String {
    let cpu =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory_kib: u64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let system = field("/etc/os-release", "PRETTY_NAME").unwrap_or_default();
    format!(
        "{} x {cpu}, {} GiB, {}",
        cpus(),
        memory_kib.div_ceil(1 << 20),
        system.trim_matches('"')
    )
}

/// Logical CPUs.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The first value of `key` in a file of `key : value` or `key=value` lines.
fn field(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .trim_start()
            .strip_prefix([':', '='])
            .map(|value| value.trim().to_owned())
    })
}
