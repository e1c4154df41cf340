//! Holds the sockets: one for events, one for dumps, so that neither fills the other's buffer.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mesoscope_capture::event::Protocol;
use mesoscope_proto::v1::Capability;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::flow::Parsed;
use super::{ConntrackConfig, ConntrackEvent, ConntrackStats, NatFlow, TcpFlows};
use crate::error::Error;
use crate::namespace;
use crate::netlink::{DATAGRAM_BYTES, Malformed, Message, dump, dump_request, messages};

/// `NFNLGRP_CONNTRACK_*` of `include/uapi/linux/netfilter/nfnetlink.h`.
const GROUP_NEW: u32 = 1;
const GROUP_UPDATE: u32 = 2;
const GROUP_DESTROY: u32 = 3;
/// `IPCTNL_MSG_CT_GET` of the conntrack subsystem.
const MESSAGE_GET: u16 = 0x0101;
/// `struct nfgenmsg` with family AF_UNSPEC: every family.
const EVERY_FAMILY: [u8; 4] = [0; 4];
/// Some 5,000 events: what a storm brings while we are kept from reading.
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Events gather for this long before they are read. A descriptor that is waited for would wake the
/// agent for each of them, also for those of TCP that are not told: a third of what it costs on a node
/// with many short connections. The buffer holds what a storm brings meanwhile.
const GATHER: Duration = Duration::from_millis(100);
/// A storm that overruns us must not make us dump without end.
const PAUSE_AFTER_LOSS: Duration = Duration::from_secs(2);

/// A running watcher. Dropping it ends the watcher.
#[derive(Debug)]
pub struct ConntrackWatch {
    /// Flows, bounded: while the reader is slow, the kernel's buffer fills, and what it loses is
    /// made good by a dump.
    pub events: mpsc::Receiver<ConntrackEvent>,
    /// How it is going.
    pub stats: Arc<ConntrackStats>,
    task: JoinHandle<()>,
}

impl Drop for ConntrackWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches connection tracking: dumps the table, then follows its events.
///
/// # Errors
/// When the kernel has no connection tracking or does not let us watch it (CAP_NET_ADMIN).
///
/// # Panics
/// Outside of a tokio runtime.
pub fn watch(config: &ConntrackConfig) -> Result<ConntrackWatch, Error> {
    let (events, dumps) = in_namespace(config, || {
        let mut events = Socket::new(NETLINK_NETFILTER)?;
        events.set_non_blocking(true)?;
        subscribe(&mut events, config.updates)?;
        let mut dumps = Socket::new(NETLINK_NETFILTER)?;
        dumps.bind_auto()?;
        Ok((events, dumps))
    })?;
    let (sender, receiver) = mpsc::channel(config.channel_capacity.max(1));
    let stats = Arc::new(ConntrackStats::default());
    let watcher = Watcher {
        config: config.clone(),
        sender,
        stats: Arc::clone(&stats),
        dumps: Arc::new(dumps),
        dump_sequence: 0,
    };
    Ok(ConntrackWatch {
        events: receiver,
        stats,
        task: tokio::spawn(watcher.run(events)),
    })
}

/// Whether the connection tracking that `config` names can be watched, and if not, why.
#[must_use]
pub fn capability(config: &ConntrackConfig, proc_root: &Path) -> Capability {
    let opened = in_namespace(config, || {
        subscribe(&mut Socket::new(NETLINK_NETFILTER)?, config.updates)
    });
    let accounting = fs::read_to_string(proc_root.join("sys/net/netfilter/nf_conntrack_acct"));
    let counts_bytes = accounting.is_ok_and(|value| value.trim() == "1");
    Capability {
        name: "conntrack".to_owned(),
        available: opened.is_ok(),
        provider: "nfnetlink".to_owned(),
        reason: match opened {
            Err(error) => error.to_string(),
            Ok(_) if counts_bytes => String::new(),
            Ok(_) => "bytes of UDP flows are not counted: sysctl -w \
                      net.netfilter.nf_conntrack_acct=1 counts those of flows that begin after it"
                .to_owned(),
        },
    }
}

/// Runs `open` in the namespace to be watched.
fn in_namespace<T: Send>(
    config: &ConntrackConfig,
    open: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T, Error> {
    let entered = match &config.network_namespace {
        None => Ok(open()),
        Some(link) => match namespace::is_own(link) {
            Ok(true) => Ok(open()),
            Ok(false) => namespace::in_network_namespace(link, open),
            Err(error) => Err(error),
        },
    };
    let opened = entered.map_err(|source| Error::Netlink {
        doing: "enter the network namespace to be watched (CAP_SYS_ADMIN)",
        source,
    })?;
    opened.map_err(|source| match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::PERM.raw_os_error() => Error::Unavailable {
            what: "connection tracking",
            reason: "the kernel lets only a holder of CAP_NET_ADMIN watch it".to_owned(),
        },
        _ => Error::Netlink {
            doing: "watch connection tracking (is nf_conntrack_netlink in this kernel?)",
            source,
        },
    })
}

fn subscribe(socket: &mut Socket, updates: bool) -> io::Result<()> {
    socket.bind_auto()?;
    set_socket_recv_buffer_size_force(&*socket, RECEIVE_BUFFER_BYTES)?;
    let groups = [GROUP_NEW, GROUP_DESTROY];
    for group in groups.into_iter().chain(updates.then_some(GROUP_UPDATE)) {
        socket.add_membership(group)?;
    }
    Ok(())
}

struct Watcher {
    config: ConntrackConfig,
    sender: mpsc::Sender<ConntrackEvent>,
    stats: Arc<ConntrackStats>,
    dumps: Arc<Socket>,
    dump_sequence: u32,
}

/// The reader is gone: there is nothing more to do.
struct ReaderGone;

enum Pause {
    Interval,
    Loss,
}

impl Watcher {
    async fn run(mut self, events: Socket) {
        let mut after_loss = false;
        loop {
            if self.dump(after_loss).await.is_err() {
                return;
            }
            after_loss = match self.follow(&events).await {
                Ok(Pause::Interval) => false,
                Ok(Pause::Loss) => {
                    count(&self.stats.losses);
                    tokio::time::sleep(PAUSE_AFTER_LOSS).await;
                    true
                }
                Err(ReaderGone) => return,
            };
        }
    }

    /// Tells the whole table. The kernel queues events meanwhile; those it cannot hold are a loss.
    async fn dump(&mut self, after_loss: bool) -> Result<(), ReaderGone> {
        count(&self.stats.dumps);
        self.tell(ConntrackEvent::DumpBegins { after_loss }).await?;
        self.dump_sequence = self.dump_sequence.wrapping_add(1);
        let dumping = Dumping {
            sender: self.sender.clone(),
            stats: Arc::clone(&self.stats),
            tcp: self.config.tcp,
            room: self.config.dump_flows_max,
            complete: true,
        };
        let (socket, sequence) = (Arc::clone(&self.dumps), self.dump_sequence);
        let dumped = tokio::task::spawn_blocking(move || dumping.run(&socket, sequence)).await;
        let complete = match dumped {
            Ok(Ok(complete)) => complete,
            Ok(Err(error)) => {
                count(&self.stats.errors);
                tracing::warn!(%error, "the connection-tracking table could not be dumped");
                false
            }
            // The runtime is shutting down.
            Err(_) => return Err(ReaderGone),
        };
        self.tell(ConntrackEvent::DumpEnds { complete }).await
    }

    /// Tells events until the next dump is due.
    async fn follow(&mut self, events: &Socket) -> Result<Pause, ReaderGone> {
        let interval = self.config.dump_interval;
        let deadline = interval.map(|interval| Instant::now() + interval);
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
        loop {
            tokio::select! {
                () = sleep(GATHER) => {}
                () = self.sender.closed() => return Err(ReaderGone),
            }
            loop {
                buffer.clear();
                match events.recv(&mut buffer, 0) {
                    Ok(_) => self.tell_datagram(&buffer).await?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // ENOBUFS: events were dropped. Any other error says as little of what is missing.
                    Err(_) => return Ok(Pause::Loss),
                }
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Pause::Interval);
            }
        }
    }

    async fn tell_datagram(&mut self, datagram: &[u8]) -> Result<(), ReaderGone> {
        for message in messages(datagram) {
            if let Some(flow) = wanted(message, self.config.tcp, &self.stats) {
                self.tell(ConntrackEvent::Flow(flow)).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, event: ConntrackEvent) -> Result<(), ReaderGone> {
        if matches!(event, ConntrackEvent::Flow(_)) {
            count(&self.stats.told);
        }
        self.sender.send(event).await.map_err(|_| ReaderGone)
    }
}

/// A dump on a thread that may block.
struct Dumping {
    sender: mpsc::Sender<ConntrackEvent>,
    stats: Arc<ConntrackStats>,
    tcp: TcpFlows,
    room: usize,
    complete: bool,
}

impl Dumping {
    /// Whether every flow was told.
    fn run(mut self, socket: &Socket, sequence: u32) -> io::Result<bool> {
        let request = dump_request(MESSAGE_GET, sequence, &EVERY_FAMILY);
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
        dump(socket, &request, sequence, &mut buffer, |message| {
            self.take(message);
        })?;
        Ok(self.complete)
    }

    fn take(&mut self, message: Message<'_>) {
        let Some(flow) = wanted(Ok(message), self.tcp, &self.stats) else {
            return;
        };
        if self.room == 0 {
            count(&self.stats.over_limit);
            self.complete = false;
            return;
        }
        self.room -= 1;
        count(&self.stats.told);
        // Without a reader the rest of the dump is read and thrown away.
        if self
            .sender
            .blocking_send(ConntrackEvent::Flow(flow))
            .is_err()
        {
            self.room = 0;
        }
    }
}

/// The flow of a message, if it is one that is told.
fn wanted(
    message: Result<Message<'_>, Malformed>,
    tcp: TcpFlows,
    stats: &ConntrackStats,
) -> Option<NatFlow> {
    count(&stats.received);
    let parsed = message.map_or(Parsed::Malformed, |message| {
        NatFlow::parse(message.kind, message.payload)
    });
    match parsed {
        Parsed::Flow(flow) => {
            let told =
                flow.protocol == Protocol::Udp || tcp == TcpFlows::All || flow.is_translated();
            told.then_some(flow)
        }
        Parsed::Other => None,
        Parsed::Malformed => {
            count(&stats.malformed);
            None
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
