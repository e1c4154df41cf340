//! Attach, then snapshot, then replay: any interleaving gives the state that is true.

use std::collections::BTreeMap;

use mesoscope_capture::event::TcpEndKind;
use mesoscope_capture::{Event, ProcessId, Protocol, Socket};
use mesoscope_proto::v1;
use mesoscope_proto::v1::change::Change as Kind;
use proptest::prelude::*;

use super::world::*;
use crate::core::node_state::NodeState;
use crate::core::startup::{Startup, World};

/// What is true of a process: its program and whose child it is.
#[derive(Clone, Debug, PartialEq)]
struct Program {
    parent: u32,
    name: String,
}

#[derive(Clone, Debug)]
enum Act {
    Fork(prop::sample::Index),
    Exec(prop::sample::Index, u8),
    Exit(prop::sample::Index),
    Connect(prop::sample::Index),
    Close(prop::sample::Index),
}

/// The true world, acting one millisecond at a time.
#[derive(Clone, Default)]
struct Truth {
    live: BTreeMap<ProcessId, Program>,
    open: BTreeMap<u64, ProcessId>,
    next_pid: u32,
    next_cookie: u64,
}

impl Truth {
    fn new() -> Self {
        let mut truth = Self {
            next_pid: 100,
            ..Self::default()
        };
        truth.live.insert(
            id(1),
            Program {
                parent: 0,
                name: "init".into(),
            },
        );
        truth
    }

    fn pick(&self, index: &prop::sample::Index) -> ProcessId {
        *index.get(&self.live.keys().copied().collect::<Vec<_>>())
    }

    fn act(&mut self, time: u64, act: &Act) -> Option<Event> {
        match act {
            Act::Fork(index) => {
                let parent = self.pick(index);
                self.next_pid += 1;
                let child = started(self.next_pid, time / (10 * MS));
                let name = self.live[&parent].name.clone();
                let program = Program {
                    parent: parent.pid,
                    name: name.clone(),
                };
                self.live.insert(child, program);
                Some(fork(time, parent, child, &name))
            }
            Act::Exec(index, number) => {
                let process = self.pick(index);
                let program = self.live.get_mut(&process)?;
                program.name = format!("program-{number}");
                let parent = program.parent;
                Some(exec(time, id(parent), process, &[&program.name.clone()]))
            }
            Act::Exit(index) => {
                let process = self.pick(index);
                if process.pid == 1 {
                    return None;
                }
                self.live.remove(&process);
                self.open.retain(|_, owner| *owner != process);
                Some(exit(time, process, 0))
            }
            Act::Connect(index) => {
                self.next_cookie += 1;
                let process = self.pick(index);
                self.open.insert(self.next_cookie, process);
                Some(connect(
                    time,
                    self.next_cookie,
                    process,
                    Protocol::Tcp,
                    "10.0.0.2:80",
                ))
            }
            Act::Close(index) => {
                let cookies: Vec<u64> = self.open.keys().copied().collect();
                if cookies.is_empty() {
                    return None;
                }
                let cookie = *index.get(&cookies);
                self.open.remove(&cookie);
                let local = format!("10.0.0.1:{}", 1_000 + cookie);
                Some(tcp_end(
                    time,
                    cookie,
                    TcpEndKind::Destroyed,
                    (&local, "10.0.0.2:80"),
                    (1, 1),
                    0,
                ))
            }
        }
    }

    /// Ends of the sockets that an exit closes come as records of their own.
    fn closes(before: &Self, after: &Self, time: u64) -> Vec<Event> {
        let gone = before
            .open
            .keys()
            .filter(|cookie| !after.open.contains_key(cookie));
        gone.map(|cookie| {
            let local = format!("10.0.0.1:{}", 1_000 + cookie);
            tcp_end(
                time,
                *cookie,
                TcpEndKind::Destroyed,
                (&local, "10.0.0.2:80"),
                (1, 1),
                0,
            )
        })
        .collect()
    }

    fn proc_entry(process: ProcessId, program: &Program) -> v1::Process {
        v1::Process {
            key: Some(v1::ProcessKey {
                pid: process.pid,
                start_boottime_ns: process.start_boottime_ns,
            }),
            name: program.name.clone(),
            argv: vec![program.name.clone()],
            cgroup_id: 1,
            parent: (program.parent != 0).then_some(v1::ProcessKey {
                pid: program.parent,
                start_boottime_ns: 0,
            }),
            ..v1::Process::default()
        }
    }

    fn sockets(&self) -> Vec<Socket> {
        let open = self.open.iter();
        open.map(|(cookie, owner)| {
            let local = format!("10.0.0.1:{}", 1_000 + cookie);
            socket(*cookie, Protocol::Tcp, 1, (&local, "10.0.0.2:80"), *owner)
        })
        .collect()
    }
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => index().prop_map(Act::Fork),
        3 => (index(), 0..5u8).prop_map(|(index, number)| Act::Exec(index, number)),
        2 => index().prop_map(Act::Exit),
        2 => index().prop_map(Act::Connect),
        2 => index().prop_map(Act::Close),
    ]
}

type Living = BTreeMap<u32, String>;
type Open = BTreeMap<u64, u32>;

fn seen(state: &mut NodeState) -> (Living, Open) {
    let (mut living, mut open) = (Living::new(), Open::new());
    state.snapshot(0, &mut |change| match change {
        Kind::Process(process) if process.exit.is_none() => {
            living.insert(process.key.expect("has one").pid, process.name);
        }
        Kind::Connection(connection) if connection.closed_unix_ns == 0 => {
            open.insert(connection.cookie, connection.process.expect("known").pid);
        }
        _ => {}
    });
    (living, open)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Attach at the first cut, read processes one by one from the second on, sockets at the third.
    #[test]
    fn any_interleaving_of_reading_and_acting_ends_in_the_truth(
        acts in prop::collection::vec(act(), 0..80),
        cuts in prop::array::uniform3(0..80usize),
        reading in 1..20usize,
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let [attach, read, read_sockets] = cuts;
        let mut truth = Truth::new();
        let mut startup = Startup::default();
        let mut world = World { read: (0, 0), ..World::default() };
        let mut to_read: Option<Vec<ProcessId>> = None;
        let mut live = Vec::new();
        let mut done = false;
        for step in 0..=acts.len() + 100 {
            let time = SECOND + u64::try_from(step).expect("small") * MS;
            if step >= read && to_read.is_none() {
                world.read.0 = time;
                to_read = Some(Vec::new());
            }
            // readdir of /proc goes up the pids; each is read as it is then.
            if let Some(already) = to_read.as_mut().filter(|_| !done) {
                let last = already.last().map_or(0, |process| process.pid);
                let next: Vec<_> = truth.live.iter().filter(|(process, _)| process.pid > last).take(reading).collect();
                if next.is_empty() {
                    done = true;
                    world.read.1 = time;
                }
                for (process, program) in next {
                    world.processes.push(Truth::proc_entry(*process, program));
                    already.push(*process);
                }
            }
            if done && step >= read_sockets && world.sockets.is_none() {
                let mut sockets = pass(time, truth.sockets());
                sockets.adopted = true;
                world.sockets = Some(sockets);
            }
            let Some(act) = acts.get(step) else { continue };
            let before = truth.clone();
            let event = truth.act(time + 1, act);
            let closes = Truth::closes(&before, &truth, time + 1);
            let attached = step >= attach;
            let is_close = matches!(act, Act::Close(_));
            for event in event.into_iter().chain(closes.into_iter().filter(|_| !is_close)).filter(|_| attached) {
                if world.sockets.is_none() { startup.event(event) } else { live.push(event) }
            }
        }
        let mut state = state();
        startup.finish(&mut state, world);
        live.into_iter().for_each(|event| state.event(event));
        let (living, open) = seen(&mut state);
        let true_living: Living = truth.live.iter().map(|(process, program)| (process.pid, program.name.clone())).collect();
        let true_open: Open = truth.open.iter().map(|(cookie, owner)| (*cookie, owner.pid)).collect();
        prop_assert_eq!(living, true_living);
        prop_assert_eq!(open, true_open);
    }
}
