//! Processes: merging, inheritance, re-use of pids, what a read of `/proc` adds.

use mesoscope_capture::Protocol::Tcp;
use mesoscope_capture::event::TcpEndKind::Destroyed;
use mesoscope_proto::v1::change::Change as Kind;
use mesoscope_proto::v1::{self, ProcessCause};

use super::world::*;
use crate::core::node_state::NodeState;

fn found(id: mesoscope_capture::ProcessId, name: &str, argv: &[&str]) -> v1::Process {
    v1::Process {
        key: Some(v1::ProcessKey {
            pid: id.pid,
            start_boottime_ns: id.start_boottime_ns,
        }),
        cause: ProcessCause::Snapshot.into(),
        name: name.to_owned(),
        argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        cgroup_id: 1,
        ..v1::Process::default()
    }
}

#[test]
fn a_life_within_one_batch_is_one_message() {
    let mut state = state();
    state.event(fork(SECOND, id(1), id(2), "sh"));
    state.event(exec(SECOND + MS, id(1), id(2), &["ls", "-l"]));
    state.event(exit(SECOND + 2 * MS, id(2), 3));
    let told = told(&mut state).processes;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (
            told[0].cause(),
            told[0].name.as_str(),
            told[0].argv.join(" ").as_str()
        ),
        (ProcessCause::Exec, "ls", "ls -l")
    );
    assert_eq!(told[0].exit.as_ref().map(|exit| exit.code), Some(3));
    assert_eq!(told[0].parent.expect("known").pid, 1);
}

#[test]
fn arguments_are_left_out_where_asked_for() {
    let mut state = state();
    state.omit_arguments();
    state.event(exec(SECOND, id(1), id(2), &["curl", "-u", "ann:secret"]));
    state.event(exec(SECOND, id(1), id(3), &["db: ann secret"]));
    state.event(exec(SECOND, id(1), id(4), &["true"]));
    let words = |told: Vec<v1::Process>| {
        let mut words: Vec<_> = told
            .into_iter()
            .map(|process| (process.argv.join(" "), process.argv_truncated))
            .collect();
        words.sort();
        words
    };
    let expected = [("curl", true), ("db:", true), ("true", false)];
    let expected = expected.map(|(word, cut)| (word.to_owned(), cut));
    assert_eq!(words(told(&mut state).processes), expected);
    let mut snapshot = Vec::new();
    state.snapshot(0, &mut |kind| {
        if let Kind::Process(process) = kind {
            snapshot.push(process);
        }
    });
    assert_eq!(words(snapshot), expected, "a snapshot tells no more");
}

#[test]
fn a_second_exec_is_a_message_of_its_own() {
    let mut state = state();
    state.event(fork(SECOND, id(1), id(2), "sh"));
    state.event(exec(SECOND + MS, id(1), id(2), &["env", "true"]));
    state.event(exec(SECOND + 2 * MS, id(1), id(2), &["true"]));
    state.event(exit(SECOND + 3 * MS, id(2), 0));
    let names: Vec<(String, bool)> = told(&mut state)
        .processes
        .into_iter()
        .map(|p| (p.name, p.exit.is_some()))
        .collect();
    assert_eq!(
        names,
        [("env".to_owned(), false), ("true".to_owned(), true)]
    );
    assert!(!state.has_changes());
}

#[test]
fn a_child_has_its_parents_arguments_until_it_executes() {
    let mut state = state();
    state.event(exec(SECOND, id(1), id(2), &["nginx", "-g", "daemon off;"]));
    state.event(fork(SECOND, id(2), id(3), "nginx"));
    state.event(exit(SECOND, id(2), 0));
    state.event(fork(SECOND, id(3), id(4), "worker"));
    let told = told(&mut state).processes;
    let of = |pid| {
        told.iter()
            .find(|p| p.key.expect("has one").pid == pid)
            .expect("told")
    };
    assert_eq!(of(3).argv, ["nginx", "-g", "daemon off;"]);
    assert_eq!(
        (of(4).name.as_str(), of(4).argv.len()),
        ("worker", 3),
        "its grandparent is dead by then"
    );
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let mut state = state();
    state.event(exec(SECOND, id(1), started(7, 1), &["old"]));
    state.event(exit(SECOND, started(7, 1), 0));
    state.event(exec(2 * SECOND, id(1), started(7, 5), &["new"]));
    // A record that comes late must not end the new one.
    state.event(exit(SECOND, started(7, 1), 9));
    assert!(state.is_alive(started(7, 5)) && !state.is_alive(started(7, 1)));
    assert_eq!(told(&mut state).processes.len(), 2);
}

#[test]
fn a_zombie_in_proc_stays_ended_and_what_vanished_is_inferred() {
    let mut state = state();
    state.event(exec(SECOND, id(1), id(2), &["zombie"]));
    state.event(exec(SECOND, id(1), id(3), &["vanishes"]));
    state.event(exit(2 * SECOND, id(2), 0));
    state.event(exec(5 * SECOND, id(1), id(4), &["younger than the read"]));
    told(&mut state);
    state.processes_found(
        4 * SECOND,
        4 * SECOND + MS,
        vec![found(id(2), "zombie", &[])],
        true,
    );
    let told = told(&mut state).processes;
    assert_eq!(told.len(), 1);
    let exit = told[0].exit.as_ref().expect("ended");
    assert!(exit.inferred && told[0].name == "vanishes");
    assert!(state.is_alive(id(4)));
    // The true end comes late after all.
    state.event(super::world::exit(6 * SECOND, id(3), 1));
    assert_eq!(
        super::world::told(&mut state).processes[0]
            .exit
            .as_ref()
            .map(|exit| (exit.inferred, exit.code)),
        Some((false, 1))
    );
}

#[test]
fn an_event_after_the_read_began_is_newer_than_the_read() {
    let mut state = state();
    state.event(exec(5 * SECOND, id(1), id(2), &["new"]));
    state.processes_found(
        4 * SECOND,
        6 * SECOND,
        vec![found(id(2), "old", &["old"])],
        true,
    );
    assert_eq!(told(&mut state).processes[0].name, "new");
    // And an exec before it is older: the read shows what is now.
    let mut state = self::state();
    state.processes_found(
        4 * SECOND,
        6 * SECOND,
        vec![found(id(2), "now", &["now"])],
        true,
    );
    state.event(exec(3 * SECOND, id(1), id(2), &["before"]));
    assert_eq!(told(&mut state).processes[0].name, "now");
}

fn state() -> NodeState {
    super::world::state()
}

#[test]
fn details_come_late_and_only_for_those_who_live() {
    let mut state = state();
    state.event(exec(SECOND, id(1), id(2), &["short"]));
    state.event(exec(SECOND, id(1), id(3), &["long"]));
    state.event(exit(SECOND + 10 * MS, id(2), 0));
    state.tick(SECOND + 900 * MS);
    assert!(state.details_due(10).is_empty());
    state.tick(2 * SECOND);
    assert_eq!(state.details_due(10), [id(3)]);
    told(&mut state);
    state.details(v1::Process {
        user: "root".into(),
        cwd: "/srv".into(),
        ..found(id(3), "long", &["long", "--with", "more"])
    });
    let told = told(&mut state).processes;
    assert_eq!(
        (told[0].cause(), told[0].cwd.as_str(), told[0].argv.len()),
        (ProcessCause::Update, "/srv", 3)
    );
}

#[test]
fn tombstones_are_bounded_in_time_and_number_and_lose_no_message() {
    let mut state = state();
    let mut limits = state.limits().clone();
    limits.processes_ended = 10;
    state.set_limits(limits);
    for pid in 10..110 {
        state.event(exec(SECOND, id(1), id(pid), &["x"]));
        state.event(exit(SECOND, id(pid), 0));
    }
    state.tick(SECOND);
    assert_eq!(state.sizes().processes_ended, 10);
    assert_eq!(told(&mut state).processes.len(), 100);
    state.tick(40 * SECOND);
    assert_eq!(state.sizes().processes, 0);
}

#[test]
fn a_snapshot_tells_of_no_ended_connection_whose_process_it_leaves_out() {
    let mut state = state();
    let mut limits = state.limits().clone();
    limits.processes_ended = 1;
    state.set_limits(limits);
    for pid in 10..13 {
        let ends = (format!("10.0.0.1:{}", 40_000 + pid), "10.0.0.2:80");
        state.event(exec(SECOND, id(1), id(pid), &["wget"]));
        state.event(connect(SECOND, pid.into(), id(pid), Tcp, ends.1));
        state.event(tcp_end(
            SECOND,
            pid.into(),
            Destroyed,
            (&ends.0, ends.1),
            (1, 1),
            0,
        ));
        state.event(exit(SECOND, id(pid), 0));
    }
    told(&mut state);
    state.tick(SECOND);
    let (mut processes, mut owners) = (Vec::new(), Vec::new());
    state.snapshot(0, &mut |change| match change {
        Kind::Process(process) => processes.push(process.key),
        Kind::Connection(connection) => owners.push(connection.process),
        _ => {}
    });
    assert_eq!(owners.len(), 1);
    assert!(owners.iter().all(|owner| processes.contains(owner)));
}

#[test]
fn what_is_over_the_bound_is_told_as_a_gap() {
    let mut state = state();
    let mut limits = state.limits().clone();
    limits.processes = 5;
    state.set_limits(limits);
    for pid in 10..20 {
        state.event(exec(SECOND, id(1), id(pid), &["x"]));
    }
    state.tick(SECOND);
    assert_eq!((state.sizes().processes, state.open_gaps().count()), (5, 1));
}
