//! After a loss the world is read again. When, the core decides.

use mesoscope_capture::{Clock, MonoNs};

use super::driver::Driver;
use super::reader::Request;
use crate::core::loss::Moment;

impl Driver {
    pub(super) fn moment(&self, mono_ns: MonoNs) -> Moment {
        Moment {
            mono_ns,
            unix_ns: self.clock.unix_ns(mono_ns),
        }
    }

    /// Once per second: all counters of the capture, those of losses among them.
    pub(super) fn count(&mut self, now: MonoNs) {
        if let Some(capture) = &mut self.parts.capture {
            self.duties.stats = capture.stats();
            self.count_losses(now);
        }
    }

    /// Between, where the core wants it: those of losses alone.
    pub(super) fn look_for_losses(&mut self, now: MonoNs) {
        let Some(capture) = &mut self.parts.capture else {
            return;
        };
        if self.losses.look_due(now, capture.ring_was_half_full()) {
            self.duties.stats.losses = capture.losses();
            self.count_losses(now);
        }
    }

    fn count_losses(&mut self, now: MonoNs) {
        let now = self.moment(now);
        let state = &mut self.parts.state;
        let counters = &self.duties.stats.losses;
        let container = |cgroup_id| state.container_id(cgroup_id);
        let gaps = self.losses.counted(now, counters, &container);
        gaps.into_iter().for_each(|gap| state.gap(gap));
    }

    /// Begins to read the world again, when that is due.
    pub(super) fn reread(&mut self, now: MonoNs) {
        let processes = &mut self.duties.processes;
        if processes.is_running()
            || !self.losses.pass_due(now, processes.cost())
            || !self.parts.reader.ask(Request::Processes)
        {
            return;
        }
        processes.begins_early(now);
        self.duties.rereading = true;
        self.losses.pass_begins(now);
    }

    /// The processes that were asked for are taken over; sockets follow them.
    pub(super) fn reread_done(&mut self, ended: MonoNs) {
        self.parts.state.cgroups_refreshed(ended);
        self.pass_sockets(true);
        let now = Clock::now_mono_ns();
        self.count(now);
        for gap in self.losses.pass_done(self.moment(now)) {
            self.parts.state.gap(gap);
        }
    }
}
