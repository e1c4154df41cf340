//! Binds both ports, spawns what runs, and drains it.

mod duties;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mesoscope_access::Audit;
use mesoscope_proto::v1::Incomplete;
use mesoscope_proto::v1::control_server::ControlServer;
use mesoscope_proto::v1::observe_server::ObserveServer;
use mesoscope_proto::v1::peers_server::PeersServer;
use mesoscope_proto::v1::uplink_server::UplinkServer;
use mesoscope_service::http;
use mesoscope_service::listen::{Listener, Posture};
use mesoscope_service::process;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server as GrpcServer;

use duties::{Cleaner, clean, expire_reporters, run_core, sweep_archive, sweep_series};

use crate::api::{self, Api, ObserveService, SignIn};
use crate::archive::Archive;
use crate::config::{Config, Security};
use crate::control::{self, Control, ControlService};
use crate::core::Core;
use crate::ingest::{MESSAGE_BYTES_MAX, Registry, UplinkService};
use crate::labels::Labels;
use crate::members::{self, Membership, PeersService, Sharing};
use crate::metrics::Metrics;
use crate::remote_write::{RemoteWrite, Wanted};
use crate::series::Recorder;
use crate::sign_in;
use crate::store::{self, Filters, Settings};
use crate::views::Views;
use crate::webhooks::{Hook, Webhooks};

/// Connections of the HTTP port.
const HTTP_CONNECTIONS_MAX: usize = 1_024;
/// Connections of the gRPC port: an agent has one for what it reports and one for control.
const GRPC_CONNECTIONS_MAX: usize = 24_000;
/// Files that are open beside connections.
const OTHER_FILES: u64 = 100;
/// Requests of consumers are small.
const OBSERVE_BYTES_MAX: usize = 64 << 10;
/// Who reads the audit at the same time.
const AUDIT_READERS_MAX: usize = 2;
/// Certificates and tokens are read again so often.
const RELOAD_PERIOD: Duration = Duration::from_secs(10);
/// How long connections may take to end once the drain has begun.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// A peer that does not answer a ping for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// An aggregator whose ports are bound.
#[derive(Debug)]
pub struct Server {
    config: Config,
    security: Security,
    webhooks: Vec<Hook>,
    remote_write: Option<Wanted>,
    settings: Arc<Settings>,
    filters: Arc<Filters>,
    sign_in: Arc<SignIn>,
    http: Listener,
    grpc: Listener,
    drain: CancellationToken,
}

/// Opens the settings and the tokens and binds both ports.
///
/// # Errors
/// When the settings or tokens can't be read or a port can't be bound.
pub async fn bind(
    config: &Config,
    security: Security,
    webhooks: Vec<Hook>,
    remote_write: Option<Wanted>,
    drain: CancellationToken,
) -> anyhow::Result<Server> {
    allow_connections();
    let (settings, filters) = store::open(config.data_dir.as_deref())?;
    let sign_in = Arc::new(sign_in::open(config, &security)?);
    let (http_address, grpc_address) = (config.http_address(), config.grpc_address());
    let http = Listener::bind(
        http_address,
        security.http_tls.clone(),
        HTTP_CONNECTIONS_MAX,
    )
    .await
    .with_context(|| format!("can't listen for HTTP on {http_address}"))?;
    let grpc = Listener::bind(
        grpc_address,
        security.grpc_tls.clone(),
        GRPC_CONNECTIONS_MAX,
    )
    .await
    .with_context(|| format!("can't listen for gRPC on {grpc_address}"))?;
    Ok(Server {
        config: config.clone(),
        security,
        webhooks,
        remote_write,
        settings: Arc::new(settings),
        filters: Arc::new(filters),
        sign_in,
        http,
        grpc,
        drain,
    })
}

/// Every connection is an open file.
fn allow_connections() {
    let wanted = (GRPC_CONNECTIONS_MAX + HTTP_CONNECTIONS_MAX) as u64 + OTHER_FILES;
    let allowed = process::open_files_allowed();
    if allowed < wanted {
        tracing::info!(
            allowed,
            wanted,
            "the limit of open files is lower than that of connections: agents, which have two each, \
             may not get in; raise it (LimitNOFILE=, ulimit -n)"
        );
    }
}

impl Server {
    /// Serves until the drain, and a little longer for what is under way.
    ///
    /// # Errors
    /// When a port fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self {
            config,
            security,
            webhooks,
            remote_write,
            settings,
            filters,
            sign_in,
            http,
            grpc,
            drain,
        } = self;
        tracing::info!(
            http = %http.address(),
            grpc = %grpc.address(),
            tls = security.http_tls.is_some(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let metrics = Arc::new(Metrics::new()?);
        metrics
            .insecure_listen
            .set((security.posture == Posture::Insecure).into());
        metrics.settings.kept.set(settings.are_kept().into());
        let core = Core::new(config.limits());
        core.change(|topology, _, _| topology.name_services(config.own_service.clone()));
        let sharing = match &security.peers {
            Some(peers) => Membership::new(core.clone(), peers.own().clone()),
            None => Membership::alone(core.clone()),
        };
        let series = Arc::new(Recorder::new(config.series_limits()));
        let archive = Archive::new(
            config.history_limits(),
            config.limits(),
            core.clone(),
            series.clone(),
        );
        let registry = Registry::new(
            core.clone(),
            metrics.clone(),
            settings.clone(),
            series.clone(),
            sharing,
        );
        let audit = Arc::new(match &config.data_dir {
            Some(folder) => Audit::open(folder, *config.audit_retention),
            None => Audit::in_memory(),
        });
        let webhooks = Webhooks::new(
            webhooks,
            config.webhook_patience(),
            core.clone(),
            registry.members().clone(),
        );
        let banner = banner(&config, security.posture);
        let views = Views::new(core.clone(), metrics.clone(), banner, drain.clone());
        let remote_write =
            remote_write.map(|wanted| RemoteWrite::new(wanted, core.clone(), views.clone()));
        let api = Api {
            core: core.clone(),
            views,
            registry: registry.clone(),
            series: series.clone(),
            archive: archive.clone(),
            settings: settings.clone(),
            filters,
            overviews: Arc::default(),
            dumps: api::Dumps::default(),
            label_filters: config.label_filter.clone().into(),
            links: config.node_link.clone().into(),
            labels: labels_of(&config, &core),
            control: Arc::new(Control::new(registry.hub().clone())),
            terminal_idle: *config.terminal_idle,
            webhooks: webhooks.clone(),
            remote_write: remote_write.clone(),
            metrics: metrics.clone(),
            posture: security.posture,
            tls: security.http_tls.is_some(),
            reporters: security.agents.clone(),
            reports: Api::report_turns(),
            sign_in: sign_in.clone(),
            frames: api::Frames::new(&config.frame_ancestor)?,
            cors_origins: config.cors_origin.clone().into(),
            audit_readers: Arc::new(Semaphore::new(AUDIT_READERS_MAX)),
            audit: audit.clone(),
            hosts_allowed: config.allow_host.clone().into(),
            searches: Arc::default(),
            connections: Arc::new([
                ("http_connections", http.fill()),
                ("grpc_connections", grpc.fill()),
            ]),
            drain: drain.clone(),
        };
        follow_files(&security, &drain);
        let mut tasks = JoinSet::new();
        // Before the ports: it is to see the first agent.
        tasks.spawn(webhooks.run(drain.clone()));
        if let Some(remote_write) = remote_write {
            tasks.spawn(remote_write.run(drain.clone()));
        }
        tasks.spawn(sign_in::follow(sign_in, RELOAD_PERIOD, drain.clone()));
        tasks.spawn(serve_http(http, api.clone(), drain.clone()));
        let uplink = UplinkService::new(registry.clone(), metrics.clone(), drain.clone());
        let sharing = security.peers.clone().map(|dial| Sharing {
            registry: registry.clone(),
            control: api.control.clone(),
            series: series.clone(),
            dial,
        });
        if let Some(sharing) = sharing.clone() {
            registry.members().set(&config.members.list());
            tasks.spawn(members::run(sharing, drain.clone()));
        }
        tasks.spawn(serve_grpc(
            grpc,
            api,
            uplink,
            sharing,
            security,
            drain.clone(),
        ));
        tasks.spawn(run_core(core.clone(), drain.clone()));
        tasks.spawn(expire_reporters(registry.clone(), drain.clone()));
        tasks.spawn(sweep_archive(archive, drain.clone()));
        tasks.spawn(sweep_series(series, core.clone(), drain.clone()));
        let cleaner = Cleaner {
            core,
            registry,
            settings,
            audit,
            metrics,
            missing_ms_max: config.limits().forget_after_ms,
        };
        tasks.spawn(clean(cleaner, *config.cleanup_interval, drain.clone()));
        let mut result = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.context("a task ended badly").and_then(|ended| ended);
            if result.is_ok() {
                result = ended;
            }
            // One that ends on its own takes the others with it.
            drain.cancel();
        }
        tracing::info!("drained");
        result
    }
}

/// The labels that people gave, put on the map; without a file that can be used, they live in memory.
fn labels_of(config: &Config, core: &Core) -> Arc<Labels> {
    let labels = Labels::open(config.data_dir.as_deref()).unwrap_or_else(|error| {
        tracing::warn!(%error, "labels of nodes are not kept: they are forgotten when this ends");
        Labels::default()
    });
    core.change(|topology, _, _| {
        for (node, given) in labels.all() {
            topology.set_labels(&node, given);
        }
    });
    Arc::new(labels)
}

/// What every view says while others reach the aggregator unprotected.
fn banner(config: &Config, posture: Posture) -> Option<Incomplete> {
    (posture == Posture::Insecure).then(|| Incomplete {
        message: format!(
            "This aggregator listens on {} without TLS or authentication (--insecure-listen): whoever \
             reaches it can read this map and send to it. Configure --tls-cert, --tls-key and \
             --agent-token-file.",
            config.host
        ),
        ..Default::default()
    })
}

fn follow_files(security: &Security, drain: &CancellationToken) {
    for tls in [&security.http_tls, &security.grpc_tls]
        .into_iter()
        .flatten()
    {
        tls.watch(RELOAD_PERIOD, drain.clone());
    }
    let peers = security.peers.as_ref().and_then(|peers| peers.tokens());
    for tokens in security.tokens.iter().chain(peers) {
        tokens.watch(RELOAD_PERIOD, drain.clone());
    }
}

async fn serve_http(http: Listener, api: Api, drain: CancellationToken) -> anyhow::Result<()> {
    let serving = http::serve(http, api::router(api), drain.clone());
    let serving = async {
        serving.await;
        Ok(())
    };
    within_drain(serving, drain).await
}

async fn serve_grpc(
    grpc: Listener,
    api: Api,
    uplink: UplinkService,
    sharing: Option<Sharing>,
    security: Security,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let holders = uplink.holders();
    let uplink = UplinkServer::new(uplink)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .accept_compressed(CompressionEncoding::Gzip);
    let observe_access = api.sign_in.interceptor(api.core.clone());
    let core = api.core.clone();
    let control = ControlService::new(
        api.control.clone(),
        api.core.clone(),
        holders,
        drain.clone(),
    );
    let observe = ObserveServer::new(ObserveService::new(api))
        .max_decoding_message_size(OBSERVE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let control = ControlServer::new(control)
        .max_decoding_message_size(control::MESSAGE_BYTES_MAX)
        .accept_compressed(CompressionEncoding::Gzip);
    let peers = sharing.map(|sharing| {
        let access = sharing.dial.access().interceptor();
        let service = PeersService::new(sharing, core, drain.clone());
        let service = PeersServer::new(service).max_decoding_message_size(OBSERVE_BYTES_MAX);
        InterceptedService::new(service, access)
    });
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<UplinkServer<UplinkService>>().await;
    reporter
        .set_serving::<ObserveServer<ObserveService>>()
        .await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(mesoscope_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let serving = GrpcServer::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(Some(256))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(InterceptedService::new(
            uplink,
            security.agents.interceptor(),
        ))
        .add_service(InterceptedService::new(
            control,
            security.agents.interceptor(),
        ))
        .add_service(InterceptedService::new(observe, observe_access))
        .add_optional_service(peers)
        .serve_with_incoming_shutdown(grpc.into_stream(), drain.clone().cancelled_owned());
    within_drain(async { serving.await.context("gRPC failed") }, drain).await
}

/// Serves, and after the drain has begun waits no longer than its deadline.
async fn within_drain(
    serving: impl Future<Output = anyhow::Result<()>>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let deadline = async {
        drain.cancelled().await;
        tokio::time::sleep(DRAIN_DEADLINE).await;
    };
    tokio::select! {
        served = serving => served,
        () = deadline => {
            tracing::warn!("connections did not end in time");
            Ok(())
        }
    }
}
