//! The command line.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use mesoscope_proto::v1::EventKind;
use mesoscope_service::units::Duration;

/// The map of what runs and who talks to whom, live, in a terminal.
#[derive(Debug, Parser)]
#[command(
    name = "mesoscope",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 64 wrong usage, 69 the aggregator can't be reached."
)]
pub struct Arguments {
    #[command(flatten)]
    pub server: Server,
    /// When to use colours
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the aggregator is and how to get in.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// gRPC address of the aggregator
    #[arg(
        long = "server",
        global = true,
        env = "MESOSCOPE_SERVER",
        default_value = "http://127.0.0.1:4041",
        value_name = "URL"
    )]
    pub url: String,
    /// CA of the aggregator's certificate, for an https:// server (default: the system's)
    #[arg(long, global = true, env = "MESOSCOPE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Our certificate, where the aggregator asks for one
    #[arg(
        long,
        global = true,
        env = "MESOSCOPE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The key of our certificate
    #[arg(
        long,
        global = true,
        env = "MESOSCOPE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// File with our token, where the aggregator asks for one
    #[arg(long, global = true, env = "MESOSCOPE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What happens, as it happens: processes, connections, containers
    Events(Events),
    /// What is there: the nodes of a view and the edges between them
    Topology(Topology),
    /// The busiest processes, containers or hosts, refreshed in place
    Top(Top),
    /// The agents: connected, complete, and what each costs and lacks
    Agents(Agents),
    /// Everything known of one node
    Node(Node),
    /// The nodes that a search means
    Search(Search),
    /// Values over time of a host, container or process
    Series(Series),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct Events {
    /// Only these kinds (may be repeated)
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<Kind>,
    /// Only these hosts (names or agent ids)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Only these containers (names or ids)
    #[arg(long, value_name = "CONTAINER", value_delimiter = ',')]
    pub container: Vec<String>,
    /// Only processes whose name or command line contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub process: String,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Stop after this many events
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// Kinds of events as one types them; the groups stand for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Started, exec, exited
    Process,
    /// A process was forked
    Started,
    /// A process began another program
    Exec,
    /// A process ended
    Exited,
    /// Opened, closed, failed
    Connection,
    /// A connection was opened
    Opened,
    /// A connection was closed
    Closed,
    /// A connection could not be made
    Failed,
    /// A container changed
    Container,
    /// A cgroup changed
    Cgroup,
    /// Something that the map does not show
    Gap,
    /// An agent came or went
    Agent,
}

impl Kind {
    /// The wire's kinds.
    pub fn wire(self) -> &'static [EventKind] {
        match self {
            Self::Process => &[
                EventKind::ProcessStarted,
                EventKind::ProcessExec,
                EventKind::ProcessExited,
            ],
            Self::Started => &[EventKind::ProcessStarted],
            Self::Exec => &[EventKind::ProcessExec],
            Self::Exited => &[EventKind::ProcessExited],
            Self::Connection => &[
                EventKind::ConnectionOpened,
                EventKind::ConnectionClosed,
                EventKind::ConnectionFailed,
            ],
            Self::Opened => &[EventKind::ConnectionOpened],
            Self::Closed => &[EventKind::ConnectionClosed],
            Self::Failed => &[EventKind::ConnectionFailed],
            Self::Container => &[EventKind::Container],
            Self::Cgroup => &[EventKind::Cgroup],
            Self::Gap => &[EventKind::Gap],
            Self::Agent => &[EventKind::Agent],
        }
    }
}

/// The views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// One node per process
    Processes,
    /// Processes of the same name together
    ProcessesByName,
    /// One node per container
    Containers,
    /// Containers of the same image together, whatever its tag
    ContainersByImage,
    /// Containers with the same host name together
    ContainersByHostname,
    /// One node per port that a container or host listens on
    Services,
    /// One node per host
    Hosts,
}

impl View {
    /// As the wire names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::ProcessesByName => "processes-by-name",
            Self::Containers => "containers",
            Self::ContainersByImage => "containers-by-image",
            Self::ContainersByHostname => "containers-by-hostname",
            Self::Services => "services",
            Self::Hosts => "hosts",
        }
    }
}

#[derive(Debug, Args)]
pub struct Topology {
    /// Which view
    #[arg(long, default_value = "containers")]
    pub view: View,
    /// Only nodes of these hosts (names or agent ids)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Also nodes without any connection, in the views of processes too
    #[arg(long)]
    pub unconnected: bool,
    /// Also containers of the platform: sandboxes of pods, kube-system
    #[arg(long)]
    pub system: bool,
    /// Not what runs outside of containers, in views of containers
    #[arg(long)]
    pub contained: bool,
    /// Also kernel threads
    #[arg(long)]
    pub kernel_threads: bool,
    /// Only what still runs
    #[arg(long)]
    pub running: bool,
    /// Go on with each change as it happens
    #[arg(long)]
    pub watch: bool,
    /// As it was: a time (2026-11-21T12:00:00Z), or how long ago (10m, 90s)
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "watch")]
    pub at: Option<Moment>,
    /// The view as a JSON object; with --watch, one for each change
    #[arg(long)]
    pub json: bool,
}

/// A moment of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When it was, in Unix milliseconds.
    pub unix_ms: u64,
}

/// Value parser of a moment.
fn moment(text: &str) -> Result<Moment, String> {
    moment_before(text, SystemTime::now())
}

fn moment_before(text: &str, now: SystemTime) -> Result<Moment, String> {
    let at = match humantime::parse_duration(text) {
        Ok(ago) => now.checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    let unix = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let unix_ms = unix.and_then(|unix| u64::try_from(unix.as_millis()).ok());
    match unix_ms {
        Some(unix_ms) if unix_ms > 0 => Ok(Moment { unix_ms }),
        _ => Err("neither a time (2026-11-21T12:00:00Z) nor how long ago (10m)".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct Top {
    /// What to list
    #[arg(long, default_value = "processes")]
    pub view: View,
    /// What to sort by
    #[arg(long, default_value = "cpu")]
    pub sort: Sort,
    /// Only these hosts (names or agent ids)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Print once and stop
    #[arg(long)]
    pub once: bool,
    /// Seconds between refreshes
    #[arg(long, default_value_t = 1.0, value_parser = interval)]
    pub interval: f64,
    /// Rows to print where there is no terminal
    #[arg(long, default_value_t = 40, value_name = "NUMBER")]
    pub rows: usize,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("between 0.1 and 3600 seconds".to_owned())
    }
}

/// What `top` sorts by; the letter is its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// c
    Cpu,
    /// m
    Memory,
    /// n
    Network,
    /// o
    Connections,
}

#[derive(Debug, Args)]
pub struct Agents {
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Node {
    /// Which view it is of
    pub view: View,
    /// Its id, or its label or the beginning of a container id where only one node fits
    pub id: String,
    /// Also environment variables: they may hold secrets
    #[arg(long)]
    pub environment: bool,
    /// As a JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Search {
    /// The search: words, key:value, key > 2%, /regex/, AND, OR, NOT; of several all must match
    #[arg(required = true, value_name = "SEARCH")]
    pub searches: Vec<String>,
    /// Only in this view (default: processes, containers and hosts)
    #[arg(long)]
    pub view: Option<View>,
    /// Also kernel threads
    #[arg(long)]
    pub kernel_threads: bool,
    /// Stop after this many nodes
    #[arg(short = 'n', long, default_value_t = 100, value_name = "NUMBER")]
    pub count: usize,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Series {
    /// The node's id, as `mesoscope search` prints it
    pub id: String,
    /// Only these metrics (may be repeated)
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// How far back: 15m, 1h (default: the whole retention)
    #[arg(long, value_name = "DURATION")]
    pub last: Option<Duration>,
    /// Length of a step
    #[arg(long, default_value = "15s", value_name = "DURATION")]
    pub step: Duration,
    /// One JSON object a line, NaN where nothing is known
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = UNIX_EPOCH + std::time::Duration::from_millis(1_800_000_000_500);
        let of = |text| moment_before(text, now).map(|moment| moment.unix_ms);
        assert_eq!(of("10m"), Ok(1_800_000_000_500 - 600_000));
        assert_eq!(of("2026-11-21T12:00:02Z"), Ok(1_795_262_402_000));
        assert_eq!(of("2026-11-21 12:00:02"), Ok(1_795_262_402_000));
        for bad in ["", "yesterday", "100y", "12:00", "1960-01-01T00:00:00Z"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn views_are_typed_as_the_wire_names_them() {
        for view in View::value_variants() {
            let typed = view.to_possible_value().expect("not hidden");
            assert_eq!(typed.get_name(), view.name());
        }
    }

    #[test]
    fn kinds_may_be_listed_and_repeated() {
        let arguments = Arguments::try_parse_from([
            "mesoscope",
            "events",
            "--kind",
            "exec,failed",
            "--kind",
            "gap",
        ])
        .expect("valid");
        let Command::Events(events) = arguments.command else {
            panic!("events");
        };
        assert_eq!(events.kind, [Kind::Exec, Kind::Failed, Kind::Gap]);
    }

    #[test]
    fn an_interval_out_of_range_is_refused() {
        for wrong in ["0", "NaN", "-1", "x", "1e9"] {
            assert!(
                Arguments::try_parse_from(["mesoscope", "top", "--interval", wrong]).is_err(),
                "{wrong}"
            );
        }
    }
}
