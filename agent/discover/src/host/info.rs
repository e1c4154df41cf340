//! What this machine is.

use mesoscope_proto::v1::Host;

use super::{disks, gpus, interfaces};
use crate::namespace::host_network_namespace;
use crate::paths::Paths;
use crate::text::read;
use crate::time::boot_unix_ns;

/// What this machine is. What cannot be read is left empty. Takes some milliseconds, and blocks.
#[must_use]
pub fn host(paths: &Paths) -> Host {
    let proc = &paths.proc;
    let machine = rustix::system::uname();
    let cpuinfo = read(&proc.join("cpuinfo"));
    let stat = read(&proc.join("stat"));
    Host {
        hostname: read(&proc.join("sys/kernel/hostname")),
        os: os_name(&read(&paths.in_host_root("/etc/os-release"))),
        kernel: read(&proc.join("sys/kernel/osrelease")),
        architecture: machine.machine().to_string_lossy().into_owned(),
        cpu_model: cpu_model(&cpuinfo)
            .unwrap_or_else(|| read(&paths.sys.join("firmware/devicetree/base/model"))),
        cpu_cores: online_cores(&stat),
        memory_bytes: memory_total(&read(&proc.join("meminfo"))),
        boot_unix_ns: boot_unix_ns(),
        interfaces: interfaces::interfaces(paths),
        disks: disks::disks(paths),
        gpus: gpus::gpus(paths),
        network_namespace: host_network_namespace(paths),
        boot_id: read(&proc.join("sys/kernel/random/boot_id")),
    }
}

/// PRETTY_NAME of os-release(5), without its quotes.
fn os_name(os_release: &str) -> String {
    let value = |key: &str| {
        let mut lines = os_release.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    value("PRETTY_NAME")
        .or_else(|| value("NAME"))
        .map(|name| name.trim_matches(['"', '\'']).to_owned())
        .unwrap_or_default()
}

/// The processor's name; on ARM, where the kernel tells none, its implementer and part.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let value = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let named = ["model name", "cpu model", "cpu", "Hardware"];
    named.iter().find_map(|key| value(key)).or_else(|| {
        let implementer = value("CPU implementer")?;
        Some(format!("ARM {implementer}:{}", value("CPU part")?))
    })
}

/// Lines "cpu0", "cpu1", ... of `/proc/stat`: the online ones, not only those that we may run on.
fn online_cores(stat: &str) -> u32 {
    let cores = stat.lines().filter(|line| {
        line.strip_prefix("cpu")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    u32::try_from(cores.count()).unwrap_or(u32::MAX)
}

fn memory_total(meminfo: &str) -> u64 {
    meminfo_bytes(meminfo, "MemTotal:").unwrap_or(0)
}

/// A value of `/proc/meminfo`, whose unit is KiB.
pub(super) fn meminfo_bytes(meminfo: &str, key: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = value.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_machine_is_known() {
        let host = host(&Paths::default());
        assert!(!host.hostname.is_empty());
        assert!(host.kernel.contains('.'), "{}", host.kernel);
        assert!(!host.os.is_empty());
        assert!(host.cpu_cores > 0);
        assert!(host.memory_bytes > 1 << 26);
        assert!(host.boot_unix_ns > 1_600_000_000_000_000_000);
        assert_eq!(host.boot_id.len(), 36);
        assert_ne!(host.network_namespace, 0);
        let loopback = host
            .interfaces
            .iter()
            .find(|interface| interface.name == "lo");
        let loopback = loopback.expect("every namespace has one");
        assert!(loopback.up);
        assert!(loopback.addresses.contains(&vec![127, 0, 0, 1]));
        let root = host.disks.iter().find(|disk| disk.mount_point == "/");
        assert!(root.expect("a root").capacity_bytes > 1 << 26);
    }

    #[test]
    fn files_of_other_systems() {
        assert_eq!(
            os_name("NAME=Alpine\nPRETTY_NAME=\"Alpine Linux v3.20\""),
            "Alpine Linux v3.20"
        );
        assert_eq!(os_name("NAME='Void'"), "Void");
        assert_eq!(
            cpu_model("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n").as_deref(),
            Some("ARM 0x41:0xd0c")
        );
        assert_eq!(cpu_model(""), None);
        assert_eq!(online_cores("cpu  1 2\ncpu0 1\ncpu7 1\nintr 5\n"), 2);
        assert_eq!(meminfo_bytes("MemTotal:  2 kB\n", "MemTotal:"), Some(2048));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(?s).{0,200}") {
            os_name(&text);
            cpu_model(&text);
            online_cores(&text);
            memory_total(&text);
        }
    }
}
