//! What the driver tells of itself: capabilities, status, figures.

use mesoscope_capture::Clock;
use mesoscope_proto::v1::{self, Gap, GapKind};

use super::driver::Driver;
use super::edges;
use crate::api::metrics::Figures;
use crate::core::governor::Level;

impl Driver {
    /// Everything that can be known here, and what can't and why.
    pub(super) fn capabilities(&self) -> Vec<v1::Capability> {
        let parts = &self.parts;
        let mut all: Vec<v1::Capability> = match &parts.capture {
            Some(capture) => capture
                .capabilities()
                .into_iter()
                .map(edges::capability)
                .collect(),
            None => [
                "process-events",
                "tcp-events",
                "connect-pid",
                "socket-snapshot",
                "cgroup-events",
            ]
            .map(|name| {
                edges::missing(
                    name,
                    "no kernel programs could be loaded; the agent's log says why",
                )
            })
            .into(),
        };
        for capability in all.iter_mut().filter(|capability| !capability.available) {
            let instead = match capability.name.as_str() {
                "process-events" => "/proc every second",
                "tcp-events" | "socket-snapshot" => "sock_diag every second",
                _ => continue,
            };
            capability.provider = instead.to_owned();
        }
        all.extend(parts.fixed.iter().cloned());
        // A node needs one container runtime: where one is there, the other is not missing.
        let runtimes = [
            parts.docker.0.stats.capability("docker"),
            parts.cri.0.stats.capability("cri"),
        ];
        let one_is_there = runtimes.iter().any(|runtime| runtime.available);
        all.extend(
            runtimes
                .into_iter()
                .filter(|runtime| runtime.available || !one_is_there),
        );
        all
    }

    /// What the map lacks for good on this node.
    pub(super) fn tell_capabilities(&mut self) {
        let since_unix_ns = self.clock.unix_ns(Clock::now_mono_ns());
        let needed = [
            "process-events",
            "tcp-events",
            "connect-pid",
            "socket-snapshot",
            "cgroup-events",
        ];
        for capability in self.capabilities() {
            if capability.available || !needed.contains(&capability.name.as_str()) {
                continue;
            }
            self.parts.state.gap(Gap {
                kind: GapKind::Capability.into(),
                what: capability.name,
                since_unix_ns,
                detail: capability.reason,
                ..Gap::default()
            });
        }
    }

    /// How the agent itself is.
    pub(super) fn tell_status(&mut self) {
        let stats = &self.duties.stats;
        let sum = |counts: &[(mesoscope_capture::RecordKind, u64)]| {
            counts.iter().map(|(_, count)| count).sum()
        };
        let status = v1::AgentStatus {
            time_unix_ns: self.clock.unix_ns(Clock::now_mono_ns()),
            cpu_percent: self.duties.cpu_percent,
            rss_bytes: self.duties.rss_bytes,
            governor: self.duties.governor.level().name().to_owned(),
            capabilities: self.capabilities(),
            events_total: sum(&stats.received),
            events_lost_total: sum(&stats.losses.lost),
            tier2: self.tier2.is_on(),
            tier2_containers: self.tier2.containers().to_vec(),
            plugins: self.plugin_statuses(),
        };
        self.parts.state.set_status(status);
    }

    fn plugin_statuses(&self) -> Vec<v1::PluginStatus> {
        let link = self.plugins.as_ref();
        link.map(|link| link.plugins.statuses()).unwrap_or_default()
    }

    /// For a scrape.
    pub(super) fn figures(&mut self) -> Figures {
        if let Some(capture) = &mut self.parts.capture {
            self.duties.stats = capture.stats();
        }
        let parts = &self.parts;
        let level = self.duties.governor.level();
        let (spool_bytes, spool_limit_bytes) = parts.session.spool_fill();
        let (cgroups, cgroups_limit) = parts.state.cgroups_fill();
        let mut sources = Vec::new();
        for (source, stats) in [
            ("docker", &parts.docker.0.stats),
            ("cri", &parts.cri.0.stats),
        ] {
            sources.push((source, "connects", stats.connects_total()));
            sources.push((source, "disconnects", stats.disconnects_total()));
            sources.push((source, "events", stats.events_total()));
            sources.push((source, "inspects", stats.inspects_total()));
            sources.push((source, "errors", stats.errors_total()));
            sources.push((source, "overflows", stats.overflows_total()));
        }
        if let Some(conntrack) = &parts.conntrack {
            sources.push(("conntrack", "received", conntrack.stats.received_total()));
            sources.push(("conntrack", "losses", conntrack.stats.losses_total()));
            sources.push(("conntrack", "malformed", conntrack.stats.malformed_total()));
        }
        Figures {
            agent_id: parts.session.identity().agent_id.clone(),
            connected: parts.session.is_live(),
            governor: level.name(),
            governor_level: match level {
                Level::Normal => 0,
                Level::Reduced => 1,
                Level::Minimal => 2,
            },
            gaps_open: parts.state.open_gaps().count(),
            cpu_percent: self.duties.cpu_percent,
            cpu_budget_percent: self.duties.budget.0,
            memory_budget_bytes: self.duties.budget.1,
            capture: self.duties.stats.clone(),
            sizes: parts.state.sizes(),
            limits: parts.state.limits().clone(),
            counters: parts.state.counters(),
            session: parts.session.counters(),
            spool_bytes,
            spool_limit_bytes,
            cgroups,
            cgroups_limit,
            sockets_interval_seconds: self.duties.sockets.interval(level).as_secs_f64(),
            tier2: self.tier2.is_on(),
            control: self.control.used(),
            plugins: self.plugin_statuses(),
            sources,
        }
    }
}
