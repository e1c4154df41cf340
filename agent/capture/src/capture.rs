//! The capture itself: what is attached, and reading from it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, RingBuf},
};

use crate::{
    Capability, CaptureConfig, CaptureError, CaptureStats, Clock, Event, EventKind, LossCounters,
    Rung, Socket, Tier2,
    capability::{from_outcomes, nothing},
    cost::Cost,
    decode::decode,
    error::{chain, kernel},
    exits::RecentExits,
    mounts::Hierarchies,
    packets::Packets,
    programs::{self, Outcomes},
    settings::LiveSettings,
    snapshot,
    starts::Starts,
    stats::{self, Counters, Missed},
};

const MEASURING: &str = "measuring the run time of kernel programs";

/// Kernel programs at work. Dropping it detaches everything.
pub struct Capture {
    capabilities: Vec<Capability>,
    attached: Option<Attached>,
    counters: Counters,
    exits: RecentExits,
    starts: Starts,
    ring_bytes: u32,
    /// What [`AsRawFd`] gives when there is no ring: never readable.
    idle: OwnedFd,
}

struct Attached {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    outcomes: Outcomes,
    packets: Packets,
    settings: LiveSettings,
    /// The root of the v2 hierarchy, or why there is none.
    root: Result<OwnedFd, String>,
    cost: Cost,
    missed: Missed,
}

impl Capture {
    /// Attaches everything that this machine allows. Missing parts are lower rungs with a reason in
    /// [`Capture::capabilities`], not errors.
    ///
    /// # Errors
    /// Only when the configuration can not work anywhere.
    pub fn start(config: &CaptureConfig) -> Result<Self, CaptureError> {
        if !config.ring_bytes.is_power_of_two() || config.ring_bytes < 4096 {
            return Err(CaptureError::Config(format!(
                "ring_bytes is {}: must be a power of two of at least 4096",
                config.ring_bytes
            )));
        }
        let idle = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
            .map_err(|error| kernel("making an eventfd", chain(&error)))?;
        let (attached, capabilities) = match Attached::new(config) {
            Ok(attached) => {
                let mut capabilities = from_outcomes(&attached.outcomes);
                capabilities.extend(attached.packets.capabilities());
                (Some(attached), capabilities)
            }
            Err(error) => (None, nothing(&error.to_string())),
        };
        Ok(Self {
            capabilities,
            attached,
            counters: Counters::default(),
            exits: RecentExits::default(),
            starts: Starts::default(),
            ring_bytes: config.ring_bytes,
            idle,
        })
    }

    /// What is available, how, and why the rest is not.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Capability> {
        self.capabilities.clone()
    }

    /// Hands over every event that is waiting, oldest first, and returns how many there were. It
    /// stops after one ring full, so that a storm can not hold the caller here for ever.
    pub fn drain(&mut self, each: &mut dyn FnMut(Event)) -> usize {
        let Some(attached) = &mut self.attached else {
            return 0;
        };
        if let Err(error) = attached.settings.tick(&mut attached.ebpf) {
            tracing::debug!(%error, "settings of the kernel programs");
        }
        let mut events = 0;
        let mut bytes = 0u64;
        while bytes < u64::from(self.ring_bytes) {
            let Some(item) = attached.ring.next() else {
                break;
            };
            // Each record has a head of 8 bytes and is rounded up to 8.
            bytes += 8 + (item.len() as u64).next_multiple_of(8);
            match decode(&item) {
                Some((kind, told)) => {
                    drop(item);
                    *self.counters.received.entry(kind).or_default() += 1;
                    for mut event in told.into_iter().flatten() {
                        self.starts.complete(&mut event.kind);
                        if let EventKind::Exit { process, .. } = &event.kind
                            && !self.exits.first(*process)
                        {
                            continue;
                        }
                        events += 1;
                        each(event);
                    }
                }
                None => self.counters.malformed += 1,
            }
        }
        self.counters
            .ring_drained(bytes.min(self.ring_bytes.into()));
        events
    }

    /// Whether a drain found more than half of the ring in use since this was last asked: records may
    /// be lost.
    pub fn ring_was_half_full(&mut self) -> bool {
        std::mem::take(&mut self.counters.ring_high_bytes) > u64::from(self.ring_bytes) / 2
    }

    /// One pass over all sockets of all network namespaces, TCP and UDP, with owner and live counters.
    ///
    /// # Errors
    /// When the iterator is not available here, or the kernel fails it.
    pub fn sockets(&mut self) -> Result<Vec<Socket>, CaptureError> {
        let reason = || {
            let reason = self
                .capabilities
                .iter()
                .find(|capability| capability.name == "socket-snapshot");
            CaptureError::NoSnapshot(
                reason
                    .map(|capability| capability.reason.clone())
                    .unwrap_or_default(),
            )
        };
        match &mut self.attached {
            Some(attached)
                if attached
                    .outcomes
                    .get(programs::SNAPSHOT)
                    .is_some_and(Result::is_ok) =>
            {
                snapshot::read(&mut attached.ebpf, &mut self.counters.malformed)
            }
            _ => Err(reason()),
        }
    }

    /// Counters since the start.
    pub fn stats(&mut self) -> CaptureStats {
        let mut stats = CaptureStats {
            received: self
                .counters
                .received
                .iter()
                .map(|(kind, count)| (*kind, *count))
                .collect(),
            malformed: self.counters.malformed,
            ring_used_bytes: self.counters.ring_used_bytes,
            ring_size_bytes: self.ring_bytes.into(),
            ..CaptureStats::default()
        };
        if let Some(attached) = &mut self.attached {
            let programs = stats::programs(&attached.ebpf);
            attached.missed = Missed::of(&programs);
            stats.losses = stats::losses(&attached.ebpf, &attached.missed);
            stats.maps = stats::maps(&stats.losses.withheld, self.starts.fill());
            let now = Clock::now_mono_ns();
            (stats.programs, stats.programs_measured_ns) =
                attached.cost.measured(now, &stats::run_times(programs));
        }
        stats
    }

    /// The part of [`Capture::stats`] that tells of losses, for a look between. It costs a dozen
    /// look-ups in maps; runs that the kernel skipped are as of the last [`Capture::stats`].
    #[must_use]
    pub fn losses(&self) -> LossCounters {
        self.attached
            .as_ref()
            .map(|attached| stats::losses(&attached.ebpf, &attached.missed))
            .unwrap_or_default()
    }

    /// Has the kernel measure the run time of our programs from now on, or no longer. What was
    /// measured adds up in [`CaptureStats::programs`]. Needs CAP_SYS_ADMIN.
    ///
    /// # Minimum kernel version
    /// 5.8
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn measure_programs(&mut self, on: bool) -> Result<(), CaptureError> {
        match &mut self.attached {
            Some(attached) => attached.measure(on),
            None => Err(kernel(MEASURING, "no kernel programs are loaded")),
        }
    }

    /// Attaches or detaches the per-packet hooks; what could not be attached is named in
    /// [`Capture::capabilities`] afterwards. Cheap enough (~50 µs) for duty-cycling.
    ///
    /// # Errors
    /// When nothing of what was asked for could be attached. What was attached before stays then.
    pub fn set_tier2(&mut self, tier2: Tier2) -> Result<(), CaptureError> {
        let Some(attached) = &mut self.attached else {
            return Err(kernel("turning tier 2 on", "no kernel programs are loaded"));
        };
        let outcome = attached
            .packets
            .set(&mut attached.ebpf, &attached.root, &tier2);
        self.capabilities
            .retain(|capability| !capability.is_tier2());
        self.capabilities.extend(attached.packets.capabilities());
        outcome?;
        attached.settings.adopt(&mut attached.ebpf)
    }

    /// Changes the per-cgroup cap on events per second; 0 for no cap.
    ///
    /// # Errors
    /// When the kernel refuses the update of the map.
    pub fn set_event_rate_cap(&mut self, events_per_second: u32) -> Result<(), CaptureError> {
        match &mut self.attached {
            Some(attached) => attached
                .settings
                .set_cap(&mut attached.ebpf, events_per_second),
            None => Ok(()),
        }
    }
}

impl Attached {
    fn measure(&mut self, on: bool) -> Result<(), CaptureError> {
        let programs = || stats::run_times(stats::programs(&self.ebpf));
        match (on, self.cost.is_measuring()) {
            (true, false) => {
                let statistics = Some(statistics()?);
                self.cost
                    .begin(Clock::now_mono_ns(), &programs(), statistics);
            }
            (false, true) => self.cost.end(Clock::now_mono_ns(), &programs()),
            _ => {}
        }
        Ok(())
    }

    fn new(config: &CaptureConfig) -> Result<Self, CaptureError> {
        if config.rung == Rung::None {
            return Err(kernel(
                "loading kernel programs",
                "turned off in the configuration",
            ));
        }
        let hierarchies = Hierarchies::find(&config.cgroup_root);
        let mut prepared = programs::prepare(config, &hierarchies)?;
        let ebpf = &mut prepared.ebpf;
        // Everything that programs may touch is in place before the first one is attached.
        let mut settings = LiveSettings::default();
        settings.set_cap(ebpf, config.events_per_second_per_cgroup)?;
        make_overflow_entry(ebpf)?;
        let ring = ebpf
            .take_map("EVENTS")
            .ok_or_else(|| kernel("opening the ring", "the object has no map EVENTS"))?;
        let ring =
            RingBuf::try_from(ring).map_err(|error| kernel("opening the ring", chain(&error)))?;
        let mut cost = Cost::default();
        if config.bpf_statistics {
            // Before any program runs: nothing of them is missed.
            match statistics() {
                Ok(statistics) => cost.begin(Clock::now_mono_ns(), &[], Some(statistics)),
                Err(error) => tracing::warn!(%error, "--bpf-statistics"),
            }
        }
        let root = hierarchies
            .open_root()
            .map_err(|error| format!("no cgroup v2 directory to attach to: {error}"));
        let outcomes = programs::attach(&mut prepared, config, &root);
        let mut ebpf = prepared.ebpf;
        let mut packets = Packets::default();
        // Its failure is a capability that is missing.
        if packets.set(&mut ebpf, &root, &config.tier2).is_ok() {
            settings.adopt(&mut ebpf)?;
        }
        Ok(Self {
            ebpf,
            ring,
            outcomes,
            packets,
            settings,
            root,
            cost,
            missed: Missed::default(),
        })
    }
}

/// The entry under which events of further cgroups are counted once the map is full.
fn make_overflow_entry(ebpf: &mut Ebpf) -> Result<(), CaptureError> {
    let doing = "preparing the counters of withheld events";
    let map = ebpf
        .map_mut("WITHHELD")
        .ok_or_else(|| kernel(doing, "the object has no map WITHHELD"))?;
    let mut map =
        HashMap::<_, u64, [u64; 2]>::try_from(map).map_err(|error| kernel(doing, chain(&error)))?;
    map.insert(0, [0, 0], 0)
        .map_err(|error| kernel(doing, chain(&error)))
}

/// Keeps the kernel's statistics of programs on while it is open.
fn statistics() -> Result<OwnedFd, CaptureError> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .map_err(|error| kernel(MEASURING, chain(&error)))
}

impl AsRawFd for Capture {
    /// Readable once a quarter of the ring is full, so that a burst is drained before the timer.
    fn as_raw_fd(&self) -> RawFd {
        self.attached
            .as_ref()
            .map_or(self.idle.as_raw_fd(), |attached| attached.ring.as_raw_fd())
    }
}
