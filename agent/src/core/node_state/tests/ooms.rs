//! Processes of containers killed for want of memory, in every order in which it becomes known.

use mesoscope_capture::event::CgroupAction::{Created, Removed};
use mesoscope_capture::{Clock, Event, EventKind, MonoNs, ProcessId};
use mesoscope_proto::v1::{Container, ContainerState, Process, ProcessCause};
use proptest::prelude::*;

use super::world::*;
use crate::core::node_state::NodeState;

const SHIM: u32 = 10;
const OWN: u64 = 50;
const INSIDE: u64 = 51;

fn oom(time: MonoNs, process: ProcessId, cgroup_id: u64) -> Event {
    Event {
        time,
        kind: EventKind::Exit {
            process,
            code: 0,
            signal: 9,
            oom: true,
            rss_bytes_max: 0,
            cpu_ns: 0,
            cgroup_id,
        },
    }
}

fn fork_in(time: MonoNs, parent: ProcessId, child: ProcessId, cgroup_id: u64) -> Event {
    let mut event = fork(time, parent, child, "sh");
    if let EventKind::Fork {
        cgroup_id: inside, ..
    } = &mut event.kind
    {
        *inside = cgroup_id;
    }
    event
}

/// Container "web" with a shell as its main process (20), sent in by the shim.
fn running() -> NodeState {
    let mut state = state();
    state.event(exec(1, id(1), id(SHIM), &["shim"]));
    begins(&mut state, SECOND, OWN, id(20));
    told(&mut state);
    state
}

fn begins(state: &mut NodeState, time: MonoNs, own: u64, main: ProcessId) {
    state.event(cgroup(time, Created, own, "/c/web"));
    state.event(cgroup(time, Created, own + 1, "/c/web/init"));
    state.event(fork_in(time, id(SHIM), main, 1));
    state.event(exec_in(time, id(SHIM), main, &["sh"], own + 1));
}

fn engine(state: ContainerState, exit_code: i32, started: u64, finished: u64) -> Container {
    Container {
        id: "web".into(),
        runtime: "docker".into(),
        name: "the-web".into(),
        state: state.into(),
        exit_code,
        started_unix_ns: started,
        finished_unix_ns: finished,
        ..Container::default()
    }
}

fn unix(time: MonoNs) -> u64 {
    Clock::new().unix_ns(time)
}

/// The last that was told of the container.
fn last(state: &mut NodeState) -> Container {
    told(state).containers.pop().expect("told")
}

fn facts(container: &Container) -> (ContainerState, bool, u64, i32) {
    (
        container.state(),
        container.oom_killed,
        container.oom_kills,
        container.exit_code,
    )
}

#[test]
fn what_the_engine_does_not_say_of_the_end_the_kernel_says() {
    use ContainerState::{Exited, Running};
    let runs = || engine(Running, 0, unix(SECOND), 0);
    let ends = || engine(Exited, 137, unix(SECOND), unix(3 * SECOND));
    let kill = || oom(2 * SECOND, id(20), INSIDE);
    // The record first, as ever; then the engine.
    let mut state = running();
    state.container_named(runs());
    state.event(kill());
    let now = last(&mut state);
    assert_eq!(facts(&now), (Running, true, 1, 0));
    assert!(now.last_oom_kill_unix_ns.abs_diff(unix(2 * SECOND)) < SECOND);
    state.container_named(ends());
    assert_eq!(facts(&last(&mut state)), (Exited, true, 1, 137));
    // The engine first.
    let mut state = running();
    state.container_named(runs());
    state.container_named(ends());
    assert_eq!(facts(&last(&mut state)), (Exited, false, 0, 137));
    state.event(kill());
    assert_eq!(facts(&last(&mut state)), (Exited, true, 1, 137));
    // All of it before the engine says a word: the container of a moment.
    let mut state = running();
    state.event(kill());
    state.event(cgroup(2 * SECOND, Removed, INSIDE, "/c/web/init"));
    state.event(cgroup(2 * SECOND, Removed, OWN, "/c/web"));
    // Without a runtime the kernel's record is what is known of the end.
    let now = last(&mut state);
    assert_eq!(facts(&now), (ContainerState::Removed, true, 1, 137));
    assert!(now.finished_unix_ns.abs_diff(unix(2 * SECOND)) < SECOND);
    state.container_named(ends());
    assert_eq!(facts(&last(&mut state)), (Exited, true, 1, 137));
    // It stays when the runtime forgets the container, and in a snapshot.
    let mut snapshot = None;
    state.snapshot(0, &mut |change| {
        if let mesoscope_proto::v1::change::Change::Container(container) = change {
            snapshot = Some(container);
        }
    });
    assert_eq!(
        facts(&snapshot.expect("in the snapshot")),
        (Exited, true, 1, 137)
    );
    state.container_removed(4 * SECOND, "web");
    assert_eq!(
        facts(&last(&mut state)),
        (ContainerState::Removed, true, 1, 137)
    );
}

#[test]
fn a_killed_process_is_not_the_containers_end() {
    let mut state = running();
    state.container_named(engine(ContainerState::Running, 0, unix(SECOND), 0));
    // A child of the main process, and one that was sent in from outside.
    state.event(fork_in(2 * SECOND, id(20), id(21), INSIDE));
    state.event(fork_in(2 * SECOND, id(SHIM), id(22), INSIDE));
    state.event(oom(3 * SECOND, id(21), INSIDE));
    assert_eq!(
        facts(&last(&mut state)),
        (ContainerState::Running, false, 1, 0)
    );
    state.event(oom(3 * SECOND, id(22), INSIDE));
    let now = last(&mut state);
    assert_eq!(facts(&now), (ContainerState::Running, false, 2, 0));
    assert!(now.last_oom_kill_unix_ns.abs_diff(unix(3 * SECOND)) < SECOND);
    // The same record once more, and one of a process that is not known.
    state.event(oom(3 * SECOND, id(22), INSIDE));
    assert!(told(&mut state).containers.is_empty());
    state.event(oom(3 * SECOND, id(99), INSIDE));
    assert_eq!(last(&mut state).oom_kills, 3);
    // It ends on its own account later.
    let mut ended = engine(ContainerState::Exited, 1, unix(SECOND), unix(9 * SECOND));
    state.container_named(ended.clone());
    assert_eq!(
        facts(&last(&mut state)),
        (ContainerState::Exited, false, 3, 1)
    );
    // What the engine says stays.
    ended.oom_killed = true;
    state.container_named(ended);
    assert!(last(&mut state).oom_killed);
}

#[test]
fn the_next_run_starts_clean() {
    use ContainerState::{Exited, Restarting, Running};
    let mut state = running();
    state.container_named(engine(Running, 0, unix(SECOND), 0));
    state.event(oom(2 * SECOND, id(20), INSIDE));
    state.event(cgroup(2 * SECOND, Removed, INSIDE, "/c/web/init"));
    state.event(cgroup(2 * SECOND, Removed, OWN, "/c/web"));
    told(&mut state);
    begins(&mut state, 5 * SECOND, 60, id(500));
    // The engine's word of the end before comes late.
    let first_end = unix(3 * SECOND);
    for ended in [Restarting, Exited] {
        state.container_named(engine(ended, 137, unix(SECOND), first_end));
        assert_eq!(facts(&last(&mut state)), (ended, true, 1, 137));
    }
    state.container_named(engine(Running, 0, unix(5 * SECOND), first_end));
    assert_eq!(facts(&last(&mut state)), (Running, false, 0, 0));
    // The runtime is away when it ends in the ordinary way.
    state.event(exit(6 * SECOND, id(500), 0));
    state.event(cgroup(6 * SECOND, Removed, 61, "/c/web/init"));
    state.event(cgroup(6 * SECOND, Removed, 60, "/c/web"));
    assert_eq!(facts(&last(&mut state)), (Exited, false, 0, 0));
    // And when the next run is killed, too, that is its own.
    begins(&mut state, 8 * SECOND, 70, id(800));
    state.container_named(engine(Running, 0, unix(8 * SECOND), unix(6 * SECOND)));
    state.event(oom(9 * SECOND, id(800), 71));
    assert_eq!(facts(&last(&mut state)), (Running, true, 1, 0));
    // Another container of the same name has another id, and no past.
    let namesake = Container {
        id: "web2".into(),
        ..engine(Running, 0, unix(9 * SECOND), 0)
    };
    state.container_named(namesake);
    assert_eq!(facts(&last(&mut state)), (Running, false, 0, 0));
}

#[test]
fn a_container_that_was_forgotten_has_no_past() {
    let mut state = running();
    state.event(oom(2 * SECOND, id(20), INSIDE));
    state.container_removed(3 * SECOND, "web");
    assert!(last(&mut state).oom_killed);
    state.tick(60 * SECOND);
    assert_eq!(state.sizes().containers, 0);
    begins(&mut state, 61 * SECOND, 90, id(6_100));
    assert_eq!(
        facts(&last(&mut state)),
        (ContainerState::Created, false, 0, 0)
    );
}

#[test]
fn the_main_process_is_known_without_a_pid_namespace_and_from_proc() {
    // Both are there when the agent comes: the older one is the container's own.
    let found = |pid: u32| Process {
        key: Some(super::super::state::key(id(pid))),
        cause: ProcessCause::Snapshot.into(),
        parent: Some(super::super::state::key(id(SHIM))),
        name: "sh".into(),
        cgroup_id: INSIDE,
        container_id: "web".into(),
        ..Process::default()
    };
    for (killed, main) in [(20, true), (30, false)] {
        let mut state = state();
        state.event(cgroup(1, Created, OWN, "/c/web"));
        state.event(cgroup(1, Created, INSIDE, "/c/web/init"));
        state.processes_found(
            SECOND,
            SECOND,
            vec![
                Process {
                    container_id: String::new(),
                    cgroup_id: 1,
                    ..found(SHIM)
                },
                found(30),
                found(20),
            ],
            true,
        );
        state.event(oom(2 * SECOND, id(killed), INSIDE));
        let now = last(&mut state);
        assert_eq!((now.oom_killed, now.oom_kills), (main, 1));
    }
    // What the runtime ran before it became the program is not in its way.
    let mut state = running();
    let (stage, main) = (id(40), id(41));
    state.event(exit(2 * SECOND, id(20), 0));
    state.event(fork_in(3 * SECOND, id(SHIM), stage, INSIDE));
    state.event(fork_in(3 * SECOND, id(SHIM), main, INSIDE));
    state.event(exit(4 * SECOND, stage, 0));
    state.event(exec_in(5 * SECOND, id(SHIM), main, &["dd"], INSIDE));
    state.event(oom(6 * SECOND, main, INSIDE));
    assert!(last(&mut state).oom_killed);
}

#[test]
fn a_kill_is_told_when_its_cgroup_is_found_later() {
    let mut state = state();
    state.event(exec(1, id(1), id(SHIM), &["shim"]));
    state.event(exec_in(SECOND, id(SHIM), id(20), &["dd"], OWN));
    state.event(oom(SECOND, id(20), OWN));
    assert!(told(&mut state).containers.is_empty());
    state.event(cgroup(SECOND, Created, OWN, "/c/web"));
    let now = last(&mut state);
    assert_eq!((now.oom_killed, now.oom_kills), (true, 1));
}

proptest! {
    /// Whatever the order of what is told: the kernel's word stays, and is told once.
    #[test]
    fn no_order_of_the_engines_words_erases_the_kernels(
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut state = running();
        for step in &order {
            match step {
                0 => state.event(oom(2 * SECOND, id(20), INSIDE)),
                1 => state.container_named(engine(ContainerState::Created, 0, 0, 0)),
                2 => state.container_named(engine(ContainerState::Running, 0, unix(SECOND), 0)),
                3 => state.container_named(engine(
                    ContainerState::Exited, 137, unix(SECOND), unix(3 * SECOND),
                )),
                4 => state.event(cgroup(3 * SECOND, Removed, INSIDE, "/c/web/init")),
                _ => state.event(cgroup(3 * SECOND, Removed, OWN, "/c/web")),
            }
        }
        state.container_named(engine(
            ContainerState::Exited, 137, unix(SECOND), unix(3 * SECOND),
        ));
        let mut known = None;
        state.snapshot(0, &mut |change| {
            if let mesoscope_proto::v1::change::Change::Container(container) = change {
                known = Some(container);
            }
        });
        let known = known.expect("in the snapshot");
        prop_assert_eq!(facts(&known), (ContainerState::Exited, true, 1, 137));
    }
}
