//! A state as entries, and back.

use super::{Kept, State, process_id};
use crate::code::entry::{Connected, Entry, Op};
use crate::state::Keeps;

impl State {
    /// The state as entries, in the order of their times: applied to an empty state, they give this one.
    pub(crate) fn entries(&self) -> Vec<(u64, Entry)> {
        let mut entries = Vec::new();
        let mut add = |first_ms: u64, last_ms: u64, seen: bool, op: Op| {
            let entry = Entry {
                known_ms: last_ms.saturating_sub(first_ms),
                seen,
                op: Some(op),
                ..Default::default()
            };
            entries.push((last_ms, entry));
        };
        if let Some(kept) = &self.host {
            add(
                kept.first_ms,
                kept.last_ms,
                kept.seen,
                Op::Host(kept.told.clone()),
            );
        }
        if let Some(kept) = &self.status {
            add(
                kept.first_ms,
                kept.last_ms,
                kept.seen,
                Op::Status(kept.told.clone()),
            );
        }
        macro_rules! add_all {
            ($($table:ident => $op:ident),+ $(,)?) => {$(
                for kept in self.$table.values() {
                    add(kept.first_ms, kept.last_ms, kept.seen, Op::$op(kept.told.clone()));
                }
            )+};
        }
        add_all! {
            containers => Container,
            pressures => Pressure,
            processes => Process,
            listeners => Listener,
            connections => Connection,
            names => Name,
        }
        for kept in &self.gaps {
            add(
                kept.first_ms,
                kept.last_ms,
                kept.seen,
                Op::Gap(kept.told.clone()),
            );
        }
        // Like things beside each other compress better than things of one time.
        if let Some(standing) = &self.standing {
            let connected = Connected {
                hello: standing.hello.clone(),
                has_snapshot: standing.has_snapshot,
                again_ms: standing.connected_ms - standing.first_ms,
            };
            let entry = |op| Entry {
                op: Some(op),
                ..Default::default()
            };
            entries.insert(0, (standing.first_ms, entry(Op::Connected(connected))));
            if let Some(snapshot_ms) = standing.snapshot_ms {
                entries.push((snapshot_ms, entry(Op::Snapshot(true))));
            }
            if let Some(gone_ms) = standing.gone_ms {
                entries.push((gone_ms, entry(Op::Disconnected(true))));
            }
        }
        entries
    }

    /// The state that these entries were made of.
    pub(crate) fn of_entries(entries: impl Iterator<Item = (u64, Entry)>, keeps: Keeps) -> Self {
        let mut state = Self::default();
        for (at_ms, entry) in entries {
            let Some(op) = entry.op else {
                continue;
            };
            let (first_ms, seen) = (at_ms.saturating_sub(entry.known_ms), entry.seen);
            let times = (first_ms, at_ms, seen);
            match op {
                Op::Process(told) => {
                    if let Some(key) = process_id(told.key.as_ref()) {
                        state.processes.insert(key, Kept::of(times, told));
                    }
                }
                Op::Connection(told) => {
                    let cookie = told.cookie;
                    state.connections.insert(cookie, Kept::of(times, told));
                }
                Op::Listener(told) => {
                    let cookie = told.cookie;
                    state.listeners.insert(cookie, Kept::of(times, told));
                }
                Op::Container(told) => {
                    let id = told.id.clone();
                    state.containers.insert(id, Kept::of(times, told));
                }
                Op::Pressure(told) => {
                    let id = told.container_id.clone();
                    state.pressures.insert(id, Kept::of(times, told));
                }
                Op::Name(told) => {
                    let address = told.address.clone();
                    state.names.insert(address, Kept::of(times, told));
                }
                Op::Gap(told) => state.gaps.push(Kept::of(times, told)),
                Op::Host(told) => state.host = Some(Kept::of(times, told)),
                Op::Snapshot(true) => {
                    if let Some(standing) = &mut state.standing {
                        standing.snapshot_ms = Some(at_ms);
                    }
                }
                other => state.apply(at_ms, other, keeps),
            }
        }
        state
    }
}
