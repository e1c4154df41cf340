//! What the kernel refuses for want of privilege, in words that say what to do.

use std::fs;

/// What loading and attaching needs: bit and name (include/uapi/linux/capability.h). CAP_SYS_ADMIN
/// stands for the first two on every kernel.
const NEEDED: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];
const SYS_ADMIN: u32 = 21;

/// A reason as it is told: a refusal for want of privilege says which ones lack here.
pub fn explained(reason: String) -> String {
    if !reason.contains("(os error 1)") {
        return reason;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match lacking(&status) {
        lacking if lacking.is_empty() => format!(
            "{reason} (the kernel or its security policy forbids it, although no capability is missing)"
        ),
        lacking => format!(
            "not permitted without {}: run as root or give these capabilities",
            lacking.join(" and ")
        ),
    }
}

/// Names of the capabilities that a process lacks, by its `/proc/PID/status`.
fn lacking(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    let has = |bit: u32| effective & (1 << bit) != 0;
    NEEDED
        .into_iter()
        .filter(|(bit, _)| !(has(*bit) || *bit > 32 && has(SYS_ADMIN)))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        assert_eq!(
            lacking("Name:\tx\nCapEff:\t0000000000000000\n"),
            ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]
        );
        assert_eq!(lacking("CapEff:\t000000c000000000\n"), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking("CapEff:\t0000000000201000\n"), Vec::<&str>::new());
        assert_eq!(
            lacking("garbage"),
            ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]
        );
    }

    #[test]
    fn other_reasons_stay_as_they_are() {
        assert_eq!(explained("no BTF".to_owned()), "no BTF");
    }
}
