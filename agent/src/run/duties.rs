//! What the driver does again and again: drain, sample, measure itself, stay within its budget.

use std::time::Duration;

use mesoscope_capture::{CaptureStats, Clock, MonoNs, memory};
use mesoscope_proto::v1::{self, Gap, GapKind, change::Change as Kind};
use rustix::time::{ClockId, clock_gettime};

use super::driver::{Driver, Rungs};
use super::reader::{Answer, Request};
use super::start;
use crate::config::Config;
use crate::core::cadence::Cadence;
use crate::core::governor::{Governor, Level};
use crate::core::node_state::Limits;
use crate::core::sampling::{ProgramsShare, Step, Windows};

/// Sockets are passed over at once when an end waits for its listener, but not more often than this.
const SOCKETS_EARLY: Duration = Duration::from_millis(250);
/// Processes asked for details in one go.
const DETAILS_AT_ONCE: usize = 64;
const SECOND_NS: u64 = 1_000_000_000;

/// What is due when, and what was measured last.
pub(super) struct Duties {
    pub(super) sockets: Cadence,
    pub(super) processes: Cadence,
    host_metrics: Cadence,
    container_metrics: Cadence,
    process_metrics: Cadence,
    host: Cadence,
    status: Cadence,
    second: MonoNs,
    pub(super) governor: Governor,
    pub(super) budget: (f64, u64),
    event_rate_cap: u32,
    spool_bytes: usize,
    pub(super) stats: CaptureStats,
    cpu: Option<(MonoNs, Duration)>,
    pub(super) cpu_percent: f64,
    pub(super) rss_bytes: u64,
    /// A reading of processes is under way for a loss: sockets follow it.
    pub(super) rereading: bool,
    /// The reader has been asked for details and has not answered.
    asked_details: bool,
    /// When the kernel programs are measured; `None` where they always are, or can't be.
    measuring: Option<Windows>,
    programs_share: ProgramsShare,
    governor_gap: Option<Gap>,
    told_metrics: rustc_hash::FxHashMap<u32, v1::ProcessMetrics>,
}

impl Duties {
    pub(super) fn new(config: &Config, rungs: Rungs) -> Self {
        // Without events the polls are all there is.
        let processes = if rungs.processes {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(1)
        };
        let memory = config.memory_budget.as_u64();
        Self {
            sockets: Cadence::new(Duration::from_secs(1), 0.005),
            processes: Cadence::new(processes, if rungs.processes { 0.002 } else { 0.02 }),
            host_metrics: Cadence::new(Duration::from_secs(5), 0.002),
            container_metrics: Cadence::new(Duration::from_secs(5), 0.004),
            process_metrics: Cadence::new(Duration::from_secs(15), 0.004),
            host: Cadence::new(Duration::from_secs(60), 0.001),
            status: Cadence::new(Duration::from_secs(5), 0.01),
            second: 0,
            governor: Governor::new(config.cpu_budget, memory),
            budget: (config.cpu_budget, memory),
            event_rate_cap: config.event_rate_cap,
            spool_bytes: usize::try_from(config.spool_bytes.as_u64()).unwrap_or(usize::MAX),
            stats: CaptureStats::default(),
            cpu: None,
            cpu_percent: 0.0,
            rss_bytes: 0,
            rereading: false,
            asked_details: false,
            measuring: (!config.bpf_statistics).then(Windows::default),
            programs_share: ProgramsShare::default(),
            governor_gap: None,
            told_metrics: rustc_hash::FxHashMap::default(),
        }
    }
}

impl Driver {
    /// Once per tick.
    pub(super) fn duties(&mut self) {
        let now = Clock::now_mono_ns();
        self.clock.refresh();
        self.parts.state.set_clock(self.clock);
        if now.saturating_sub(self.duties.second) >= SECOND_NS {
            self.duties.second = now;
            self.parts.state.tick(now);
            self.count(now);
            self.follow_tier2();
        } else {
            self.look_for_losses(now);
        }
        self.resolve_names();
        self.ask_details();
        self.measure_programs(now);
        self.reread(now);
        self.sample(now);
    }

    fn ask_details(&mut self) {
        if self.duties.asked_details {
            return;
        }
        let details = self.parts.state.details_due(DETAILS_AT_ONCE);
        if !details.is_empty() {
            self.duties.asked_details = self.parts.reader.ask(Request::Details(details));
        }
    }

    /// Opens and closes the windows in which the kernel measures our programs.
    fn measure_programs(&mut self, now: MonoNs) {
        let (Some(capture), Some(windows)) = (&mut self.parts.capture, &mut self.duties.measuring)
        else {
            return;
        };
        let Some(step) = windows.step(now) else {
            return;
        };
        if let Err(error) = capture.measure_programs(step == Step::Begin) {
            tracing::info!(%error, "what the kernel programs cost is not known");
            self.duties.measuring = None;
        }
    }

    fn resolve_names(&mut self) {
        let Some((names, _)) = &self.parts.names else {
            return;
        };
        for address in self.parts.state.take_new_addresses() {
            names.wanted(address);
        }
        for (name, addresses) in self.parts.state.take_answers() {
            names.answered(&name, &addresses);
        }
    }

    fn sample(&mut self, now: MonoNs) {
        let level = self.duties.governor.level();
        let duties = &mut self.duties;
        let reader = &self.parts.reader;
        let ask = |cadence: &mut Cadence, request: &dyn Fn() -> Request| {
            if cadence.begins(now, level) && !reader.ask(request()) {
                cadence.did_not_begin();
            }
        };
        ask(&mut duties.processes, &|| Request::Processes);
        ask(&mut duties.host, &|| Request::Host);
        ask(&mut duties.host_metrics, &|| Request::HostMetrics);
        let (state, tree) = (&self.parts.state, &self.parts.tree);
        ask(&mut duties.container_metrics, &|| {
            Request::ContainerMetrics(tree.targets(&state.container_processes()))
        });
        if level != Level::Minimal {
            ask(&mut duties.process_metrics, &|| {
                Request::ProcessMetrics(state.programs().collect())
            });
        }
        let early = self.parts.state.wants_sockets()
            && !duties.sockets.is_running()
            && duties.sockets.since_last(now) >= SOCKETS_EARLY;
        if early {
            duties.sockets.begins_early(now);
        }
        if early || duties.sockets.begins(now, level) {
            self.pass_sockets(false);
        }
        if self.duties.status.begins(now, Level::Normal) {
            self.govern(now);
            self.tell_status();
            self.duties.status.ended(Duration::ZERO);
        }
    }

    /// A pass over the sockets, by the kernel's iterator or by the reader.
    pub(super) fn pass_sockets(&mut self, adopted: bool) {
        if !self.parts.rungs.sockets {
            if !self.parts.reader.ask(Request::Sockets) {
                self.duties.sockets.did_not_begin();
            }
            return;
        }
        let Some(capture) = &mut self.parts.capture else {
            return;
        };
        let cpu = thread_cpu();
        let found = start::all_sockets(capture, self.parts.rungs);
        // What the pass shows as gone has its record in the ring.
        self.drain_ring();
        if let Some(mut found) = found {
            found.adopted = adopted;
            self.parts.state.sockets_found(found);
        }
        self.duties.sockets.ended(thread_cpu().saturating_sub(cpu));
    }

    /// The reader answered.
    pub(super) fn answered(&mut self, answer: Answer, cost: Duration) {
        let (duties, state) = (&mut self.duties, &mut self.parts.state);
        match answer {
            Answer::Processes {
                began,
                ended,
                processes,
            } => {
                duties.processes.ended(cost);
                if let Some(processes) = processes {
                    self.processes_read(began, ended, processes);
                }
            }
            Answer::Details(found) => {
                duties.asked_details = false;
                found.into_iter().for_each(|process| state.details(process));
            }
            Answer::ProcessMetrics(metrics) => {
                duties.process_metrics.ended(cost);
                let changed = duties.changed(metrics);
                state.measured(changed.into_iter().map(Kind::ProcessMetrics));
            }
            Answer::ContainerMetrics(metrics) => {
                duties.container_metrics.ended(cost);
                state.measured(metrics.into_iter().map(Kind::ContainerMetrics));
            }
            Answer::HostMetrics(metrics) => {
                duties.host_metrics.ended(cost);
                state.measured(
                    metrics
                        .into_iter()
                        .map(|metrics| Kind::HostMetrics(*metrics)),
                );
            }
            Answer::Host(host) => {
                duties.host.ended(cost);
                state.set_host(*host);
                // About once a minute: what bursts left behind goes back.
                memory::give_back();
            }
            Answer::Sockets {
                began,
                ended,
                sockets,
            } => {
                duties.sockets.ended(cost);
                if let Some(sockets) = sockets {
                    let found =
                        self.parts
                            .rungs
                            .pass(&self.parts.paths, began, ended, sockets, false);
                    state.sockets_found(found);
                }
            }
        }
    }

    fn processes_read(&mut self, began: MonoNs, ended: MonoNs, processes: Vec<v1::Process>) {
        // Ends that happened while it was read are in the ring: they come first.
        self.drain_ring();
        self.parts
            .state
            .processes_found(began, ended, processes, true);
        if !self.parts.rungs.cgroups {
            self.parts.state.cgroups_refreshed(ended);
        }
        if std::mem::take(&mut self.duties.rereading) {
            self.reread_done(ended);
        }
    }

    /// Measures the agent and keeps it within its budget.
    fn govern(&mut self, now: MonoNs) {
        let cpu = process_cpu();
        if let Some((then, before)) = self.duties.cpu {
            let passed = Duration::from_nanos(now.saturating_sub(then));
            let own = cpu.saturating_sub(before).as_secs_f64() / passed.as_secs_f64().max(0.001);
            let duties = &mut self.duties;
            let programs = duties.programs_share.percent(&duties.stats, passed);
            duties.cpu_percent = 100.0 * own + programs;
        }
        self.duties.cpu = Some((now, cpu));
        self.duties.rss_bytes = resident_bytes();
        if self.duties.rss_bytes > self.duties.budget.1 / 10 * 8 {
            memory::give_back();
            self.duties.rss_bytes = resident_bytes();
        }
        let Some(level) = self
            .duties
            .governor
            .sample(self.duties.cpu_percent, self.duties.rss_bytes)
        else {
            return;
        };
        tracing::warn!(
            level = level.name(),
            cpu_percent = self.duties.cpu_percent,
            rss_bytes = self.duties.rss_bytes,
            "governor"
        );
        self.obey(level, self.clock.unix_ns(now));
    }

    fn obey(&mut self, level: Level, now_unix_ns: u64) {
        let cap = level.event_rate_cap(self.duties.event_rate_cap);
        if let Some(Err(error)) = self
            .parts
            .capture
            .as_mut()
            .map(|capture| capture.set_event_rate_cap(cap))
        {
            tracing::warn!(%error, "the cap on events stays as it was");
        }
        let spool_bytes = match level {
            Level::Normal | Level::Reduced => self.duties.spool_bytes,
            Level::Minimal => self.duties.spool_bytes / 4,
        };
        self.parts.session.set_spool_bytes(spool_bytes);
        let all = Limits::default();
        self.parts.state.set_limits(match level {
            Level::Normal | Level::Reduced => all,
            Level::Minimal => Limits {
                processes_ended: all.processes_ended / 8,
                connections_ended: all.connections_ended / 8,
                ..all
            },
        });
        if level == Level::Normal {
            if let Some(gap) = self.duties.governor_gap.take() {
                self.parts.state.gap(Gap {
                    until_unix_ns: now_unix_ns,
                    ..gap
                });
            }
            return;
        }
        let (cpu, memory) = self.duties.budget;
        let detail = format!(
            "the agent is over its budget ({:.1} % of a core of {cpu} %, {} MiB of {} MiB): {}",
            self.duties.cpu_percent,
            self.duties.rss_bytes >> 20,
            memory >> 20,
            match level {
                Level::Minimal =>
                    "no process metrics, a lower cap on events, a smaller spool, and samplers run less often",
                _ => "samplers run less often",
            }
        );
        let since = self
            .duties
            .governor_gap
            .take()
            .map_or(now_unix_ns, |gap| gap.since_unix_ns);
        let gap = Gap {
            kind: GapKind::Governor.into(),
            what: "detail".into(),
            since_unix_ns: since,
            detail,
            ..Gap::default()
        };
        self.duties.governor_gap = Some(gap.clone());
        self.parts.state.gap(gap);
    }
}

impl Duties {
    /// Metrics of processes that changed enough to matter since they were last told.
    fn changed(&mut self, metrics: Vec<v1::ProcessMetrics>) -> Vec<v1::ProcessMetrics> {
        let mut told = std::mem::take(&mut self.told_metrics);
        let mut changed = Vec::new();
        for metric in metrics {
            let Some(pid) = metric.key.map(|key| key.pid) else {
                continue;
            };
            let matters = told.remove(&pid).is_none_or(|before| {
                let kept = before.key == metric.key && !differs(&before, &metric);
                if kept {
                    self.told_metrics.insert(pid, before);
                }
                !kept
            });
            if matters {
                self.told_metrics.insert(pid, metric);
                changed.push(metric);
            }
        }
        changed
    }
}

/// Whether a person would see the difference.
fn differs(before: &v1::ProcessMetrics, now: &v1::ProcessMetrics) -> bool {
    let rss_step = (before.rss_bytes / 20).max(256 * 1024);
    (before.cpu_cores_used - now.cpu_cores_used).abs() >= 0.002
        || before.rss_bytes.abs_diff(now.rss_bytes) >= rss_step
        || before.open_files != now.open_files
        || before.threads != now.threads
}

fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of the agent (proc_pid_statm(5)).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}
