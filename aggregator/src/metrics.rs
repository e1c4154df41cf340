//! The figures of `/metrics`. What is counted as it happens lives here; what is read from the
//! topology at each scrape is in `api/metrics.rs`.

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Where the figures are gathered.
    pub registry: Registry,
    /// The agents' streams.
    pub ingest: Ingest,
    /// Views and their subscribers.
    pub views: Views,
    /// What operators set.
    pub settings: Settings,
    /// Other aggregators that share the agents.
    pub members: Members,
    /// Events that subscribers were too slow for.
    pub events_missed: IntCounter,
    /// HTTP requests refused before they reached a handler, by reason.
    pub refused_requests: IntCounterVec,
    /// Entries that could not be written to the audit.
    pub audit_errors: IntCounter,
    /// What the page last told of its rendering.
    pub ui_render_time_ms: Gauge,
    /// 1 while listening beyond loopback without TLS and authentication.
    pub insecure_listen: IntGauge,
}

/// Figures of the agents' streams.
#[derive(Debug)]
pub struct Ingest {
    /// Batches that arrived.
    pub batches: IntCounter,
    /// Changes that were handed to the topology.
    pub changes: IntCounter,
    /// Reports that were taken in.
    pub reports: IntCounter,
    /// Batches that had been taken in before.
    pub duplicates: IntCounter,
    /// Batches dropped while waiting for a snapshot.
    pub dropped: IntCounter,
    /// Snapshots asked for after a gap.
    pub resyncs: IntCounter,
    /// Changes, batches and streams refused, by reason.
    pub refused: IntCounterVec,
    /// Messages that could not be decoded, by reason.
    pub decode_errors: IntCounterVec,
}

/// Figures of the views.
#[derive(Debug)]
pub struct Views {
    /// Views that are kept, by their kind.
    pub shared: IntGaugeVec,
    /// Nodes, by view, of the view with the most.
    pub nodes: IntGaugeVec,
    /// Edges, by view, of the view with the most.
    pub edges: IntGaugeVec,
    /// Subscribers, by transport.
    pub subscribers: IntGaugeVec,
    /// From a change of the topology to the difference in the subscribers' hands.
    pub diff_latency: Histogram,
    /// Making one difference, the layout included.
    pub diff_build: Histogram,
    /// Differences merged into another one because the subscriber was slow.
    pub coalesced: IntCounter,
    /// Subscribers so slow that they were given the whole view anew.
    pub restarted: IntCounter,
}

/// Figures of the aggregators that share the agents.
#[derive(Debug)]
pub struct Members {
    /// Batches that others relayed.
    pub batches: IntCounter,
    /// Agents sent to another one.
    pub redirects: IntCounter,
    /// Connections to others that broke.
    pub losses: IntCounter,
}

/// Figures of what operators set.
#[derive(Debug)]
pub struct Settings {
    /// 1 while it survives a restart.
    pub kept: IntGauge,
    /// Writes that failed.
    pub write_errors: IntCounter,
}

impl Metrics {
    /// Fresh figures, all zero.
    ///
    /// # Errors
    /// When two figures have the same name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        mesoscope_service::process::register(&registry)?;
        let make = Maker(&registry);
        let ingest = Ingest {
            batches: make.counter("mesoscope_ingest_batches_total", "Batches that arrived.")?,
            changes: make.counter("mesoscope_ingest_changes_total", "Changes taken in.")?,
            reports: make.counter(
                "mesoscope_ingest_reports_total",
                "Reports that were taken in.",
            )?,
            duplicates: make.counter(
                "mesoscope_ingest_duplicates_total",
                "Batches that had been taken in before.",
            )?,
            dropped: make.counter(
                "mesoscope_ingest_dropped_total",
                "Batches dropped while waiting for a snapshot.",
            )?,
            resyncs: make.counter(
                "mesoscope_ingest_resyncs_total",
                "Snapshots asked for after a gap.",
            )?,
            refused: make.counters(
                "mesoscope_ingest_refused_total",
                "Changes, batches and streams refused.",
                "reason",
            )?,
            decode_errors: make.counters(
                "mesoscope_ingest_decode_errors_total",
                "Messages that could not be decoded.",
                "reason",
            )?,
        };
        let views = Views {
            shared: make.gauges("mesoscope_views", "Views that are kept.", "view")?,
            nodes: make.gauges("mesoscope_view_nodes", "Nodes of the largest view.", "view")?,
            edges: make.gauges("mesoscope_view_edges", "Edges of the largest view.", "view")?,
            subscribers: make.gauges(
                "mesoscope_subscribers",
                "Subscribers of views and events.",
                "transport",
            )?,
            diff_latency: make.histogram(
                "mesoscope_diff_latency_seconds",
                "From a change of the topology to the difference in the subscribers' hands.",
            )?,
            diff_build: make.histogram(
                "mesoscope_diff_build_seconds",
                "Making one difference, the layout included.",
            )?,
            coalesced: make.counter(
                "mesoscope_diffs_coalesced_total",
                "Differences merged into another one because the subscriber was slow.",
            )?,
            restarted: make.counter(
                "mesoscope_subscribers_restarted_total",
                "Subscribers so slow that they were given the whole view anew.",
            )?,
        };
        for transport in ["websocket", "grpc", "events"] {
            views.subscribers.with_label_values(&[transport]);
        }
        let settings = Settings {
            kept: make.registered(IntGauge::new(
                "mesoscope_settings_kept",
                "1 while what operators set survives a restart of the aggregator.",
            )?)?,
            write_errors: make.counter(
                "mesoscope_settings_write_errors_total",
                "Changes of settings that could not be written and were not made.",
            )?,
        };
        let members = Members {
            batches: make.counter(
                "mesoscope_members_batches_total",
                "Batches of agents that other aggregators relayed.",
            )?,
            redirects: make.counter(
                "mesoscope_members_redirects_total",
                "Agents that were sent to another aggregator.",
            )?,
            losses: make.counter(
                "mesoscope_members_losses_total",
                "Connections to other aggregators that broke.",
            )?,
        };
        Ok(Self {
            ingest,
            views,
            settings,
            members,
            events_missed: make.counter(
                "mesoscope_events_missed_total",
                "Events that subscribers were too slow for.",
            )?,
            refused_requests: make.counters(
                "mesoscope_http_refused_total",
                "HTTP requests refused before they reached a handler.",
                "reason",
            )?,
            audit_errors: make.counter(
                "mesoscope_audit_errors_total",
                "Entries that could not be written to the audit.",
            )?,
            ui_render_time_ms: make.registered(Gauge::new(
                "scope_ui_render_time_ms",
                "Time that the page last took to draw the map, milliseconds.",
            )?)?,
            insecure_listen: make.registered(IntGauge::new(
                "mesoscope_insecure_listen",
                "1 while listening beyond loopback without TLS and authentication.",
            )?)?,
            registry,
        })
    }
}

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn registered<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        self.registered(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    fn histogram(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        // From 0.1 ms to 3.3 s.
        let buckets = prometheus::exponential_buckets(0.0001, 2.0, 16)?;
        self.registered(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(buckets),
        )?)
    }
}
