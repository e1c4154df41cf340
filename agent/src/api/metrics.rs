//! The agent's figures as Prometheus text.

mod plugins;

use mesoscope_capture::CaptureStats;
use mesoscope_proto::v1::PluginStatus;
use prometheus::core::Collector;
use prometheus::{Counter, CounterVec, Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder};

use crate::core::node_state::state::Counters;
use crate::core::node_state::{Limits, Sizes};
use crate::core::session::SessionCounters;
use crate::run::control::{ACTIONS_MAX, FILES_MAX, LOGS_MAX, TERMINALS_MAX, Used};

/// What a scrape shows, as the driver knows it at that moment.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // each is documented by its metric below
pub struct Figures {
    pub agent_id: String,
    pub connected: bool,
    pub governor: &'static str,
    pub governor_level: u8,
    pub gaps_open: usize,
    pub cpu_percent: f64,
    pub cpu_budget_percent: f64,
    pub memory_budget_bytes: u64,
    pub capture: CaptureStats,
    pub sizes: Sizes,
    pub limits: Limits,
    pub counters: Counters,
    pub session: SessionCounters,
    pub spool_bytes: usize,
    pub spool_limit_bytes: usize,
    pub cgroups: usize,
    pub cgroups_limit: usize,
    pub sockets_interval_seconds: f64,
    pub tier2: bool,
    /// What operators have under way.
    pub control: Used,
    pub plugins: Vec<PluginStatus>,
    /// Counters of the sources beside the kernel: source, what, count.
    pub sources: Vec<(&'static str, &'static str, u64)>,
}

/// The text of a scrape.
///
/// # Errors
/// When a metric can't be made; its name would be malformed.
pub fn render(figures: &Figures) -> prometheus::Result<String> {
    let page = Page {
        registry: Registry::new(),
    };
    mesoscope_service::process::register(&page.registry)?;
    own(&page, figures)?;
    capture(&page, &figures.capture)?;
    state(&page, figures)?;
    uplink(&page, figures)?;
    plugins::plugins(&page, &figures.plugins)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn own(page: &Page, figures: &Figures) -> prometheus::Result<()> {
    page.gauge(
        "scope_probe_cpu_percent",
        "CPU that the agent uses, percent of one core.",
        figures.cpu_percent,
    )?;
    page.gauge(
        "mesoscope_agent_cpu_budget_percent",
        "CPU beyond which the agent leaves out detail.",
        figures.cpu_budget_percent,
    )?;
    page.gauge(
        "mesoscope_agent_memory_budget_bytes",
        "Memory beyond which the agent leaves out detail.",
        float(figures.memory_budget_bytes),
    )?;
    page.gauge(
        "mesoscope_agent_governor_level",
        "What the agent leaves out to stay within its budget: 0 nothing, 1 reduced, 2 minimal.",
        f64::from(figures.governor_level),
    )?;
    page.gauge(
        "mesoscope_agent_gaps_open",
        "Things that the map does not show now.",
        count(figures.gaps_open),
    )?;
    page.gauge(
        "mesoscope_agent_tier2",
        "1 while the per-packet hooks are on.",
        f64::from(u8::from(figures.tier2)),
    )?;
    page.gauge(
        "mesoscope_agent_socket_pass_interval_seconds",
        "Pause between two passes over all sockets.",
        figures.sockets_interval_seconds,
    )?;
    let sources = figures
        .sources
        .iter()
        .map(|(source, what, value)| ([*source, *what], float(*value)));
    page.counters(
        "mesoscope_agent_source_total",
        "Counters of the sources beside the kernel's events.",
        &["source", "what"],
        sources,
    )
}

fn capture(page: &Page, stats: &CaptureStats) -> prometheus::Result<()> {
    let kind = |(kind, value): &(mesoscope_capture::RecordKind, u64)| {
        ([format!("{kind:?}").to_lowercase()], float(*value))
    };
    page.counters(
        "mesoscope_agent_events_total",
        "Kernel events read.",
        &["kind"],
        stats.received.iter().map(kind),
    )?;
    page.counters(
        "mesoscope_agent_events_lost_total",
        "Kernel events that the buffer had no room for.",
        &["kind"],
        stats.losses.lost.iter().map(kind),
    )?;
    page.counter(
        "mesoscope_agent_events_malformed_total",
        "Kernel events that were not understood.",
        float(stats.malformed),
    )?;
    let withheld: u64 = stats
        .losses
        .withheld
        .iter()
        .map(|withheld| withheld.count)
        .sum();
    page.counter(
        "mesoscope_agent_events_withheld_total",
        "Kernel events that the rate cap withheld.",
        float(withheld),
    )?;
    page.gauge(
        "mesoscope_agent_cgroups_withheld",
        "Cgroups that the rate cap has bitten.",
        count(stats.losses.withheld.len()),
    )?;
    page.gauge(
        "mesoscope_agent_ring_used_bytes",
        "Fill of the kernel's event buffer at the last drain.",
        float(stats.ring_used_bytes),
    )?;
    page.gauge(
        "mesoscope_agent_ring_size_bytes",
        "Size of the kernel's event buffer.",
        float(stats.ring_size_bytes),
    )?;
    programs(page, stats)?;
    page.gauges(
        "mesoscope_agent_bpf_map_entries",
        "Entries of each kernel map that can fill.",
        &["map"],
        stats
            .maps
            .iter()
            .map(|map| ([map.name.clone()], float(map.entries))),
    )?;
    page.gauges(
        "mesoscope_agent_bpf_map_capacity",
        "Bound of each kernel map that can fill.",
        &["map"],
        stats
            .maps
            .iter()
            .map(|map| ([map.name.clone()], float(map.capacity))),
    )
}

/// What was not measured is absent, not 0.
fn programs(page: &Page, stats: &CaptureStats) -> prometheus::Result<()> {
    if stats.programs_measured_ns == 0 {
        return Ok(());
    }
    let programs = || stats.programs.iter();
    page.counter(
        "mesoscope_agent_bpf_sampled_seconds_total",
        "Time in which the run time of kernel programs was measured: a second in a minute, or always with --bpf-statistics.",
        float(stats.programs_measured_ns) / 1e9,
    )?;
    page.counters(
        "mesoscope_agent_bpf_run_seconds_total",
        "Run time of each kernel program within mesoscope_agent_bpf_sampled_seconds_total; its rate by that one's rate is the share of a core.",
        &["program"],
        programs().map(|program| ([program.name.clone()], float(program.run_time_ns) / 1e9)),
    )?;
    page.counters(
        "mesoscope_agent_bpf_runs_total",
        "Runs of each kernel program within mesoscope_agent_bpf_sampled_seconds_total.",
        &["program"],
        programs().map(|program| ([program.name.clone()], float(program.run_count))),
    )
}

fn state(page: &Page, figures: &Figures) -> prometheus::Result<()> {
    let (sizes, limits) = (&figures.sizes, &figures.limits);
    let fills = [
        ("control_actions", figures.control.actions, ACTIONS_MAX),
        ("control_logs", figures.control.logs, LOGS_MAX),
        ("control_files", figures.control.files, FILES_MAX),
        (
            "control_terminals",
            figures.control.terminals,
            TERMINALS_MAX,
        ),
        ("processes", sizes.processes, limits.processes),
        (
            "processes_ended",
            sizes.processes_ended,
            limits.processes_ended,
        ),
        ("connections", sizes.connections, limits.connections),
        (
            "connections_ended",
            sizes.connections_ended,
            limits.connections_ended,
        ),
        (
            "connections_unowned",
            sizes.unowned,
            crate::core::node_state::UNOWNED_MAX,
        ),
        ("listeners", sizes.listeners, limits.listeners),
        ("containers", sizes.containers, limits.containers),
        ("flows", sizes.flows, limits.flows),
        ("names", sizes.names, limits.names),
        (
            "details_waiting",
            sizes.details_waiting,
            crate::core::node_state::DETAILS_WAITING_MAX,
        ),
        ("cgroups", figures.cgroups, figures.cgroups_limit),
        (
            "plugin_facts",
            sizes.plugin_facts,
            mesoscope_plugins::PLUGINS_MAX * mesoscope_plugins::nodes::NODES_MAX,
        ),
    ];
    page.gauges(
        "mesoscope_agent_state_entries",
        "What the agent keeps of the node.",
        &["table"],
        fills
            .iter()
            .map(|(table, fill, _)| ([*table], count(*fill))),
    )?;
    page.gauges(
        "mesoscope_agent_state_limit",
        "Bound of what the agent keeps of the node.",
        &["table"],
        fills
            .iter()
            .map(|(table, _, limit)| ([*table], count(*limit))),
    )?;
    let counters = &figures.counters;
    let left_out = [
        ("over_limit", counters.over_limit),
        ("exit_of_unknown_process", counters.exits_unknown),
        ("end_of_unknown_socket", counters.ends_unknown),
        ("end_repeated", counters.ends_repeated),
    ];
    page.counters(
        "mesoscope_agent_left_out_total",
        "What was told to the agent and not taken over, by the reason.",
        &["reason"],
        left_out
            .iter()
            .map(|(reason, value)| ([*reason], float(*value))),
    )
}

fn uplink(page: &Page, figures: &Figures) -> prometheus::Result<()> {
    let session = &figures.session;
    page.gauge(
        "mesoscope_agent_connected",
        "1 while the aggregator is there.",
        f64::from(u8::from(figures.connected)),
    )?;
    page.gauge(
        "mesoscope_agent_spool_bytes",
        "Batches that were not acknowledged.",
        count(figures.spool_bytes),
    )?;
    page.gauge(
        "mesoscope_agent_spool_limit_bytes",
        "Bound of the spool.",
        count(figures.spool_limit_bytes),
    )?;
    page.counter(
        "mesoscope_agent_batches_total",
        "Batches made.",
        float(session.batches),
    )?;
    page.counter(
        "mesoscope_agent_batch_bytes_total",
        "Bytes of the batches made.",
        float(session.batch_bytes),
    )?;
    page.counter(
        "mesoscope_agent_snapshots_total",
        "Snapshots sent.",
        float(session.snapshots),
    )?;
    page.counter(
        "mesoscope_agent_connects_total",
        "Streams made to the aggregator.",
        float(session.connects),
    )?;
    page.counter(
        "mesoscope_agent_resyncs_total",
        "Snapshots that the aggregator asked for.",
        float(session.resyncs),
    )?;
    page.counter(
        "mesoscope_agent_spool_overflows_total",
        "Times that the spool was full.",
        float(session.overflows),
    )
}

struct Page {
    registry: Registry,
}

impl Page {
    fn add(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    fn gauge(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.add(gauge)
    }

    fn counter(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let counter = Counter::new(name, help)?;
        counter.inc_by(value);
        self.add(counter)
    }

    fn gauges<const N: usize, L: AsRef<str>>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl Iterator<Item = ([L; N], f64)>,
    ) -> prometheus::Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
        for (of, value) in values {
            let of: Vec<&str> = of.iter().map(AsRef::as_ref).collect();
            gauges.get_metric_with_label_values(&of)?.set(value);
        }
        self.add(gauges)
    }

    fn counters<const N: usize, L: AsRef<str>>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl Iterator<Item = ([L; N], f64)>,
    ) -> prometheus::Result<()> {
        let counters = CounterVec::new(Opts::new(name, help), labels)?;
        for (of, value) in values {
            let of: Vec<&str> = of.iter().map(AsRef::as_ref).collect();
            counters.get_metric_with_label_values(&of)?.inc_by(value);
        }
        self.add(counters)
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_capture::{ProgramStats, RecordKind};

    #[test]
    fn what_kernel_programs_cost_is_absent_until_it_was_measured() {
        let program = ProgramStats {
            name: "sched_process_fork".to_owned(),
            run_time_ns: 2_500_000,
            run_count: 5_000,
        };
        let text = |programs_measured_ns| {
            let figures = Figures {
                capture: CaptureStats {
                    programs: vec![program.clone()],
                    programs_measured_ns,
                    ..CaptureStats::default()
                },
                ..Figures::default()
            };
            render(&figures).expect("well-formed names")
        };
        let never = text(0);
        assert!(!never.contains("_bpf_run") && !never.contains("_bpf_sampled"));
        let once = text(1_000_000_000);
        for line in [
            "mesoscope_agent_bpf_sampled_seconds_total 1",
            "mesoscope_agent_bpf_run_seconds_total{program=\"sched_process_fork\"} 0.0025",
            "mesoscope_agent_bpf_runs_total{program=\"sched_process_fork\"} 5000",
        ] {
            assert!(once.lines().any(|l| l == line), "{line} is not in\n{once}");
        }
    }

    #[test]
    fn a_scrape_has_what_dashboards_expect() {
        let figures = Figures {
            cpu_percent: 1.5,
            capture: CaptureStats {
                received: vec![(RecordKind::TcpEnd, 7)],
                ..CaptureStats::default()
            },
            sources: vec![("docker", "events", 3)],
            ..Figures::default()
        };
        let text = render(&figures).expect("well-formed names");
        for line in [
            "scope_probe_cpu_percent 1.5",
            "mesoscope_agent_events_total{kind=\"tcpend\"} 7",
            "mesoscope_agent_source_total{source=\"docker\",what=\"events\"} 3",
            "mesoscope_agent_state_limit{table=\"processes\"} 32768",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
