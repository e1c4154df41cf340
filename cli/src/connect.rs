//! Dials the aggregator.

use std::net::IpAddr;
use std::time::Duration;

use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_service::tls::{self, TlsError};
use mesoscope_service::token::{Bearer, TokenError};
use tonic::codec::CompressionEncoding;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::arguments::Server;

/// How long the aggregator may take to answer the call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is probed this often, so that a vanished aggregator is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The first message of a watch is a whole view.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The client of `Observe`, with our token when there is one.
pub type Client = ObserveClient<InterceptedService<Channel, Auth>>;

/// Why a command failed, in words for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `--server` is no URL.
    #[error(
        "--server {0:?} is not an address such as http://127.0.0.1:4041 or https://map.example.com:4041"
    )]
    BadServer(String),
    /// `https://` and `http://` are mixed up.
    #[error("{0}")]
    Usage(String),
    /// A TLS file is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file is unusable.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nobody answers.
    #[error(
        "cannot reach the aggregator at {server}: is it running? ({reason})\nStart it with `mesoscope-aggregator` or `cargo xtask up`, or name another with --server."
    )]
    Unreachable {
        /// Where.
        server: String,
        /// What the transport says.
        reason: String,
    },
    /// The aggregator does not let us in.
    #[error(
        "the aggregator does not let us in ({0}): give a token with --token-file or a certificate with --tls-cert and --tls-key"
    )]
    Denied(String),
    /// The aggregator refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The stream ended and did not come back.
    #[error("the aggregator at {server} went away and did not return within {minutes} minutes")]
    Lost {
        /// Where.
        server: String,
        /// How long we tried.
        minutes: u64,
    },
    /// Standard output.
    #[error("can't write: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// What a failed call means.
    pub fn of(status: &Status, server: &Server) -> Self {
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                Self::Denied(status.message().to_owned())
            }
            Code::Unavailable => Self::Unreachable {
                server: server.url.clone(),
                reason: reason(status),
            },
            Code::Unimplemented => Self::Refused(format!(
                "{} is no aggregator of this version: it does not know this call",
                server.url
            )),
            _ => Self::Refused(status.message().to_owned()),
        }
    }

    /// The exit code, after `sysexits.h`.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::BadServer(_) | Self::Usage(_) | Self::Tls(_) | Self::Token(_) => {
                mesoscope_service::exit::CONFIG
            }
            // EX_UNAVAILABLE
            Self::Unreachable { .. } | Self::Lost { .. } => 69,
            Self::Denied(_) | Self::Refused(_) | Self::Output(_) => {
                mesoscope_service::exit::FAILURE
            }
        }
    }
}

/// Adds the token to each call.
#[derive(Clone, Debug)]
pub struct Auth(Option<Bearer>);

impl Interceptor for Auth {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match &mut self.0 {
            Some(bearer) => bearer.call(request),
            None => Ok(request),
        }
    }
}

/// Connects to the aggregator.
pub async fn connect(server: &Server) -> Result<Client, Failure> {
    let url = &server.url;
    let bad = || Failure::BadServer(url.clone());
    let mut endpoint = Endpoint::from_shared(url.clone()).map_err(|_| bad())?;
    match endpoint.uri().scheme_str() {
        Some("https") => {
            let identity = server.tls_cert.as_deref().zip(server.tls_key.as_deref());
            endpoint = endpoint
                .tls_config(tls::client(server.tls_ca.as_deref(), identity)?)
                .map_err(|error| Failure::Usage(error.to_string()))?;
        }
        Some("http") => {
            if server.tls_ca.is_some() || server.tls_cert.is_some() {
                return Err(Failure::Usage(format!(
                    "TLS files are given, but {url} is not an https:// address"
                )));
            }
            if server.token_file.is_some() && !is_loopback(endpoint.uri().host().unwrap_or("")) {
                return Err(Failure::Usage(format!(
                    "a token is given, but {url} is neither this machine nor https://: anyone on the way could read it"
                )));
            }
        }
        _ => return Err(bad()),
    }
    let token = server.token_file.as_deref().map(Bearer::load).transpose()?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| Failure::Unreachable {
            server: url.clone(),
            reason: reason(&error),
        })?;
    Ok(ObserveClient::with_interceptor(channel, Auth(token))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// Whether a URL's host is this machine, without asking anyone.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The innermost cause: the outer ones say "transport error".
fn reason(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "localhost",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "",
            "[::]",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
