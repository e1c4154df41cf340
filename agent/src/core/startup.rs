//! Attach, then snapshot, then replay: how the state begins without a gap.
//!
//! The hooks are attached first; what they tell is kept here while the world is read. What was read
//! is then taken over, and what was kept is replayed on it. Whatever began or ended meanwhile is in
//! the events, and whatever began before is in the world.

use mesoscope_capture::{Event, MonoNs};
use mesoscope_proto::v1;

use super::node_state::{NodeState, SocketsFound};

/// Events that are kept at most while the world is read.
pub const EVENTS_MAX: usize = 200_000;

/// The world as it was read.
#[derive(Debug, Default)]
pub struct World {
    /// When the reading of `/proc` began and ended.
    pub read: (MonoNs, MonoNs),
    /// Every process.
    pub processes: Vec<v1::Process>,
    /// Every socket, where a pass over them was possible.
    pub sockets: Option<SocketsFound>,
}

/// The time between attach and replay.
#[derive(Debug, Default)]
pub struct Startup {
    events: Vec<Event>,
    /// Events that there was no room for: the world has to be read again.
    pub lost: u64,
}

impl Startup {
    /// Keeps an event.
    pub fn event(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        } else {
            self.lost += 1;
        }
    }

    /// Takes over the world, then replays what was kept. Returns how many events were replayed.
    pub fn finish(self, state: &mut NodeState, world: World) -> usize {
        let (started, ended) = world.read;
        state.cgroups_refreshed(started);
        state.processes_found(started, ended, world.processes, false);
        if let Some(sockets) = world.sockets {
            state.sockets_found(sockets);
        }
        let replayed = self.events.len();
        for event in self.events {
            state.event(event);
        }
        replayed
    }
}
