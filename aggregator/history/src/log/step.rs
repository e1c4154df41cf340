//! What was told in one step of the resolution: the last news of each thing.

use mesoscope_proto::v1::{self, change};
use rustc_hash::FxHashMap;

use crate::code::entry::Op;
use crate::state::{
    closes, gap_name, merge_connection, merge_process, outranks, process_id, same_socket,
};

/// Entries of one step of the resolution, one for each thing.
#[derive(Default)]
pub(super) struct Step {
    /// Which step it is.
    pub(super) number: u64,
    entries: Vec<(u64, Op)>,
    places: FxHashMap<Key, usize>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Process((u32, u64)),
    Connection(u64),
    Listener(u64),
    Container(String),
    Pressure(String),
    Host,
    Status,
    Name(Vec<u8>),
    Gap(i32, String, u64),
}

impl Step {
    /// Hands out what was told, and is empty.
    pub(super) fn take(&mut self) -> Vec<(u64, Op)> {
        self.places.clear();
        std::mem::take(&mut self.entries)
    }

    /// Later news of a thing take the place of earlier ones.
    pub(super) fn put(&mut self, at_ms: u64, op: Op) {
        let Some(key) = key_of(&op) else {
            return;
        };
        let Some(place) = self.places.get(&key).copied() else {
            self.places.insert(key, self.entries.len());
            self.entries.push((at_ms, op));
            return;
        };
        let both = match (&self.entries[place].1, &op) {
            // Another socket with its cookie.
            (Op::Connection(known), Op::Connection(told)) => !same_socket(known, told),
            // What closes means nothing without what it closes.
            (Op::Listener(known), Op::Listener(told)) => !closes(known) && closes(told),
            _ => false,
        };
        if both {
            self.places.insert(key, self.entries.len());
            self.entries.push((at_ms, op));
            return;
        }
        let (known_ms, known) = &mut self.entries[place];
        match (known, op) {
            (Op::Process(known), Op::Process(told)) => {
                if merge_process(known, told) {
                    *known_ms = at_ms;
                }
            }
            (Op::Connection(known), Op::Connection(told)) => {
                if known.closed_unix_ns == 0 {
                    *known_ms = at_ms;
                }
                merge_connection(known, told);
            }
            (Op::Name(known), Op::Name(told)) if !outranks(&told, known) => {}
            (known, told) => {
                *known_ms = at_ms;
                *known = told;
            }
        }
    }
}

/// What a change tells the history; `None` for figures, for what plugins say (both are of the moment),
/// and for what leaves no trace on the map.
pub(super) fn op_of(change: v1::Change) -> Option<Op> {
    Some(match change.change? {
        change::Change::Process(told) => Op::Process(told),
        change::Change::Connection(told) => Op::Connection(told),
        change::Change::Listener(told) => Op::Listener(told),
        change::Change::Container(told) => Op::Container(told),
        change::Change::ContainerMetrics(told) => Op::Pressure(told),
        change::Change::Host(told) => Op::Host(told),
        change::Change::AddressName(told) => Op::Name(told),
        change::Change::Gap(told) => Op::Gap(told),
        change::Change::AgentStatus(told) => Op::Status(told),
        change::Change::HostMetrics(_)
        | change::Change::ProcessMetrics(_)
        | change::Change::CgroupEvent(_)
        | change::Change::PluginFacts(_) => return None,
    })
}

/// What makes it another thing; `None` for what is malformed, which changes nothing anywhere.
fn key_of(op: &Op) -> Option<Key> {
    match op {
        Op::Process(told) => Some(Key::Process(process_id(told.key.as_ref())?)),
        Op::Connection(told) => Some(Key::Connection(told.cookie)),
        Op::Listener(told) => Some(Key::Listener(told.cookie)),
        Op::Container(told) => Some(Key::Container(told.id.clone())),
        Op::Pressure(told) => Some(Key::Pressure(told.container_id.clone())),
        Op::Host(_) => Some(Key::Host),
        Op::Status(_) => Some(Key::Status),
        Op::Name(told) => Some(Key::Name(told.address.clone())),
        Op::Gap(told) => {
            let (kind, what, cgroup) = gap_name(told);
            Some(Key::Gap(kind, what.to_owned(), cgroup))
        }
        Op::Counters(_) | Op::Connected(_) | Op::Disconnected(_) | Op::Snapshot(_) => None,
    }
}
