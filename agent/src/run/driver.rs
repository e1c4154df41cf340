//! The loop: who is heard, and when.

use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use mesoscope_capture::{Capture, Clock, MonoNs, Socket};
use mesoscope_discover::conntrack::{ConntrackEvent, ConntrackWatch, NatFlow};
use mesoscope_discover::containers::Engines;
use mesoscope_discover::cri::CriControl;
use mesoscope_discover::docker::DockerControl;
use mesoscope_discover::names::Names;
use mesoscope_discover::paths::Paths;
use mesoscope_discover::runtime::{RuntimeEvent, Watch};
use mesoscope_proto::v1::{self, AgentMessage, agent_message};
use prost::Message;
use prost::bytes::Bytes;
use rustc_hash::FxHashSet;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::cgroups::SharedTree;
use super::control::{Control, Slots};
use super::duties::Duties;
use super::edges::{self, Edges};
use super::plugins::{self, PluginsLink};
use super::reader::Reader;
use super::runtimes::RuntimeSource;
use super::tier2::Tier2Switch;
use crate::api::metrics::Figures;
use crate::api::uplink::UplinkEvent;
use crate::config::Config;
use crate::core::loss::{Losses, Moment};
use crate::core::node_state::{Flow, FlowEnds, NodeState, SocketsFound};
use crate::core::session::Session;

/// How long the last batches may take at the end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// Changes that are worth a batch before its time.
const PENDING_MANY: usize = 4_096;

/// Which rungs of the ladder the kernel programs give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rungs {
    pub(super) processes: bool,
    pub(super) tcp: bool,
    pub(super) sockets: bool,
    pub(super) cgroups: bool,
}

impl Rungs {
    pub(super) fn of(capabilities: &[mesoscope_capture::Capability]) -> Self {
        let has = |name: &str| {
            capabilities
                .iter()
                .any(|capability| capability.name == name && capability.available)
        };
        Self {
            processes: has("process-events"),
            tcp: has("tcp-events"),
            sockets: has("socket-snapshot"),
            cgroups: has("cgroup-events"),
        }
    }

    /// A pass by sock_diag: our own network namespace only.
    pub(super) fn pass(
        self,
        paths: &Paths,
        started: MonoNs,
        ended: MonoNs,
        sockets: Vec<Socket>,
        adopted: bool,
    ) -> SocketsFound {
        let own = sockets.first().map_or_else(
            || mesoscope_discover::host::host_network_namespace(paths),
            |socket| socket.network_namespace,
        );
        SocketsFound {
            started,
            ended,
            sockets,
            namespaces: Some(FxHashSet::from_iter([own])),
            adopted,
            tells_ends: !self.tcp,
        }
    }
}

/// What the start made.
pub(super) struct Parts {
    pub(super) session: Session,
    pub(super) capture: Option<Capture>,
    pub(super) rungs: Rungs,
    pub(super) state: NodeState,
    pub(super) reader: Reader,
    pub(super) tree: SharedTree,
    pub(super) paths: Paths,
    pub(super) docker: (Watch, RuntimeSource),
    pub(super) cri: (Watch, RuntimeSource),
    pub(super) conntrack: Option<ConntrackWatch>,
    pub(super) names: Option<(Names, mpsc::Receiver<v1::AddressName>)>,
    /// What does not change: how containers are told from their cgroups, conntrack.
    pub(super) fixed: Vec<v1::Capability>,
    /// Events that the start had no room for.
    pub(super) lost: u64,
}

/// Everything that the loop owns.
pub(super) struct Driver {
    pub(super) parts: Parts,
    pub(super) losses: Losses,
    pub(super) clock: Clock,
    pub(super) duties: Duties,
    pub(super) tier2: Tier2Switch,
    batch_interval: Duration,
    pub(super) unified_root: PathBuf,
    /// What operators have under way.
    pub(super) control: Slots,
    pub(super) plugins: Option<PluginsLink>,
    outbound: Option<mpsc::Sender<Bytes>>,
    dump: Option<FxHashSet<Ends>>,
}

type Ends = (
    mesoscope_capture::Protocol,
    std::net::SocketAddr,
    std::net::SocketAddr,
);

/// The ring's descriptor, for readiness only; the capture owns it.
struct Ring(RawFd);

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Driver {
    pub(super) fn new(config: &Config, parts: Parts) -> Self {
        let mut losses = Losses::default();
        let clock = Clock::new();
        let mut parts = parts;
        if parts.lost > 0 {
            let mono_ns = Clock::now_mono_ns();
            let now = Moment {
                mono_ns,
                unix_ns: clock.unix_ns(mono_ns),
            };
            let gap = losses.lost_events(now, parts.lost);
            parts.state.gap(gap);
        }
        Self {
            losses,
            clock,
            duties: Duties::new(config, parts.rungs),
            tier2: Tier2Switch::new(parts.capture.as_ref()),
            batch_interval: config.batch_interval.into(),
            unified_root: edges::unified_root(config),
            control: Slots::default(),
            plugins: None,
            outbound: None,
            dump: None,
            parts,
        }
    }

    /// How containers of this node are controlled; `None` when they are not.
    pub(super) fn control(
        &self,
        config: &Config,
        edges: &Edges,
        target: watch::Receiver<Option<Endpoint>>,
    ) -> Option<Control> {
        if let Some(reason) = config.control_refused() {
            tracing::info!(reason, "containers of this node can not be controlled");
            return None;
        }
        let identity = self.parts.session.identity();
        Some(Control {
            target,
            bearer: edges.bearer.clone(),
            hello: v1::ControlHello {
                agent_id: identity.agent_id.clone(),
                generation: identity.generation,
            },
            engines: Engines {
                docker: DockerControl::new(config.docker_socket.clone()),
                cri: CriControl::new(config.cri_socket.clone()),
            },
            slots: self.control.clone(),
            plugins: self.plugins.as_ref().map(|link| link.plugins.clone()),
        })
    }

    /// Runs until the drain, then tells what is left.
    pub(super) async fn run(
        &mut self,
        mut uplink: mpsc::Receiver<UplinkEvent>,
        mut asked: mpsc::Receiver<oneshot::Sender<Box<Figures>>>,
        drain: &CancellationToken,
    ) {
        self.tell_capabilities();
        let ring = self.parts.capture.as_ref().and_then(|capture| {
            #[expect(
                deprecated,
                reason = "the capture lends its descriptor raw; it outlives this registration"
            )]
            let ring = AsyncFd::with_interest(Ring(capture.as_raw_fd()), Interest::READABLE);
            ring.map_err(
                |error| tracing::warn!(%error, "the ring can't be waited for; its timer goes on"),
            )
            .ok()
        });
        let mut timer = tokio::time::interval(self.batch_interval);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let outbound = self
                .outbound
                .clone()
                .filter(|_| self.parts.session.has_unsent());
            tokio::select! {
                () = drain.cancelled() => break,
                _ = timer.tick() => {
                    self.drain_ring();
                    self.duties();
                    self.flush();
                }
                () = filled(ring.as_ref()) => {
                    self.drain_ring();
                    if self.parts.state.sizes().pending > PENDING_MANY {
                        self.flush();
                    }
                }
                permit = reserve(outbound) => self.send(permit),
                Some(event) = uplink.recv() => self.uplink(event),
                Some((answer, cost)) = self.parts.reader.answers.recv() => self.answered(answer, cost),
                Some(event) = runtime_event(&mut self.parts.docker) => {
                    let Parts { docker, state, .. } = &mut self.parts;
                    docker.1.event(Clock::now_mono_ns(), event, state);
                }
                Some(event) = runtime_event(&mut self.parts.cri) => {
                    let Parts { cri, state, .. } = &mut self.parts;
                    cri.1.event(Clock::now_mono_ns(), event, state);
                }
                Some(event) = conntrack_event(self.parts.conntrack.as_mut()) => self.conntrack(event),
                Some(name) = name(self.parts.names.as_mut()) => self.parts.state.name(name),
                Some(event) = plugins::event(self.plugins.as_mut()) => self.plugin(event),
                Some(answer) = asked.recv() => {
                    // The asker may be gone; that is its business.
                    let _ = answer.send(Box::new(self.figures()));
                }
            }
        }
        self.end(&mut uplink).await;
    }

    /// Reads all events that wait.
    pub(super) fn drain_ring(&mut self) {
        let Parts { capture, state, .. } = &mut self.parts;
        if let Some(capture) = capture {
            capture.drain(&mut |event| state.event(event));
        }
    }

    fn flush(&mut self) {
        let now = Clock::now_mono_ns();
        self.parts
            .session
            .flush(now, self.clock.unix_ns(now), &mut self.parts.state);
        self.pump();
    }

    /// Sends as much as the transport takes now.
    fn pump(&mut self) {
        while self.parts.session.has_unsent() {
            let Some(outbound) = &self.outbound else {
                return;
            };
            let Ok(permit) = outbound.try_reserve() else {
                return;
            };
            let Some(bytes) = self.parts.session.next_to_send() else {
                return;
            };
            permit.send(bytes);
        }
    }

    fn send(&mut self, permit: Option<mpsc::OwnedPermit<Bytes>>) {
        match permit {
            Some(permit) => {
                if let Some(bytes) = self.parts.session.next_to_send() {
                    permit.send(bytes);
                }
            }
            None => self.outbound = None,
        }
    }

    fn uplink(&mut self, event: UplinkEvent) {
        match event {
            UplinkEvent::Connected { outbound, route } => {
                let hello = v1::Hello {
                    moves: route.moves,
                    unreachable: route.unreachable,
                    ..self.hello()
                };
                let hello = AgentMessage {
                    message: Some(agent_message::Message::Hello(hello)),
                };
                // A fresh channel has room.
                if outbound.try_send(hello.encode_to_vec().into()).is_ok() {
                    self.outbound = Some(outbound);
                }
            }
            UplinkEvent::Received(message) => {
                let was_live = self.parts.session.is_live();
                if let Some(configure) = self.parts.session.received(*message) {
                    self.configure(configure);
                }
                if !was_live && self.parts.session.is_live() {
                    tracing::info!("the aggregator is there");
                    self.flush();
                }
                self.pump();
            }
            UplinkEvent::Disconnected => {
                self.outbound = None;
                self.parts.session.disconnected();
            }
        }
    }

    fn hello(&mut self) -> v1::Hello {
        let capabilities = self.capabilities();
        self.parts.session.connected(capabilities)
    }

    fn conntrack(&mut self, event: ConntrackEvent) {
        let now = Clock::now_mono_ns();
        match event {
            ConntrackEvent::Flow(flow) => {
                // The connect() that made a flow is in the ring before conntrack tells.
                if flow.protocol == mesoscope_capture::Protocol::Udp {
                    self.drain_ring();
                }
                if let Some(dump) = &mut self.dump {
                    let original = flow.original;
                    dump.insert((flow.protocol, original.source, original.destination));
                }
                self.parts.state.flow(now, &core_flow(&flow));
            }
            ConntrackEvent::DumpBegins { .. } => self.dump = Some(FxHashSet::default()),
            ConntrackEvent::DumpEnds { complete } => {
                if let Some(dump) = self.dump.take().filter(|_| complete) {
                    self.parts
                        .state
                        .flows_listed(now, &|protocol, source, destination| {
                            dump.contains(&(protocol, source, destination))
                        });
                }
            }
        }
    }

    /// Tells what is left, for as long as the aggregator takes it.
    async fn end(&mut self, uplink: &mut mpsc::Receiver<UplinkEvent>) {
        self.drain_ring();
        self.flush();
        let deadline = tokio::time::Instant::now() + DRAIN_PATIENCE;
        while self.parts.session.is_live() && !self.parts.session.is_drained() {
            match tokio::time::timeout_at(deadline, uplink.recv()).await {
                Ok(Some(event)) => self.uplink(event),
                Ok(None) | Err(_) => break,
            }
        }
        tracing::info!(told = self.parts.session.is_drained(), "ended");
    }
}

fn core_flow(flow: &NatFlow) -> Flow {
    let ends = |tuple: mesoscope_discover::conntrack::Tuple| FlowEnds {
        source: tuple.source,
        destination: tuple.destination,
    };
    Flow {
        protocol: flow.protocol,
        original: ends(flow.original),
        reply: ends(flow.reply),
        bytes_original: flow.bytes_original.unwrap_or(0),
        bytes_reply: flow.bytes_reply.unwrap_or(0),
        destroyed: flow.destroyed,
    }
}

/// Room in the transport; `None` when it is gone. Never ready without one.
async fn reserve(outbound: Option<mpsc::Sender<Bytes>>) -> Option<mpsc::OwnedPermit<Bytes>> {
    match outbound {
        Some(outbound) => outbound.reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}

/// The ring is a quarter full.
async fn filled(ring: Option<&AsyncFd<Ring>>) {
    let Some(ring) = ring else {
        return std::future::pending().await;
    };
    match ring.readable().await {
        Ok(mut ready) => ready.clear_ready(),
        Err(_) => std::future::pending().await,
    }
}

async fn runtime_event((watch, _): &mut (Watch, RuntimeSource)) -> Option<RuntimeEvent> {
    watch.events.recv().await
}

async fn conntrack_event(watch: Option<&mut ConntrackWatch>) -> Option<ConntrackEvent> {
    watch?.events.recv().await
}

async fn name(
    names: Option<&mut (Names, mpsc::Receiver<v1::AddressName>)>,
) -> Option<v1::AddressName> {
    names?.1.recv().await
}
