//! What this machine is.

use mesoscope_proto::v1::Host;

use crate::paths::Paths;

/// What this machine is. What cannot be read is left empty.
#[must_use]
pub fn host(paths: &Paths) -> Host {
    Host {
        network_namespace: host_network_namespace(paths),
        ..Host::default()
    }
}

/// Inode of the host's own network namespace: of its first process, else ours.
#[must_use]
pub fn host_network_namespace(paths: &Paths) -> u64 {
    let link = std::fs::read_link(paths.proc.join("1/ns/net"))
        .or_else(|_| std::fs::read_link(paths.proc.join("self/ns/net")));
    link.map_or(0, |link| crate::processes::namespace_inode(&link))
}
