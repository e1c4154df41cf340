//! Fork, exec and exit.

use std::{fs, os::unix::fs::MetadataExt, process};

use mesoscope_capture::{Clock, EventKind, ProcessId, RecordKind};

use super::{Check, Outcome, because, cgroups, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    (
        "a_short_process_is_seen_with_its_arguments_parent_and_code",
        short_process,
    ),
    (
        "the_start_of_a_process_is_that_of_proc_stat",
        start_as_in_proc,
    ),
    ("long_arguments_are_cut_and_said_to_be", long_arguments),
    ("a_killed_process_tells_its_signal", killed),
    (
        "a_process_with_many_threads_starts_and_ends_once",
        many_threads,
    ),
    (
        "a_process_in_its_own_pid_namespace_has_both_pids",
        pid_namespace,
    ),
    ("a_process_killed_for_memory_says_so", out_of_memory),
    ("times_of_events_are_unix_times", times),
];

/// The exec of a process.
pub fn exec_of(
    session: &mut Session,
    pid: u32,
) -> Result<(ProcessId, ProcessId, Vec<String>, bool), String> {
    session.wait(&format!("exec of {pid}"), |event| match event {
        EventKind::Exec {
            process,
            parent,
            argv,
            argv_truncated,
            ..
        } if process.pid == pid => Some((*process, *parent, argv.clone(), *argv_truncated)),
        _ => None,
    })
}

/// Code, signal and OOM of a process.
pub fn exit_of(session: &mut Session, pid: u32) -> Result<(i32, u32, bool), String> {
    session.wait(&format!("exit of {pid}"), |event| match event {
        EventKind::Exit {
            process,
            code,
            signal,
            oom,
            ..
        } if process.pid == pid => Some((*code, *signal, *oom)),
        _ => None,
    })
}

fn short_process() -> Outcome {
    let mut session = Session::start()?;
    let mut child = child::command(&["exit", "7", "with space", ""])
        .spawn()
        .map_err(because("spawning"))?;
    let pid = child.id();
    child.wait().map_err(because("waiting"))?;
    let (comm, forked, parent) = session.wait("fork", |event| match event {
        EventKind::Fork {
            child,
            parent,
            comm,
            ..
        } if child.pid == pid => Some((comm.clone(), *child, *parent)),
        _ => None,
    })?;
    ensure!(
        parent.pid == process::id(),
        "parent is {parent:?} and not {}",
        process::id()
    );
    ensure!(!comm.is_empty(), "no name");
    let (executed, parent_of_exec, argv, truncated) = exec_of(&mut session, pid)?;
    ensure!(executed == forked, "{executed:?} is not {forked:?}");
    ensure!(
        parent_of_exec == parent,
        "parent of the exec is {parent_of_exec:?} and not {parent:?}"
    );
    ensure!(
        argv == ["/proc/self/exe", child::FLAG, "exit", "7", "with space", ""],
        "arguments are {argv:?}"
    );
    ensure!(!truncated, "short arguments are said to be cut");
    let exit = exit_of(&mut session, pid)?;
    ensure!(exit == (7, 0, false), "exit is {exit:?}");
    let (inode, device, uid) = session.wait("exec", |event| match event {
        EventKind::Exec {
            process,
            executable_inode,
            executable_device,
            uid,
            ..
        } if process.pid == pid => Some((*executable_inode, *executable_device, *uid)),
        _ => None,
    })?;
    let own = fs::metadata("/proc/self/exe").map_err(because("own program"))?;
    ensure!(
        (inode, device) == (own.ino(), own.dev()),
        "program is {inode} of {device:#x} and not {} of {:#x}",
        own.ino(),
        own.dev()
    );
    ensure!(uid == 0, "user is {uid}");
    ensure!(session.lost() == 0, "lost {}", session.lost());
    Ok(())
}

fn start_as_in_proc() -> Outcome {
    let mut session = Session::start()?;
    let (mut child, _) = child::start_and_read_line(&["wait"])?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))
        .map_err(because("reading stat"))?;
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(19))
        .and_then(|word| word.parse().ok())
        .ok_or("stat has no field 22")?;
    let (process, ..) = exec_of(&mut session, child.id())?;
    drop(child.stdin.take());
    child.wait().map_err(because("waiting"))?;
    ensure!(
        process.start_boottime_ns == ticks * 10_000_000,
        "{} ns is not {ticks} ticks",
        process.start_boottime_ns
    );
    Ok(())
}

fn long_arguments() -> Outcome {
    let mut session = Session::start()?;
    let long = "x".repeat(1000);
    let mut child = child::command(&["exit", "0", &long])
        .spawn()
        .map_err(because("spawning"))?;
    child.wait().map_err(because("waiting"))?;
    let (_, _, argv, truncated) = exec_of(&mut session, child.id())?;
    ensure!(truncated, "not said to be cut");
    let bytes: usize = argv.iter().map(|argument| argument.len() + 1).sum();
    ensure!((256..=257).contains(&bytes), "{bytes} bytes of arguments");
    ensure!(
        argv.last()
            .is_some_and(|last| last.len() > 200 && last.chars().all(|c| c == 'x')),
        "last argument is {:?}",
        argv.last()
    );
    Ok(())
}

fn killed() -> Outcome {
    let mut session = Session::start()?;
    let (mut child, _) = child::start_and_read_line(&["wait"])?;
    child.kill().map_err(because("killing"))?;
    child.wait().map_err(because("waiting"))?;
    let exit = exit_of(&mut session, child.id())?;
    ensure!((exit.1, exit.2) == (9, false), "exit is {exit:?}");
    Ok(())
}

fn many_threads() -> Outcome {
    const THREADS: usize = 32;
    let mut session = Session::start()?;
    for _ in 0..20 {
        let mut child = child::command(&["threads", &THREADS.to_string()])
            .spawn()
            .map_err(because("spawning"))?;
        child.wait().map_err(because("waiting"))?;
        let pid = child.id();
        exit_of(&mut session, pid)?;
        session.drain();
        let forks = session
            .all(|event| {
                matches!(event, EventKind::Fork { child, .. } if child.pid == pid).then_some(())
            })
            .len();
        let exits = session
            .all(|event| {
                matches!(event, EventKind::Exit { process, .. } if process.pid == pid).then_some(())
            })
            .len();
        ensure!(
            (forks, exits) == (1, 1),
            "{forks} forks and {exits} exits of a process with {THREADS} threads"
        );
        let exit = exit_of(&mut session, pid)?;
        ensure!(exit == (5, 0, false), "exit is {exit:?}");
    }
    Ok(())
}

fn pid_namespace() -> Outcome {
    let mut session = Session::start()?;
    let mut child = child::command(&["in-pid-namespace", "exit", "3"])
        .spawn()
        .map_err(because("spawning"))?;
    let outer = child.id();
    let status = child.wait().map_err(because("waiting"))?;
    ensure!(status.code() == Some(3), "child says {status}");
    let inner = session.wait("exec in the namespace", |event| match event {
        EventKind::Exec {
            parent,
            namespaced_pid,
            ..
        } if parent.pid == outer => Some(*namespaced_pid),
        _ => None,
    })?;
    ensure!(inner == 1, "pid in the namespace is {inner}");
    let own = session.wait("exec outside of the namespace", |event| match event {
        EventKind::Exec {
            process,
            namespaced_pid,
            ..
        } if process.pid == outer => Some(*namespaced_pid),
        _ => None,
    })?;
    ensure!(own == 0, "pid in the first namespace is told as {own}");
    Ok(())
}

fn out_of_memory() -> Outcome {
    let mut session = Session::start()?;
    let cgroup = cgroups::Scratch::with_memory_limit("oom", 24 << 20)?;
    let directory = cgroup.path().display().to_string();
    let mut child = child::command(&["in-cgroup", &directory, "hog", "200"])
        .spawn()
        .map_err(because("spawning"))?;
    child.wait().map_err(because("waiting"))?;
    let exit = exit_of(&mut session, child.id())?;
    ensure!(exit.1 == 9 && exit.2, "exit is {exit:?}");
    Ok(())
}

fn times() -> Outcome {
    let mut session = Session::start()?;
    let clock = Clock::new();
    let unix_ns = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map(|time| time.as_nanos())
            .map_err(because("clock"))
    };
    let before = unix_ns()?;
    let mut child = child::command(&["exit", "0"])
        .spawn()
        .map_err(because("spawning"))?;
    child.wait().map_err(because("waiting"))?;
    let after = unix_ns()?;
    exit_of(&mut session, child.id())?;
    let times: Vec<u128> = session
        .events
        .iter()
        .filter(|event| matches!(&event.kind, EventKind::Exit { process, .. } | EventKind::Exec { process, .. } if process.pid == child.id()))
        .map(|event| clock.unix_ns(event.time).into())
        .collect();
    ensure!(times.len() == 2, "{} events", times.len());
    ensure!(
        times.iter().all(|time| (before..=after).contains(time)),
        "{times:?} is not within {before} and {after}"
    );
    ensure!(session.lost_of(RecordKind::Exit) == 0, "lost exits");
    Ok(())
}
