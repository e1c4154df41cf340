//! The configuration of the aggregator.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use mesoscope_access::Role;
use mesoscope_access::users::{Users, UsersError};
use mesoscope_service::access::Access;
use mesoscope_service::listen::{self, Posture, Protection};
use mesoscope_service::logs::LogArgs;
use mesoscope_service::tls::{self, ServerFiles, TlsError};
use mesoscope_service::token::{TokenError, Tokens};
use mesoscope_service::units::{ByteSize, Duration};
use mesoscope_topology::{Limits, OwnService, OwnServiceError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::links::{LinkTemplate, LinkTemplateError};
use crate::members::{MembersArgs, PeerDial, PeersError};
use crate::oidc::{self, OidcError};
use crate::remote_write::RemoteWriteArgs;
use crate::webhooks::{self, Hook, HooksError, Patience};

const SERIES_RETENTION: RangeInclusive<std::time::Duration> =
    std::time::Duration::from_mins(5)..=std::time::Duration::from_hours(24);
const TERMINAL_IDLE: RangeInclusive<std::time::Duration> =
    std::time::Duration::from_secs(1)..=std::time::Duration::from_hours(24);
const WEBHOOK_TIMEOUT: RangeInclusive<std::time::Duration> =
    std::time::Duration::from_millis(100)..=std::time::Duration::from_mins(1);
const SERIES_MEMORY_MIN: ByteSize = ByteSize::mib(1);
const HOW_TO_PROTECT: &str = "--tls-cert and --tls-key, with --agent-token-file or --tls-client-ca";

/// Collects what the agents report, keeps the live map and serves it
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "mesoscope-aggregator", version)]
pub struct Config {
    /// Address to listen on; any other than loopback needs TLS and authentication
    #[arg(long, env = "APP_HOST", default_value = "127.0.0.1", value_parser = listen::host)]
    pub host: IpAddr,

    /// Port of the page, REST, WebSocket and /metrics
    #[arg(long, env = "APP_PORT", default_value_t = 4040)]
    pub port: u16,

    /// Port of gRPC: agents (Uplink) and consumers (Observe)
    #[arg(long, default_value_t = 4041)]
    pub grpc_port: u16,

    /// Certificate chain of both ports, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// CA whose client certificates open both ports, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Tokens of agents, one a line; without --user-token-file they open the map too
    #[arg(long, value_name = "FILE")]
    pub agent_token_file: Option<PathBuf>,

    /// Tokens of people and programs that read the map and control agents, one a line
    #[arg(long, value_name = "FILE")]
    pub user_token_file: Option<PathBuf>,

    /// Users with passwords: NAME:ROLE:HASH a line, the hash by Argon2; everyone has to sign in
    #[arg(long, value_name = "FILE")]
    pub users_file: Option<PathBuf>,

    /// Everyone has to sign in, also on loopback; needs --data-dir, which gets a first admin's token
    #[arg(long)]
    pub require_sign_in: bool,

    /// OpenID Connect provider that people sign in with, and which groups have which roles; everyone has to sign in
    #[arg(long, value_name = "FILE")]
    pub oidc_file: Option<PathBuf>,

    /// Origin of another site whose pages may ask with a token: https://grafana.example
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub cors_origin: Vec<String>,

    /// Origin of another site whose pages may show the map within them (an iframe); may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub frame_ancestor: Vec<String>,

    /// How long the audit in --data-dir is kept
    #[arg(long, default_value = "365d")]
    pub audit_retention: Duration,

    /// Listen beyond loopback without TLS and authentication; the page and a metric show it
    #[arg(long)]
    pub insecure_listen: bool,

    /// Further host names under which browsers reach a loopback aggregator (behind a proxy)
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,

    /// Folder that keeps what operators set, API tokens and the audit; without one it is forgotten when the aggregator ends
    #[arg(long, env = "STATE_DIRECTORY", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// How long an agent that is gone is remembered with all that it saw
    #[arg(long, env = "MAX_DATA_AGE", default_value = "1h")]
    pub max_data_age: Duration,

    /// How often agents and views that nobody needs are cleaned away
    #[arg(long, default_value = "5m")]
    pub cleanup_interval: Duration,

    /// Silence after which what an agent saw is marked as stale
    #[arg(long, default_value = "5m")]
    pub stale_node_threshold: Duration,

    /// How long time series are kept
    #[arg(long, default_value = "1h")]
    pub series_retention: Duration,

    /// How far back the map can be shown as it was
    #[arg(long, default_value = "1h")]
    pub history_retention: Duration,

    /// Memory of the history at most; when it is full, it reaches less far back
    #[arg(long, default_value = "768MiB")]
    pub history_memory: ByteSize,

    /// Memory of time series at most; when it is full, what has ended is forgotten first
    #[arg(long, default_value = "512MiB")]
    pub series_memory: ByteSize,

    /// A terminal into which nothing is typed, and to which nothing is written, closes after this
    #[arg(long, default_value = "30m")]
    pub terminal_idle: Duration,

    /// Webhooks that are told of agents that go away, incomplete data, containers that die, actions
    #[arg(long, value_name = "FILE")]
    pub webhooks_file: Option<PathBuf>,

    /// How long an agent is away, or data incomplete, before webhooks are told
    #[arg(long, default_value = "30s")]
    pub webhook_delay: Duration,

    /// How long one request to a webhook may take
    #[arg(long, default_value = "10s")]
    pub webhook_timeout: Duration,

    /// How long the same notice is tried to be told before it is dropped
    #[arg(long, default_value = "1h")]
    pub webhook_give_up: Duration,

    /// Remote-write
    #[command(flatten)]
    pub remote_write: RemoteWriteArgs,

    /// Several aggregators
    #[command(flatten)]
    pub members: MembersArgs,

    /// What stands outside under a name of its own: NAME=ADDRESS, NAME=NETWORK or NAME=DNS-NAME (*.name: all below it); may be repeated
    #[arg(long, value_name = "NAME=PATTERN", value_parser = own_service)]
    pub own_service: Vec<OwnService>,

    /// Filter offered in views of processes and containers: NAME:LABEL=VALUE or NAME:LABEL; may be repeated
    #[arg(long, value_name = "NAME:LABEL=VALUE", value_parser = label_filter)]
    pub label_filter: Vec<LabelFilter>,

    /// Link in the details of nodes: LABEL=URL with fields of the node in braces; may be repeated
    #[arg(long, value_name = "LABEL=URL", value_parser = node_link)]
    pub node_link: Vec<LinkTemplate>,

    /// Log output
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Why the security options can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// A TLS file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A token file.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The users file.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The file of the provider.
    #[error(transparent)]
    Provider(#[from] OidcError),
    /// A file of the members.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

/// What protects the two ports.
#[derive(Debug, Clone)]
pub struct Security {
    /// The listening address under the rule.
    pub posture: Posture,
    /// TLS of the HTTP port.
    pub http_tls: Option<Arc<tls::Server>>,
    /// TLS of the gRPC port.
    pub grpc_tls: Option<Arc<tls::Server>>,
    /// Who may report.
    pub agents: Access,
    /// Whose tokens and certificates open the map.
    pub readers: Access,
    /// What those tokens may do.
    pub reader_role: Role,
    /// Users with passwords.
    pub users: Option<Arc<Users>>,
    /// The provider that people sign in with.
    pub provider: Option<oidc::Options>,
    /// The members that share the agents with this one.
    pub peers: Option<PeerDial>,
    /// Token files to follow.
    pub tokens: Vec<Arc<Tokens>>,
}

/// Value parser of an origin: scheme, name, and port where it is not the scheme's own.
fn origin(text: &str) -> Result<String, String> {
    let name = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let fits =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':' | b'[' | b']');
    match name {
        Some(name) if !name.is_empty() && name.bytes().all(fits) => Ok(text.to_owned()),
        _ => {
            Err("not an origin (https://grafana.example, in lower case, without a path)".to_owned())
        }
    }
}

/// A filter of views by a label of containers, with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelFilter {
    /// What it is called.
    pub name: String,
    /// As the parameter `label` of a view: `key=value`, or `key` for any value.
    pub label: String,
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:{}", self.name, self.label)
    }
}

/// Value parser of a filter by label. A name has no colon; labels may.
fn label_filter(text: &str) -> Result<LabelFilter, String> {
    let fits = |part: &str, most: usize| {
        !part.is_empty()
            && part.trim() == part
            && part.len() <= most
            && !part.chars().any(char::is_control)
    };
    match text.split_once(':') {
        Some((name, label)) if fits(name, 64) && fits(label, 256) && !label.starts_with('=') => {
            Ok(LabelFilter {
                name: name.to_owned(),
                label: label.to_owned(),
            })
        }
        _ => Err("not NAME:LABEL=VALUE or NAME:LABEL (Team shop:com.example.team=shop)".to_owned()),
    }
}

fn own_service(text: &str) -> Result<OwnService, String> {
    text.parse()
        .map_err(|error: OwnServiceError| error.to_string())
}

fn node_link(text: &str) -> Result<LinkTemplate, String> {
    text.parse()
        .map_err(|error: LinkTemplateError| error.to_string())
}

impl Config {
    /// Values that must fit together, and the listen rule.
    ///
    /// # Errors
    /// In the words of the person who configures.
    pub fn check(&self) -> Result<(), String> {
        if self.port == self.grpc_port && self.port != 0 {
            return Err(format!("--port and --grpc-port are both {}", self.port));
        }
        if self.cleanup_interval.is_zero() {
            return Err("--cleanup-interval must be longer than 0s".to_owned());
        }
        if self.stale_node_threshold.is_zero() || *self.stale_node_threshold > *self.max_data_age {
            return Err(
                "--stale-node-threshold must be longer than 0s and at most --max-data-age"
                    .to_owned(),
            );
        }
        if !SERIES_RETENTION.contains(&*self.series_retention) {
            return Err("--series-retention must be from 5m to 24h".to_owned());
        }
        if !SERIES_RETENTION.contains(&*self.history_retention) {
            return Err("--history-retention must be from 5m to 24h".to_owned());
        }
        if self.history_memory < SERIES_MEMORY_MIN {
            return Err(format!(
                "--history-memory must be at least {SERIES_MEMORY_MIN}"
            ));
        }
        if self.series_memory < SERIES_MEMORY_MIN {
            return Err(format!(
                "--series-memory must be at least {SERIES_MEMORY_MIN}"
            ));
        }
        if !TERMINAL_IDLE.contains(&*self.terminal_idle) {
            return Err("--terminal-idle must be from 1s to 24h".to_owned());
        }
        if self.require_sign_in && self.data_dir.is_none() {
            return Err("--require-sign-in needs --data-dir, which keeps the tokens".to_owned());
        }
        if self.audit_retention.is_zero() {
            return Err("--audit-retention must be longer than 0s".to_owned());
        }
        if !WEBHOOK_TIMEOUT.contains(&*self.webhook_timeout) {
            return Err("--webhook-timeout must be from 100ms to 1m".to_owned());
        }
        self.remote_write.check()?;
        self.members
            .check(self.grpc_address(), self.tls_cert.is_some())?;
        self.tls_files().map_err(|error| error.to_string())?;
        self.posture().map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The listening address under the rule of [`listen::check`].
    ///
    /// # Errors
    /// When others would reach it unprotected.
    pub fn posture(&self) -> Result<Posture, listen::Unprotected> {
        let protection = Protection {
            tls: self.tls_cert.is_some(),
            authentication: self.agent_token_file.is_some() || self.tls_client_ca.is_some(),
        };
        listen::check(self.host, protection, self.insecure_listen, HOW_TO_PROTECT)
    }

    fn tls_files(&self) -> Result<Option<ServerFiles>, TlsError> {
        ServerFiles::from_options(
            self.tls_cert.as_deref(),
            self.tls_key.as_deref(),
            self.tls_client_ca.as_deref(),
            false,
        )
    }

    /// Reads the files of the security options.
    ///
    /// # Errors
    /// When one can't be used; the error names it.
    pub fn security(&self) -> Result<Security, SecurityError> {
        // Posture was checked; an address that slipped by is treated as the worst.
        let posture = self.posture().unwrap_or(Posture::Insecure);
        let files = self.tls_files()?;
        let load = |protocols: &[&str]| {
            let files = files.clone();
            files
                .map(|files| tls::Server::load(files, protocols))
                .transpose()
        };
        // HTTP/1.1 on the page's port: browsers open their WebSockets with it.
        let http_tls = load(&["http/1.1"])?;
        let grpc_tls = load(&["h2"])?;
        let tokens = |path: &Option<PathBuf>| path.as_deref().map(Tokens::load).transpose();
        let agent_tokens = tokens(&self.agent_token_file)?;
        let user_tokens = tokens(&self.user_token_file)?;
        let certificates = self.tls_client_ca.is_some();
        let readers = user_tokens.clone().or_else(|| agent_tokens.clone());
        Ok(Security {
            posture,
            http_tls,
            grpc_tls,
            agents: Access::new(agent_tokens.clone(), certificates),
            readers: Access::new(readers, certificates),
            // An agent's token opens the map where people have none, and controls nothing.
            reader_role: if user_tokens.is_some() {
                Role::Operator
            } else {
                Role::Viewer
            },
            users: self
                .users_file
                .as_deref()
                .map(Users::load)
                .transpose()?
                .map(Arc::new),
            provider: self.oidc_file.as_deref().map(oidc::load).transpose()?,
            peers: self
                .members
                .dial(self.grpc_address(), self.tls_cert.is_some())?,
            tokens: agent_tokens.into_iter().chain(user_tokens).collect(),
        })
    }

    /// Reads the file of the webhooks; there are none without it.
    ///
    /// # Errors
    /// When it can't be used; the error names it.
    pub fn webhooks(&self) -> Result<Vec<Hook>, HooksError> {
        let file = self.webhooks_file.as_deref();
        Ok(file.map(webhooks::load).transpose()?.unwrap_or_default())
    }

    /// How long webhooks may take.
    #[must_use]
    pub fn webhook_patience(&self) -> Patience {
        Patience {
            delay: *self.webhook_delay,
            request: *self.webhook_timeout,
            give_up: *self.webhook_give_up,
        }
    }

    /// Where the HTTP port listens.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Where the gRPC port listens.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.grpc_port)
    }

    /// The bounds of the time series.
    #[must_use]
    pub fn series_limits(&self) -> mesoscope_series::Limits {
        mesoscope_series::Limits {
            keep_ms: u64::try_from(self.series_retention.as_millis()).unwrap_or(u64::MAX),
            bytes_max: usize::try_from(self.series_memory.as_u64()).unwrap_or(usize::MAX),
        }
    }

    /// The bounds of the history.
    #[must_use]
    pub fn history_limits(&self) -> mesoscope_history::Limits {
        let topology = self.limits();
        mesoscope_history::Limits {
            keep_ms: u64::try_from(self.history_retention.as_millis()).unwrap_or(u64::MAX),
            bytes_max: usize::try_from(self.history_memory.as_u64()).unwrap_or(usize::MAX),
            keeps: mesoscope_history::Keeps {
                ended_ms: topology.ended_keep_ms,
                agents_ms: topology.forget_after_ms,
            },
        }
    }

    /// The bounds of the topology.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let milliseconds =
            |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Limits {
            stale_after_ms: milliseconds(&self.stale_node_threshold),
            forget_after_ms: milliseconds(&self.max_data_age),
            ..Limits::default()
        }
    }
}
