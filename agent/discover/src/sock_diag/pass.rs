//! A pass over the sockets.

use std::io;
use std::path::Path;

use mesoscope_capture::event::{ProcessId, Protocol, Socket as SocketState};
use mesoscope_proto::v1::Capability;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::message::{DUMPS, Description, request};
use super::owners::{Owners, network_namespaces};
use crate::error::Error;
use crate::namespace::{self, host_network_namespace};
use crate::netlink::{DATAGRAM_BYTES, dump};
use crate::paths::Paths;

/// Sockets in a pass at most: some 25 MB.
const SOCKETS_MAX: usize = 131_072;
/// Namespaces in a pass at most.
const NAMESPACES_MAX: usize = 1024;

/// One pass over the sockets.
#[derive(Clone, Debug, Default)]
pub struct SocketPass {
    /// TCP and UDP sockets, IPv4 and IPv6; without an owner (pid 0) where no descriptor of a
    /// process that we may see holds it.
    pub sockets: Vec<SocketState>,
    /// Sockets without an owner.
    pub without_owner: usize,
    /// Messages that were not understood.
    pub malformed: usize,
    /// Sockets left out because of the bound.
    pub over_limit: usize,
    /// Namespaces that could not be entered (CAP_SYS_ADMIN), when every one was asked for.
    pub namespaces_refused: usize,
}

/// Reads sockets and finds their owners.
#[derive(Debug)]
pub struct SockDiag {
    paths: Paths,
    every_namespace: bool,
    owners: Owners,
}

impl SockDiag {
    /// Reads the sockets of the host's own network namespace, or of ours where the host's cannot
    /// be entered.
    ///
    /// # Errors
    /// When the kernel does not offer sock_diag.
    pub fn new(paths: &Paths) -> Result<Self, Error> {
        read_namespace(&mut SocketPass::default(), 0, &mut Vec::new())?;
        Ok(Self {
            owners: Owners::new(&paths.proc),
            paths: paths.clone(),
            every_namespace: false,
        })
    }

    /// Reads the sockets of every namespace that has a process. Entering one needs CAP_SYS_ADMIN.
    #[must_use]
    pub fn of_every_namespace(mut self) -> Self {
        self.every_namespace = true;
        self
    }

    /// Every TCP and UDP socket as it is now. Blocks; measure it with `examples/costs.rs`.
    ///
    /// # Errors
    /// When the kernel refuses the dump of the host's own namespace.
    pub fn sockets(&mut self) -> Result<SocketPass, Error> {
        let mut pass = SocketPass::default();
        // What the owners are found by: descriptions and sockets have the same order.
        let mut inodes = Vec::new();
        let host = self.paths.host_network_namespace();
        self.read(&host, &mut pass, &mut inodes)?;
        if self.every_namespace {
            self.read_others(&mut pass, &mut inodes);
        }
        let sought: Vec<_> = pass
            .sockets
            .iter()
            .zip(&inodes)
            .map(|(socket, inode)| (socket.cookie, *inode))
            .collect();
        self.owners.learn(&sought);
        for socket in &mut pass.sockets {
            match self.owners.get(socket.cookie) {
                Some(owner) => {
                    socket.process = owner.process;
                    socket.fd = owner.fd;
                }
                None => pass.without_owner += 1,
            }
        }
        Ok(pass)
    }

    /// Passes that had to list the descriptors of processes, which is what a pass costs most.
    #[must_use]
    pub fn descriptor_scans_total(&self) -> u64 {
        self.owners.scans_total()
    }

    /// Whether this rung is here, and what it lacks.
    #[must_use]
    pub fn capability(&self) -> Capability {
        let others = if self.every_namespace {
            ""
        } else {
            "sockets of the host's network namespace only; "
        };
        Capability {
            name: "socket-snapshot".to_owned(),
            available: true,
            provider: "sock_diag".to_owned(),
            reason: format!(
                "{others}connections that open and close between two passes are not seen: eBPF sees them"
            ),
        }
    }

    fn read(&self, link: &Path, pass: &mut SocketPass, inodes: &mut Vec<u32>) -> Result<(), Error> {
        let inode = host_network_namespace(&self.paths);
        // Without the right to enter the host's, our own is what can be shown.
        if namespace::is_own(link).unwrap_or(true) {
            return read_namespace(pass, inode, inodes);
        }
        let entered = namespace::in_network_namespace(link, || read_namespace(pass, inode, inodes));
        entered.map_err(|source| Error::Netlink {
            doing: "enter the host's network namespace (CAP_SYS_ADMIN)",
            source,
        })?
    }

    fn read_others(&self, pass: &mut SocketPass, inodes: &mut Vec<u32>) {
        let host = host_network_namespace(&self.paths);
        let namespaces = network_namespaces(&self.paths.proc);
        for (inode, link) in namespaces.into_iter().take(NAMESPACES_MAX) {
            if inode == host || inode == 0 {
                continue;
            }
            let read =
                namespace::in_network_namespace(&link, || read_namespace(pass, inode, inodes));
            match read {
                Ok(Ok(())) => {}
                // One that ended meanwhile has no sockets.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(Err(_)) | Err(_) => pass.namespaces_refused += 1,
            }
        }
    }
}

/// Adds the sockets of the namespace that this thread is in.
fn read_namespace(
    pass: &mut SocketPass,
    network_namespace: u64,
    inodes: &mut Vec<u32>,
) -> Result<(), Error> {
    let failed = |source| Error::Netlink {
        doing: "list sockets by sock_diag (are tcp_diag and udp_diag in this kernel?)",
        source,
    };
    let mut netlink = Socket::new(NETLINK_SOCK_DIAG).map_err(failed)?;
    netlink.bind_auto().map_err(failed)?;
    let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
    for (sequence, (family, protocol)) in (1..).zip(DUMPS) {
        let request = request(family, protocol, sequence);
        let dumped = dump(&netlink, &request, sequence, &mut buffer, |message| {
            let Some(found) = Description::parse(message.payload) else {
                pass.malformed += 1;
                return;
            };
            if pass.sockets.len() >= SOCKETS_MAX {
                pass.over_limit += 1;
                return;
            }
            inodes.push(found.inode);
            pass.sockets
                .push(without_owner(&found, protocol, network_namespace));
        });
        match dumped {
            Ok(()) => {}
            // A kernel without IPv6 has no such family.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn without_owner(found: &Description, protocol: Protocol, network_namespace: u64) -> SocketState {
    SocketState {
        cookie: found.cookie,
        protocol,
        tcp_state: found.tcp_state,
        local: found.local,
        remote: found.remote,
        network_namespace,
        process: ProcessId {
            pid: 0,
            start_boottime_ns: 0,
        },
        fd: 0,
        cgroup_id: found.cgroup_id,
        uid: found.uid,
        bytes_sent: found.bytes_sent,
        bytes_received: found.bytes_received,
        rtt_us: found.rtt_us,
        retransmits: found.retransmits,
    }
}
