//! The options of several aggregators that share the agents.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesoscope_service::access::Access;
use mesoscope_service::tls::{self, TlsError};
use mesoscope_service::token::{Bearer, TokenError, Tokens};
use tonic::transport::{ClientTlsConfig, Endpoint, Uri};

/// Members at most: each relays to each.
const MEMBERS_MAX: usize = 16;
/// With the interval, a member that does not answer is noticed as soon as one that says nothing.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Several aggregators that share the agents
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MembersArgs {
    /// gRPC addresses of all aggregators that share the agents, the same list for each: https://map-1:4041
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub peer: Vec<String>,

    /// This aggregator's own address in that list; needed unless it follows from --host and --grpc-port
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,

    /// Secret of the aggregators that share the agents, one a line: the first is shown to the others
    #[arg(long, value_name = "FILE")]
    pub peer_token_file: Option<PathBuf>,

    /// CA of the others' certificates; without it the system's roots decide
    #[arg(long, value_name = "FILE")]
    pub peer_ca: Option<PathBuf>,
}

/// How other members are dialled, and let in.
#[derive(Debug, Clone)]
pub struct PeerDial {
    own: Arc<str>,
    tls: Option<ClientTlsConfig>,
    bearer: Option<Bearer>,
    tokens: Option<Arc<Tokens>>,
}

/// Why the options can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The CA.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file with the secret.
    #[error(transparent)]
    Token(#[from] TokenError),
}

fn is_near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A member's address, as all write it.
fn check_url(url: &str) -> Result<(), String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.ends_with('/');
    let (Some(host), Some(_), true) = (uri.host(), uri.port_u16(), plain_path) else {
        return Err(format!(
            "{url:?}: scheme, host and port, and nothing else (https://map-1:4041)"
        ));
    };
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_near(host) => Ok(()),
        Some("http") => Err(format!(
            "refusing plain http to {host}, which is not this machine: whoever is on the way could \
             control every container; use https:// (--tls-cert, --tls-key, --peer-ca)"
        )),
        _ => Err(format!("{url:?}: must begin with https:// or http://")),
    }
}

impl MembersArgs {
    /// Whether the agents are shared.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.peer.is_empty()
    }

    /// The static list.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<str>> {
        self.peer.iter().map(|url| url.as_str().into()).collect()
    }

    /// The address under which agents and members reach this one.
    ///
    /// # Errors
    /// When it does not follow from what is configured.
    pub fn own_url(&self, grpc: SocketAddr, tls: bool) -> Result<String, String> {
        if let Some(advertise) = &self.advertise {
            return Ok(advertise.clone());
        }
        if grpc.ip().is_unspecified() || grpc.port() == 0 {
            return Err(
                "--peer needs --advertise: the address of this aggregator's gRPC port as the others \
                 have it in their list"
                    .to_owned(),
            );
        }
        let scheme = if tls { "https" } else { "http" };
        Ok(format!("{scheme}://{grpc}"))
    }

    /// What one option alone does not show.
    ///
    /// # Errors
    /// In the words of the person who configures.
    pub fn check(&self, grpc: SocketAddr, tls: bool) -> Result<(), String> {
        if !self.is_shared() {
            let alone = [
                ("--advertise", self.advertise.is_some()),
                ("--peer-token-file", self.peer_token_file.is_some()),
                ("--peer-ca", self.peer_ca.is_some()),
            ];
            let unused = alone.iter().find(|(_, set)| *set);
            return unused.map_or(Ok(()), |(option, _)| {
                Err(format!("{option} is of use only with --peer"))
            });
        }
        let own = self.own_url(grpc, tls)?;
        check_url(&own).map_err(|error| format!("--advertise {error}"))?;
        for url in &self.peer {
            check_url(url).map_err(|error| format!("--peer {error}"))?;
        }
        let mut all: Vec<_> = self.peer.iter().chain([&own]).collect();
        all.sort();
        all.dedup();
        if !(2..=MEMBERS_MAX).contains(&all.len()) {
            return Err(format!(
                "--peer: 2 to {MEMBERS_MAX} aggregators share the agents, this one ({own}) among them"
            ));
        }
        let far = |url: &&String| url.starts_with("https://");
        let reached = !grpc.ip().is_loopback() || all.iter().any(far);
        if reached && self.peer_token_file.is_none() {
            return Err(
                "--peer needs --peer-token-file: whoever is taken for a member can control every \
                 container"
                    .to_owned(),
            );
        }
        if own.starts_with("https://") != tls {
            return Err(format!(
                "--advertise {own} does not fit: the gRPC port is {} TLS",
                if tls { "with" } else { "without" }
            ));
        }
        Ok(())
    }

    /// Reads the files; `None` when the agents are not shared.
    ///
    /// # Errors
    /// When one can't be used; the error names it.
    pub fn dial(&self, grpc: SocketAddr, tls: bool) -> Result<Option<PeerDial>, PeersError> {
        let Ok(own) = self.own_url(grpc, tls) else {
            return Ok(None);
        };
        if !self.is_shared() {
            return Ok(None);
        }
        let secured = self.peer.iter().any(|url| url.starts_with("https://"));
        let client = || tls::client(self.peer_ca.as_deref(), None);
        let file = self.peer_token_file.as_deref();
        Ok(Some(PeerDial {
            own: own.into(),
            tls: secured.then(client).transpose()?,
            bearer: file.map(Bearer::load).transpose()?,
            tokens: file.map(Tokens::load).transpose()?,
        }))
    }
}

impl PeerDial {
    /// The address of this member.
    #[must_use]
    pub fn own(&self) -> &Arc<str> {
        &self.own
    }

    /// What is shown to the others.
    #[must_use]
    pub fn bearer(&self) -> Option<&Bearer> {
        self.bearer.as_ref()
    }

    /// Who is let in as a member. A client certificate does not make an agent one.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::new(self.tokens.clone(), false)
    }

    /// The file of the secrets, to follow.
    #[must_use]
    pub fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// What dials a member.
    ///
    /// # Errors
    /// When the address can't be used.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, String> {
        check_url(url)?;
        let build = || {
            let mut endpoint = Endpoint::from_shared(url.to_owned())?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true)
                .user_agent(concat!("mesoscope-aggregator/", env!("CARGO_PKG_VERSION")))?;
            if let Some(tls) = self.tls.as_ref().filter(|_| url.starts_with("https://")) {
                endpoint = endpoint.tls_config(tls.clone())?;
            }
            Ok(endpoint)
        };
        build().map_err(|error: tonic::transport::Error| format!("{url}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        members: MembersArgs,
    }

    fn check(args: &[&str], grpc: &str, tls: bool) -> Result<(), String> {
        let all = std::iter::once("x").chain(args.iter().copied());
        let command = Command::try_parse_from(all).map_err(|error| error.to_string())?;
        command.members.check(grpc.parse().expect("literal"), tls)
    }

    #[test]
    fn what_shares_agents_safely_is_taken() {
        let near = "http://127.0.0.1:1,http://127.0.0.1:2";
        check(&[], "127.0.0.1:4041", false).expect("alone");
        check(&["--peer", near], "127.0.0.1:1", false).expect("loopback");
        let far = [
            "--peer",
            "https://a:1,https://b:1",
            "--advertise",
            "https://a:1",
            "--peer-token-file",
            "/secret",
        ];
        check(&far, "0.0.0.0:1", true).expect("TLS and a secret");
    }

    #[test]
    fn what_does_not_is_refused_with_a_way_out() {
        let near = "http://127.0.0.1:1,http://127.0.0.1:2";
        for (args, grpc, tls, hint) in [
            (
                &["--peer", "http://10.0.0.2:1"][..],
                "127.0.0.1:1",
                false,
                "https://",
            ),
            (
                &["--peer", "http://127.0.0.1:1"],
                "127.0.0.1:1",
                false,
                "2 to 16",
            ),
            (
                &["--peer", "http://127.0.0.1:2/x"],
                "127.0.0.1:1",
                false,
                "nothing else",
            ),
            (&["--peer", near], "127.0.0.1:0", false, "--advertise"),
            (&["--peer", near], "0.0.0.0:1", false, "--advertise"),
            (
                &["--advertise", "http://127.0.0.1:1"],
                "127.0.0.1:1",
                false,
                "--peer",
            ),
            (
                &[
                    "--peer",
                    "https://a:1,https://b:1",
                    "--advertise",
                    "https://a:1",
                ],
                "0.0.0.0:1",
                true,
                "--peer-token-file",
            ),
            (
                &[
                    "--peer",
                    near,
                    "--advertise",
                    "https://a:1",
                    "--peer-token-file",
                    "/s",
                ],
                "127.0.0.1:1",
                false,
                "without TLS",
            ),
        ] {
            let error = check(args, grpc, tls).expect_err("refused");
            assert!(error.contains(hint), "{args:?}: {error}");
        }
    }
}
