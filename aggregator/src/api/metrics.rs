//! `/metrics`: what was counted, and what the topology holds at the moment of the scrape, so that
//! series of agents that are gone end with them.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesoscope_history::Reach;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, GaugeVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder};

use super::Api;
use super::error::ApiError;
use crate::ingest::WAITING_BYTES_MAX;
use crate::webhooks::QUEUE_MAX;
use crate::{archive, control, events, labels, store, views};

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "aggregator", operation_id = "metrics",
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
        (status = 500, description = "They can't be encoded"),
    ))]
pub(super) async fn scrape(State(api): State<Api>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    let encoded = gather(&api).and_then(|families| encoder.encode(&families, &mut text));
    match encoded {
        Ok(()) => (
            [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
            text,
        )
            .into_response(),
        Err(error) => {
            let refused = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error, "report this");
            refused.into_response()
        }
    }
}

fn gather(api: &Api) -> prometheus::Result<Vec<MetricFamily>> {
    api.views.measure();
    let mut families = api.metrics.registry.gather();
    families.extend(agents(api)?);
    families.extend(bounds(api)?);
    families.extend(members(api)?);
    families.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(families)
}

fn agents(api: &Api) -> prometheus::Result<Vec<MetricFamily>> {
    let ints = |name, help| IntGaugeVec::new(Opts::new(name, help), &["agent"]);
    let floats = |name, help| GaugeVec::new(Opts::new(name, help), &["agent"]);
    let connected = ints(
        "mesoscope_agent_connected",
        "1 while the agent has a stream.",
    )?;
    let complete = ints(
        "mesoscope_agent_complete",
        "1 while nothing of its node is missing.",
    )?;
    let seen = floats(
        "mesoscope_agent_last_seen_seconds",
        "When the agent was last heard of, seconds since the Unix epoch.",
    )?;
    let availability = floats(
        "mesoscope_agent_availability",
        "Share of the time since the agent was first seen in which it was connected and complete.",
    )?;
    let cpu = floats(
        "mesoscope_agent_cpu_percent",
        "What the agent says it uses of one core.",
    )?;
    let rss = floats(
        "mesoscope_agent_rss_bytes",
        "What the agent says it uses of memory.",
    )?;
    let lost = IntCounterVec::new(
        Opts::new(
            "mesoscope_agent_events_lost_total",
            "Events that the agent says it lost.",
        ),
        &["agent"],
    )?;
    let list = api.core.read().agents(api.core.now_ms());
    for agent in &list {
        let label = [agent.agent_id.as_str()];
        connected
            .with_label_values(&label)
            .set(agent.connected.into());
        complete
            .with_label_values(&label)
            .set(agent.complete.into());
        seen.with_label_values(&label)
            .set(float(agent.last_seen_unix_ms) / 1_000.0);
        availability
            .with_label_values(&label)
            .set(agent.availability);
        if let Some(status) = &agent.status {
            cpu.with_label_values(&label).set(status.cpu_percent);
            rss.with_label_values(&label).set(float(status.rss_bytes));
            lost.with_label_values(&label)
                .inc_by(status.events_lost_total);
        }
    }
    let known = prometheus::IntGauge::new("mesoscope_agents", "Agents known, connected or not.")?;
    known.set(i64::try_from(list.len()).unwrap_or(i64::MAX));
    let count = prometheus::IntGauge::new("mesoscope_agents_connected", "Agents with a stream.")?;
    let streams = list.iter().filter(|agent| agent.connected).count();
    count.set(i64::try_from(streams).unwrap_or(i64::MAX));
    let ints = [connected, complete];
    let floats = [seen, availability, cpu, rss];
    Ok(ints
        .iter()
        .flat_map(Collector::collect)
        .chain(floats.iter().flat_map(Collector::collect))
        .chain(lost.collect())
        .chain(known.collect())
        .chain(count.collect())
        .filter(|family| !family.get_metric().is_empty())
        .collect())
}

/// The aggregators that share the agents; none while this one is alone.
fn members(api: &Api) -> prometheus::Result<Vec<MetricFamily>> {
    let there = IntGaugeVec::new(
        Opts::new(
            "mesoscope_member_there",
            "1 while an aggregator that shares the agents is there.",
        ),
        &["member"],
    )?;
    let members = api.registry.members();
    let (own, missing) = (members.own(), members.missing());
    for member in members.members().iter().filter(|member| **member != own) {
        let is_there = missing.iter().all(|missing| missing.member != *member);
        there.with_label_values(&[&**member]).set(is_there.into());
    }
    let families = there.collect().into_iter();
    Ok(families
        .filter(|family| !family.get_metric().is_empty())
        .collect())
}

/// Fill of every bound: of the topology, the views, the connections.
fn bounds(api: &Api) -> prometheus::Result<Vec<MetricFamily>> {
    let gauges = |name, help| IntGaugeVec::new(Opts::new(name, help), &["bound"]);
    let used = gauges("mesoscope_bound_used", "Entries held, by bound.")?;
    let limit = gauges("mesoscope_bound_limit", "Entries allowed, by bound.")?;
    let set = |bound: &str, held: usize, most: usize| {
        used.with_label_values(&[bound])
            .set(i64::try_from(held).unwrap_or(i64::MAX));
        limit
            .with_label_values(&[bound])
            .set(i64::try_from(most).unwrap_or(i64::MAX));
    };
    let stats = api.core.read().stats();
    for fill in &stats.fills {
        set(fill.name, fill.used, fill.limit);
    }
    let (views, ring) = (&api.views, api.core.events());
    set("views", views.kept(), views::VIEWS_MAX);
    set(
        "view_subscribers",
        views.subscribers(),
        views::SUBSCRIBERS_MAX,
    );
    set(
        "event_subscribers",
        ring.subscribers(),
        events::SUBSCRIBERS_MAX,
    );
    set("events_kept", ring.kept(), events::RING_EVENTS);
    let (agents, containers) = api.settings.fill();
    set("settings_agents", agents, store::AGENTS_MAX);
    set("settings_containers", containers, store::CONTAINERS_MAX);
    set("filters", api.filters.count(), store::FILTERS_MAX);
    set("labels_nodes", api.labels.nodes(), labels::NODES_MAX);
    set(
        "members_waiting_bytes",
        api.registry.hub().waiting_bytes(),
        WAITING_BYTES_MAX,
    );
    let (searches, most) = api.searches.fill();
    set("searches", searches, most);
    let (reports, most) = api.reports_fill();
    set("reports", reports, most);
    set("control_logs", api.control.logs(), control::LOGS_MAX);
    set(
        "control_terminals",
        api.control.terminals(),
        control::TERMINALS_MAX,
    );
    set("control_files", api.control.files(), control::FILES_MAX);
    let (waiting, most) = api.control.waiting();
    set("control_requests", waiting, most);
    for (bound, held, most) in api.sign_in.gate.fill() {
        set(bound, held, most);
    }
    let (history, limits) = (api.archive.reach(), api.archive.limits());
    set("history_bytes", history.bytes, limits.bytes_max);
    let (moments, things) = api.archive.moments();
    set("history_moments", moments, archive::MOMENTS_MAX);
    set("history_things", things, archive::MOMENT_THINGS_MAX);
    set("past_views", api.views.past_kept(), views::PLACES_MAX);
    let series = api.series.stats();
    set("series_bytes", series.bytes, api.series.limits().bytes_max);
    for (port, fill) in api.connections.iter() {
        set(port, fill.open(), fill.max());
    }
    let totals = IntCounterVec::new(
        Opts::new(
            "mesoscope_topology_total",
            "What the topology has done, by kind.",
        ),
        &["kind"],
    )?;
    for counter in &stats.counters {
        totals
            .with_label_values(&[counter.name])
            .inc_by(counter.total);
    }
    let values = IntCounterVec::new(
        Opts::new(
            "mesoscope_series_values_total",
            "Values told for time series, by what became of them.",
        ),
        &["outcome"],
    )?;
    for (outcome, total) in [
        ("taken", series.taken),
        ("malformed", series.malformed),
        ("late", series.late),
        ("no room", series.refused),
    ] {
        values.with_label_values(&[outcome]).inc_by(total);
    }
    let shortened = IntCounterVec::new(
        Opts::new(
            "mesoscope_series_shortened_total",
            "Series forgotten early for want of room: of things that had ended, and the oldest part of \
             those that go on.",
        ),
        &["of"],
    )?;
    for (of, total) in [("ended", series.evicted), ("living", series.cramped)] {
        shortened.with_label_values(&[of]).inc_by(total);
    }
    let mut held = gauges_of(&series)?;
    held.extend(webhooks(api)?);
    held.extend(history_families(api, &history)?);
    if let Some(remote_write) = &api.remote_write {
        held.extend(remote_write.stats().families()?);
    }
    let families = used
        .collect()
        .into_iter()
        .chain(limit.collect())
        .chain(totals.collect())
        .chain(values.collect())
        .chain(shortened.collect())
        .chain(held);
    Ok(families
        .filter(|family| !family.get_metric().is_empty())
        .collect())
}

/// How far back the map can be shown.
fn history_families(api: &Api, reach: &Reach) -> prometheus::Result<Vec<MetricFamily>> {
    let gauge = |name, help, value: u64| {
        let gauge = prometheus::IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(gauge.collect())
    };
    let reaches_s = reach.to_ms.saturating_sub(reach.from_ms) / 1_000;
    let waiting = u64::try_from(api.core.feeds().waiting()).unwrap_or(u64::MAX);
    let left_out = u64::try_from(reach.agents_left_out).unwrap_or(u64::MAX);
    let families: prometheus::Result<Vec<_>> = [
        gauge(
            "mesoscope_history_reach_seconds",
            "How far back the map can be shown as it was.",
            reaches_s,
        ),
        gauge(
            "mesoscope_history_shortened",
            "1 while the history reaches less far back than it is to, for want of room.",
            reach.shortened.into(),
        ),
        gauge(
            "mesoscope_history_agents_left_out",
            "Agents whose history has no room at all.",
            left_out,
        ),
        gauge(
            "mesoscope_history_waiting_bytes",
            "What agents told and the history has not taken yet.",
            waiting,
        ),
    ]
    .into_iter()
    .collect();
    Ok(families?.into_iter().flatten().collect())
}

/// What waits for each webhook, and what became of what does not wait any more.
fn webhooks(api: &Api) -> prometheus::Result<Vec<MetricFamily>> {
    let gauges = |name, help| IntGaugeVec::new(Opts::new(name, help), &["webhook"]);
    let waiting = gauges("mesoscope_webhook_queue", "Notices that wait.")?;
    let most = gauges("mesoscope_webhook_queue_limit", "Notices that may wait.")?;
    let told = IntCounterVec::new(
        Opts::new(
            "mesoscope_webhook_notices_total",
            "Notices that wait no more: delivered, or dropped since the receiver refused them, did not \
             take them for too long, or there was no room.",
        ),
        &["webhook", "outcome"],
    )?;
    let failed = IntCounterVec::new(
        Opts::new("mesoscope_webhook_failures_total", "Requests that failed."),
        &["webhook"],
    )?;
    for stats in api.webhooks.stats() {
        let name = [stats.name.as_str()];
        let int = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        waiting.with_label_values(&name).set(int(stats.waiting));
        most.with_label_values(&name).set(int(QUEUE_MAX));
        let counts = stats.counts;
        failed.with_label_values(&name).inc_by(counts.failed);
        for (outcome, total) in [
            ("delivered", counts.delivered),
            ("refused", counts.refused),
            ("given_up", counts.given_up),
            ("no_room", counts.no_room),
        ] {
            told.with_label_values(&[stats.name.as_str(), outcome])
                .inc_by(total);
        }
    }
    let watched = prometheus::IntGauge::new(
        "mesoscope_webhook_containers",
        "Containers that are remembered, to tell what of them is news.",
    )?;
    let count = i64::try_from(api.webhooks.containers_watched());
    watched.set(count.unwrap_or(i64::MAX));
    let families = waiting.collect().into_iter().chain(most.collect());
    let families = families.chain(told.collect()).chain(failed.collect());
    Ok(families.chain(watched.collect()).collect())
}

fn gauges_of(series: &mesoscope_series::Stats) -> prometheus::Result<Vec<MetricFamily>> {
    let held = prometheus::IntGauge::new(
        "mesoscope_series",
        "Time series held: metrics of hosts, containers and processes.",
    )?;
    held.set(i64::try_from(series.series).unwrap_or(i64::MAX));
    Ok(held.collect())
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
fn float(value: u64) -> f64 {
    value as f64
}
