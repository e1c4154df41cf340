//! What the configuration means for the crates around. Files of TLS and tokens are read here, before
//! anything is bound.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mesoscope_capture::{CaptureConfig, Tier2};
use mesoscope_discover::conntrack::ConntrackConfig;
use mesoscope_discover::cri::CriConfig;
use mesoscope_discover::docker::DockerConfig;
use mesoscope_discover::paths::Paths;
use mesoscope_proto::v1;
use mesoscope_service::access::Access;
use mesoscope_service::listen::{Listener, Posture};
use mesoscope_service::tls::{self, ServerFiles};
use mesoscope_service::token::{Bearer, Tokens};

use crate::api::uplink::Dial;
use crate::config::{self, Config};
use crate::store::agent_id;

/// Connections to /metrics at most.
const CONNECTIONS_MAX: usize = 32;

/// What is ready before anything is bound.
#[derive(Debug)]
pub struct Edges {
    /// The agent's id.
    pub agent_id: String,
    /// Where the aggregators are, and how they are dialled.
    pub dial: Dial,
    /// What the agent shows to it.
    pub bearer: Option<Bearer>,
    /// Who may read /metrics.
    pub access: Access,
    server_tls: Option<Arc<tls::Server>>,
    posture: Posture,
}

impl Edges {
    /// Reads every file that the configuration names.
    ///
    /// # Errors
    /// The text names the file or the option.
    pub fn build(config: &Config) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let tls = config
            .any_aggregator_tls()
            .then(|| {
                let identity = config.tls_cert.as_deref().zip(config.tls_key.as_deref());
                tls::client(config.tls_ca.as_deref(), identity)
            })
            .transpose()
            .map_err(|error| text(&error))?;
        let bearer = config
            .token_file
            .as_deref()
            .map(Bearer::load)
            .transpose()
            .map_err(|error| text(&error))?;
        let dial = Dial {
            urls: config.aggregator.clone(),
            may_dial: config.may_dial(),
            tls,
            bearer: bearer.clone(),
        };
        for url in &config.aggregator {
            dial.endpoint(url, false)?;
        }
        let tokens = config
            .listen_token_file
            .as_deref()
            .map(Tokens::load)
            .transpose()
            .map_err(|error| text(&error))?;
        let server_tls = config
            .listen_tls_cert
            .clone()
            .zip(config.listen_tls_key.clone())
            .map(|(certificate, key)| {
                let files = ServerFiles {
                    certificate,
                    key,
                    client_ca: None,
                    client_required: false,
                };
                tls::Server::load(files, &["http/1.1"])
            })
            .transpose()
            .map_err(|error| text(&error))?;
        let machine_id = paths(config).in_host_root("/etc/machine-id");
        let (agent_id, source) = agent_id::agent_id(
            config.agent_id.as_deref(),
            &machine_id,
            &config.agent_id_file,
        )
        .map_err(|error| text(&error))?;
        tracing::info!(agent_id, ?source, "agent id");
        Ok(Self {
            agent_id,
            dial,
            bearer,
            access: Access::new(tokens, false),
            server_tls,
            posture: config.posture()?,
        })
    }

    /// Binds the address of /metrics.
    ///
    /// # Errors
    /// When it can't be bound.
    pub async fn listen(&self, config: &Config) -> anyhow::Result<Listener> {
        if self.posture == Posture::Insecure {
            tracing::warn!(address = %config.listen, "anyone who can reach it may read /metrics (--insecure-listen)");
        }
        Listener::bind(config.listen, self.server_tls.clone(), CONNECTIONS_MAX)
            .await
            .with_context(|| format!("binding {} for /metrics", config.listen))
    }
}

/// Where the node's file systems are.
#[must_use]
pub fn paths(config: &Config) -> Paths {
    Paths {
        proc: config.proc_root.clone(),
        cgroup: config.cgroup_root.clone(),
        ..Paths::default()
    }
}

/// What the capture is asked to do.
#[must_use]
pub fn capture_config(config: &Config) -> CaptureConfig {
    CaptureConfig {
        ring_bytes: u32::try_from(config.ring_bytes.as_u64()).unwrap_or(1 << 20),
        events_per_second_per_cgroup: config.event_rate_cap,
        tier2: match config.tier2 {
            config::Tier2::Off => Tier2::Off,
            config::Tier2::Node => Tier2::Node,
        },
        bpf_statistics: config.bpf_statistics,
        cgroup_root: config.cgroup_root.clone(),
        rung: match config.rung {
            config::Rung::None => mesoscope_capture::Rung::None,
            config::Rung::NoBtf => mesoscope_capture::Rung::NoBtf,
            config::Rung::Btf => mesoscope_capture::Rung::Btf,
        },
        ..CaptureConfig::default()
    }
}

/// How the Docker engine is watched.
#[must_use]
pub fn docker_config(config: &Config) -> DockerConfig {
    DockerConfig {
        socket: config.docker_socket.clone(),
        ..DockerConfig::default()
    }
}

/// Where plugins are; `None` without any.
#[must_use]
pub fn plugins(config: &Config) -> Option<mesoscope_plugins::Settings> {
    Some(mesoscope_plugins::Settings {
        folder: config.plugins_dir.clone()?,
        run_folder: config.plugins_run_dir.clone(),
        // The binary that runs, also when its file has been replaced.
        launcher: "/proc/self/exe".into(),
    })
}

/// How a CRI runtime is watched.
#[must_use]
pub fn cri_config(config: &Config) -> CriConfig {
    CriConfig {
        socket: config.cri_socket.clone(),
        ..CriConfig::default()
    }
}

/// How connection tracking is watched. A dump of the whole table tells the bytes of live UDP flows,
/// where the kernel counts them; elsewhere it only makes good what was missed.
#[must_use]
pub fn conntrack_config(config: &Config) -> ConntrackConfig {
    let counted =
        std::fs::read_to_string(config.proc_root.join("sys/net/netfilter/nf_conntrack_acct"));
    let counted = counted.is_ok_and(|value| value.trim() == "1");
    ConntrackConfig {
        channel_capacity: 1_024,
        dump_interval: Some(Duration::from_secs(if counted { 30 } else { 300 })),
        ..ConntrackConfig::default()
    }
}

/// Folder of the unified hierarchy: alone, or beside v1.
#[must_use]
pub fn unified_root(config: &Config) -> PathBuf {
    let beside = config.cgroup_root.join("unified");
    if beside.join("cgroup.controllers").exists() {
        beside
    } else {
        config.cgroup_root.clone()
    }
}

/// A capability of the capture as the wire has it.
#[must_use]
pub fn capability(capability: mesoscope_capture::Capability) -> v1::Capability {
    v1::Capability {
        name: capability.name.to_owned(),
        available: capability.available,
        provider: capability.provider.to_owned(),
        reason: shortened(capability.reason),
    }
}

/// A verifier's log can be long; whole, it is in the agent's own log.
fn shortened(mut reason: String) -> String {
    const REASON_BYTES_MAX: usize = 500;
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        reason.push_str(" ...");
    }
    reason
}

/// A capability that is not there.
#[must_use]
pub fn missing(name: &str, reason: &str) -> v1::Capability {
    v1::Capability {
        name: name.to_owned(),
        reason: reason.to_owned(),
        ..v1::Capability::default()
    }
}
