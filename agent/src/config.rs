//! The agent's configuration: one struct from flags, environment and file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use mesoscope_service::listen::{self, Posture, Protection};
use mesoscope_service::logs::LogArgs;
use mesoscope_service::units::{ByteSize, Duration};

use crate::store::agent_id;

/// Addresses of aggregators.
const AGGREGATORS_MAX: usize = 64;

/// The node agent of Mesoscope: watches processes, connections and containers of this node and
/// reports them to an aggregator.
#[derive(Clone, Debug, Parser)]
#[command(name = "mesoscope-agent", version, about)]
pub struct Config {
    /// Where the aggregator's gRPC port is (http:// for loopback, https:// else); of several that share the agents some, or all
    #[arg(
        long,
        default_value = "http://127.0.0.1:4041",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub aggregator: Vec<String>,

    /// Allow http:// to an aggregator that is not on this machine: anyone on the way can read and change it
    #[arg(long)]
    pub insecure_aggregator: bool,

    /// Stable id of this agent; the default is the machine's id
    #[arg(long, value_name = "ID")]
    pub agent_id: Option<String>,

    /// File that keeps an id of our own where the machine has none
    #[arg(
        long,
        default_value = "/var/lib/mesoscope/agent-id",
        value_name = "FILE"
    )]
    pub agent_id_file: PathBuf,

    /// Address of /metrics and /health
    #[arg(long, default_value = "127.0.0.1:4042", value_name = "ADDRESS", value_parser = listen::socket)]
    pub listen: SocketAddr,

    /// Certificate of /metrics and /health
    #[arg(long, value_name = "FILE")]
    pub listen_tls_cert: Option<PathBuf>,

    /// Private key of /metrics and /health
    #[arg(long, value_name = "FILE")]
    pub listen_tls_key: Option<PathBuf>,

    /// Tokens that may read /metrics, one a line (/health needs none)
    #[arg(long, value_name = "FILE")]
    pub listen_token_file: Option<PathBuf>,

    /// Listen on an address that others reach, without TLS and authentication
    #[arg(long)]
    pub insecure_listen: bool,

    /// CA of the aggregator's certificate; without it the system's roots decide
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// Certificate that the agent shows to the aggregator (mutual TLS)
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// File with the token that the agent shows to the aggregator
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Per-packet hooks: UDP bytes, DNS answers, HTTP, gRPC and TLS names; cost up to 10 % of packet-bound work
    #[arg(long, default_value = "off")]
    pub tier2: Tier2,

    /// Socket of the Docker engine (or Podman)
    #[arg(long, default_value = "/var/run/docker.sock", value_name = "FILE")]
    pub docker_socket: PathBuf,

    /// Socket of a CRI v1 runtime; without it the usual ones of containerd and CRI-O are tried
    #[arg(long, value_name = "FILE")]
    pub cri_socket: Option<PathBuf>,

    /// Whether operators may start, stop and remove containers of this node and read their logs, through the aggregator
    #[arg(long, default_value = "on")]
    pub control: Control,

    /// Folder with the manifests of plugins (`*.yaml`), read again when it changes
    #[arg(long, value_name = "FOLDER")]
    pub plugins_dir: Option<PathBuf>,

    /// Where the sockets of plugins are that the agent starts
    #[arg(long, default_value = "/run/mesoscope/plugins", value_name = "FOLDER")]
    pub plugins_run_dir: PathBuf,

    /// Leave out the arguments of processes: they may hold secrets. The program is still told
    #[arg(long)]
    pub omit_arguments: bool,

    /// Longest time that a change waits for its batch
    #[arg(long, default_value = "100ms", value_name = "DURATION")]
    pub batch_interval: Duration,

    /// Batches kept while the aggregator is away
    #[arg(long, default_value = "16MiB", value_name = "SIZE")]
    pub spool_bytes: ByteSize,

    /// Kernel events per second that one cgroup may cause before they are withheld and counted (0: no cap)
    #[arg(long, default_value_t = 60_000, value_name = "EVENTS")]
    pub event_rate_cap: u32,

    /// CPU that the agent may use before it leaves out detail, percent of one core
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT")]
    pub cpu_budget: f64,

    /// Memory that the agent may use before it leaves out detail
    #[arg(long, default_value = "40MiB", value_name = "SIZE")]
    pub memory_budget: ByteSize,

    /// Size of the kernel's event buffer, a power of two
    #[arg(long, default_value = "1MiB", value_name = "SIZE")]
    pub ring_bytes: ByteSize,

    /// Highest rung of the capability ladder to use
    #[arg(long, default_value = "btf", value_name = "RUNG")]
    pub rung: Rung,

    /// Have the kernel measure the run time of our programs always (35-70 ns a run), not for one second in a minute
    #[arg(long)]
    pub bpf_statistics: bool,

    /// Where the host's procfs is mounted
    #[arg(long, default_value = "/proc", value_name = "FOLDER")]
    pub proc_root: PathBuf,

    /// Where the host's cgroup hierarchies are mounted
    #[arg(long, default_value = "/sys/fs/cgroup", value_name = "FOLDER")]
    pub cgroup_root: PathBuf,

    /// Ask DNS for the names of remote addresses
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub reverse_lookups: bool,

    /// Log output
    #[command(flatten)]
    pub log: LogArgs,

    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print what this node lets the agent see, and a reason for each thing that it does not
    Features {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Where the per-packet hooks are attached at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier2 {
    /// Nowhere, until the aggregator asks for it.
    Off,
    /// On the whole node.
    Node,
}

/// Whether containers of this node can be controlled through the aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Control {
    /// By whom the aggregator lets.
    On,
    /// By nobody.
    Off,
}

/// The highest rung to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rung {
    /// `/proc` and sock_diag only.
    None,
    /// Kernel programs without BTF.
    NoBtf,
    /// Kernel programs with BTF.
    Btf,
}

impl Config {
    /// What one value alone does not show. The text is for the person who wrote it.
    ///
    /// # Errors
    /// When values do not fit together or are out of range.
    pub fn check(&self) -> Result<(), String> {
        self.check_aggregator()?;
        if let Some(id) = self
            .agent_id
            .as_deref()
            .filter(|id| !agent_id::is_valid(id))
        {
            return Err(format!(
                "agent_id {id:?}: letters, digits, '-', '_', '.' and ':' only, 128 at most"
            ));
        }
        let interval = std::time::Duration::from(self.batch_interval).as_millis();
        if !(10..=250).contains(&interval) {
            return Err(format!(
                "batch_interval is {}: must be 10ms to 250ms",
                self.batch_interval
            ));
        }
        let ring = self.ring_bytes.as_u64();
        if !ring.is_power_of_two() || !(65_536..=1 << 28).contains(&ring) {
            return Err(format!(
                "ring_bytes is {ring}: must be a power of two, 64KiB to 256MiB"
            ));
        }
        if self.spool_bytes.as_u64() < 1 << 20 {
            return Err(format!(
                "spool_bytes is {}: must be 1MiB or more",
                self.spool_bytes
            ));
        }
        if !(self.cpu_budget > 0.0 && self.cpu_budget <= 100_000.0) {
            return Err(format!(
                "cpu_budget is {}: must be more than 0 (percent of one core)",
                self.cpu_budget
            ));
        }
        if self.memory_budget.as_u64() < 8 << 20 {
            return Err(format!(
                "memory_budget is {}: must be 8MiB or more",
                self.memory_budget
            ));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("tls_cert and tls_key need each other".into());
        }
        if self.listen_tls_cert.is_some() != self.listen_tls_key.is_some() {
            return Err("listen_tls_cert and listen_tls_key need each other".into());
        }
        self.posture().map(|_| ())
    }

    /// How /metrics is protected.
    ///
    /// # Errors
    /// When others could read it unprotected.
    pub fn posture(&self) -> Result<Posture, String> {
        let protection = Protection {
            tls: self.listen_tls_cert.is_some(),
            authentication: self.listen_token_file.is_some(),
        };
        let how = "--listen-tls-cert, --listen-tls-key and --listen-token-file";
        listen::check(self.listen.ip(), protection, self.insecure_listen, how)
            .map_err(|error| error.to_string())
    }

    /// Whether an aggregator of the configuration is dialled with TLS.
    #[must_use]
    pub fn any_aggregator_tls(&self) -> bool {
        self.aggregator
            .iter()
            .any(|url| url.starts_with("https://"))
    }

    /// Which aggregators may be dialled, also those that an aggregator names.
    #[must_use]
    pub fn may_dial(&self) -> MayDial {
        MayDial {
            insecure: self.insecure_aggregator,
            // Where all are dialled with TLS, none is dialled without.
            plain: self.aggregator.iter().any(|url| url.starts_with("http://")),
            tls: self.any_aggregator_tls(),
        }
    }

    /// Why containers of this node are not controlled; `None` when they are. Over plain HTTP from
    /// another machine, anyone on the way could.
    #[must_use]
    pub fn control_refused(&self) -> Option<&'static str> {
        if self.control == Control::Off {
            return Some("--control off");
        }
        let protected = |url: &String| url.starts_with("https://") || host_is_near(url);
        let protected = self.aggregator.iter().all(protected);
        (!protected).then_some("the aggregator is on another machine and dialled without TLS")
    }

    fn check_aggregator(&self) -> Result<(), String> {
        if self.aggregator.is_empty() || self.aggregator.len() > AGGREGATORS_MAX {
            return Err(format!("aggregator: 1 to {AGGREGATORS_MAX} addresses"));
        }
        let may_dial = self.may_dial();
        self.aggregator
            .iter()
            .try_for_each(|url| may_dial.check(url))
    }
}

/// Which aggregators may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MayDial {
    insecure: bool,
    plain: bool,
    tls: bool,
}

impl MayDial {
    /// Whether this one may be.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check(&self, url: &str) -> Result<(), String> {
        let uri: tonic::transport::Uri = url
            .parse()
            .map_err(|error| format!("aggregator {url:?} is no URL: {error}"))?;
        let Some(host) = uri.host() else {
            return Err(format!("aggregator {url:?} names no host"));
        };
        match uri.scheme_str() {
            Some("https") if self.tls => Ok(()),
            Some("https") => Err(format!(
                "aggregator {url:?}: name one with https:// (--aggregator), so that its certificate can be checked"
            )),
            Some("http") if !self.plain => Err(format!(
                "refusing plain http to {host}: the aggregators of the configuration are dialled with https://"
            )),
            Some("http") if is_near(host) || self.insecure => Ok(()),
            Some("http") => Err(format!(
                "refusing plain http to {host}, which is not this machine: use https:// (with --tls-ca, and \
                 --tls-cert/--tls-key or --token-file), or accept by name that anyone on the way can read and \
                 change what the agent reports (--insecure-aggregator)"
            )),
            _ => Err(format!(
                "aggregator {url:?}: must begin with http:// or https://"
            )),
        }
    }
}

fn host_is_near(url: &str) -> bool {
    let uri: Option<tonic::transport::Uri> = url.parse().ok();
    uri.as_ref().and_then(|uri| uri.host()).is_some_and(is_near)
}

/// Whether this host of a URL is this machine.
fn is_near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Config, String> {
        let all = std::iter::once("mesoscope-agent").chain(args.iter().copied());
        let config = Config::try_parse_from(all).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn defaults_are_valid() {
        let config = parsed(&[]).expect("defaults");
        assert_eq!(config.listen.port(), 4042);
        assert!(!config.any_aggregator_tls());
    }

    #[test]
    fn containers_are_controlled_only_where_nobody_else_can_speak_for_the_aggregator() {
        let refused = |args: &[&str]| parsed(args).expect("valid").control_refused();
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&["--aggregator", "https://map.example:4041"]), None);
        assert_eq!(refused(&["--control", "off"]), Some("--control off"));
        let plain = [
            "--aggregator",
            "http://10.0.0.1:4041",
            "--insecure-aggregator",
        ];
        let reason = refused(&plain).expect("refused");
        assert!(reason.contains("without TLS"), "{reason}");
    }

    #[test]
    fn what_is_unsafe_or_senseless_is_refused_with_a_way_out() {
        for (args, hint) in [
            (
                &["--aggregator", "http://10.0.0.1:4041"][..],
                "--insecure-aggregator",
            ),
            (&["--aggregator", "ftp://localhost"], "https://"),
            (&["--aggregator", "::"], "URL"),
            (&["--listen", "0.0.0.0:4042"], "--insecure-listen"),
            (&["--agent-id", "a/b"], "agent_id"),
            (&["--batch-interval", "1s"], "250ms"),
            (&["--ring-bytes", "1000000"], "power of two"),
            (&["--cpu-budget", "0"], "cpu_budget"),
            (&["--cpu-budget", "NaN"], "cpu_budget"),
            (&["--tls-cert", "/x"], "tls_key"),
            (&["--nonsense"], "--nonsense"),
        ] {
            let error = parsed(args).expect_err("must be refused");
            assert!(error.contains(hint), "{args:?}: {error}");
        }
        parsed(&[
            "--aggregator",
            "http://10.0.0.1:4041",
            "--insecure-aggregator",
        ])
        .expect("by name");
        parsed(&[
            "--aggregator",
            "https://map.example:4041",
            "--token-file",
            "/x",
        ])
        .expect("TLS");
        parsed(&["--aggregator", "http://[::1]:4041"]).expect("loopback");
    }

    #[test]
    fn an_agent_is_not_sent_where_its_configuration_would_not_let_it_go() {
        let may_dial = |url: &str| parsed(&["--aggregator", url]).expect("valid").may_dial();
        let secured = may_dial("https://a.example:4041,https://b.example:4041");
        secured.check("https://c.example:4041").expect("TLS");
        secured.check("http://127.0.0.1:4041").expect_err("plain");
        let near = may_dial("http://127.0.0.1:4041");
        near.check("http://[::1]:4042").expect("near");
        near.check("http://c.example:4041").expect_err("far");
        near.check("https://c.example:4041").expect_err("unchecked");
        let error = parsed(&["--aggregator", "https://a:4041,http://b:4041"]);
        assert!(error.expect_err("plain").contains("--insecure-aggregator"));
    }
}
