//! The rung without BTF, and the one without kernel programs.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use mesoscope_capture::{
    Capture, CaptureConfig, CaptureError, EventKind, Rung, event::EXIT_CODE_UNKNOWN, probe,
};
use rustix::net::sockopt::socket_cookie;

use super::{
    Check, Outcome, because,
    cgroups::Scratch,
    child, ensure,
    process::{exec_of, exit_of},
    session::Session,
};

pub const CHECKS: &[Check] = &[
    (
        "without_btf_processes_are_seen_and_said_to_be_second_best",
        processes,
    ),
    (
        "without_btf_connections_have_callers_and_counters",
        connections,
    ),
    ("without_btf_cgroups_are_seen", groups),
    (
        "without_kernel_programs_everything_says_why_it_is_missing",
        nothing,
    ),
    ("the_probe_tells_what_a_start_would_give", probing),
];

fn lower() -> Result<Session, String> {
    let session = Session::with(&CaptureConfig {
        rung: Rung::NoBtf,
        events_per_second_per_cgroup: 0,
        ..CaptureConfig::default()
    })?;
    for (name, provider) in [
        ("process-events", "tracepoint"),
        ("tcp-events", "sock_ops"),
        ("connect-pid", "cgroup"),
        ("bind-pid", "cgroup"),
        ("cgroup-events", "tracepoint"),
    ] {
        let capability = session
            .capture
            .capabilities()
            .into_iter()
            .find(|capability| capability.name == name)
            .ok_or("not told of")?;
        ensure!(
            capability.provider == provider && capability.reason.contains("second best"),
            "{capability:?}"
        );
    }
    Ok(session)
}

fn processes() -> Outcome {
    let mut session = lower()?;
    let (mut living, _) = child::start_and_read_line(&["wait"])?;
    let (process, parent, argv, truncated) = exec_of(&mut session, living.id())?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", living.id()))
        .map_err(because("reading stat"))?;
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(19))
        .and_then(|word| word.parse().ok())
        .ok_or("stat has no field 22")?;
    drop(living.stdin.take());
    living.wait().map_err(because("waiting"))?;
    ensure!(
        process.start_boottime_ns == ticks * 10_000_000,
        "{process:?} did not start at {ticks} ticks"
    );
    ensure!(
        parent.pid == std::process::id() && parent.start_boottime_ns > 0,
        "parent is {parent:?}"
    );
    ensure!(
        argv == ["/proc/self/exe", child::FLAG, "wait"] && !truncated,
        "arguments are {argv:?}"
    );
    let exit = exit_of(&mut session, living.id())?;
    ensure!(exit == (EXIT_CODE_UNKNOWN, 0, false), "exit is {exit:?}");

    let mut short = child::command(&["exit", "3"])
        .spawn()
        .map_err(because("spawning"))?;
    short.wait().map_err(because("waiting"))?;
    let (forked, parent) = session.wait("fork", |event| match event {
        EventKind::Fork { child, parent, .. } if child.pid == short.id() => Some((*child, *parent)),
        _ => None,
    })?;
    ensure!(
        parent.pid == std::process::id() && parent.start_boottime_ns > 0,
        "parent is {parent:?}"
    );
    let (executed, _, argv, truncated) = exec_of(&mut session, short.id())?;
    ensure!(
        executed == forked && forked.start_boottime_ns > 0,
        "{executed:?} is not {forked:?}"
    );
    ensure!(truncated || argv.len() == 4, "arguments are {argv:?}");
    let threads = child::command(&["threads", "8"])
        .status()
        .map_err(because("spawning"))?;
    ensure!(threads.code() == Some(5), "child says {threads}");
    exit_of(&mut session, short.id())?;
    let forks = session
        .all(|event| {
            matches!(event, EventKind::Fork { parent, .. } if parent.pid == std::process::id())
                .then_some(())
        })
        .len();
    ensure!(forks == 3, "{forks} forks of three children");
    Ok(())
}

fn connections() -> Outcome {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let mut session = lower()?;
        let listener = TcpListener::bind(listen).map_err(because("listening"))?;
        let listener_cookie = socket_cookie(&listener).map_err(because("cookie"))?;
        let address = listener.local_addr().map_err(because("address"))?;
        let mut client = TcpStream::connect(address).map_err(because("connecting"))?;
        let (mut server, _) = listener.accept().map_err(because("accepting"))?;
        client.write_all(&[1; 1000]).map_err(because("sending"))?;
        server
            .read_exact(&mut [0; 1000])
            .map_err(because("receiving"))?;
        server.write_all(&[1; 3000]).map_err(because("answering"))?;
        client
            .read_exact(&mut [0; 3000])
            .map_err(because("receiving"))?;
        let cookie = socket_cookie(&client).map_err(because("cookie"))?;
        let local = client.local_addr().map_err(because("address"))?;
        drop(client);
        server
            .read_to_end(&mut Vec::new())
            .map_err(because("waiting for the end"))?;
        drop(server);
        let caller = session.wait("connect", |event| match event {
            EventKind::Connect {
                cookie: other,
                process,
                remote,
                ..
            } if *other == cookie && *remote == address => Some(*process),
            _ => None,
        })?;
        ensure!(
            caller.pid == std::process::id() && caller.start_boottime_ns > 0,
            "caller is {caller:?}"
        );
        session.wait("bind", |event| matches!(event, EventKind::Bind { cookie, process, .. } if *cookie == listener_cookie && process.pid == std::process::id()).then_some(()))?;
        let (sent, received) = session.wait("end", |event| match event {
            EventKind::TcpEnd {
                cookie: other,
                local: told,
                remote,
                bytes_sent,
                bytes_received,
                ..
            } if *other == cookie && *told == local && *remote == address => {
                Some((*bytes_sent, *bytes_received))
            }
            _ => None,
        })?;
        ensure!(
            sent.abs_diff(1000) <= 1 && received.abs_diff(3000) <= 1,
            "{sent} sent and {received} received of 1000 and 3000"
        );
        drop(listener);
        session.wait("end of the listener", |event| {
            matches!(event, EventKind::TcpEnd { cookie, .. } if *cookie == listener_cookie)
                .then_some(())
        })?;
    }
    Ok(())
}

fn groups() -> Outcome {
    let mut session = lower()?;
    let scratch = Scratch::new("lower")?;
    let id = scratch.id()?;
    let name = scratch
        .path()
        .file_name()
        .ok_or("no name")?
        .to_string_lossy()
        .into_owned();
    let status = child::command(&[
        "in-cgroup",
        &scratch.path().display().to_string(),
        "exit",
        "0",
    ])
    .status()
    .map_err(because("spawning"))?;
    ensure!(status.success(), "child says {status}");
    drop(scratch);
    session.wait("removal", |event| matches!(event, EventKind::Cgroup { action: mesoscope_capture::event::CgroupAction::Removed, cgroup_id, .. } if *cgroup_id == id).then_some(()))?;
    let told = session.all(|event| match event {
        EventKind::Cgroup {
            cgroup_id, path, ..
        } if *cgroup_id == id => Some(path.clone()),
        _ => None,
    });
    ensure!(
        told.len() == 4 && told.iter().all(|path| *path == format!("/{name}")),
        "told {told:?}"
    );
    Ok(())
}

fn nothing() -> Outcome {
    let config = CaptureConfig {
        rung: Rung::None,
        ..CaptureConfig::default()
    };
    let mut capture = Capture::start(&config).map_err(because("starting"))?;
    ensure!(
        capture
            .capabilities()
            .iter()
            .all(|capability| !capability.available && !capability.reason.is_empty()),
        "{:?}",
        capture.capabilities()
    );
    ensure!(capture.drain(&mut |_| ()) == 0, "events of no programs");
    ensure!(
        matches!(capture.sockets(), Err(CaptureError::NoSnapshot(_))),
        "a snapshot of no programs"
    );
    ensure!(
        capture.set_tier2(mesoscope_capture::Tier2::Node).is_err(),
        "tier 2 of no programs"
    );
    Ok(())
}

fn probing() -> Outcome {
    let told = probe(&CaptureConfig::default());
    let started = Capture::start(&CaptureConfig::default())
        .map_err(because("starting"))?
        .capabilities();
    ensure!(told == started, "{told:?} is not {started:?}");
    ensure!(
        told.len() == mesoscope_capture::capability::NAMES.len(),
        "{} capabilities",
        told.len()
    );
    let wrong = Capture::start(&CaptureConfig {
        ring_bytes: 5000,
        ..CaptureConfig::default()
    });
    ensure!(
        matches!(wrong, Err(CaptureError::Config(_))),
        "a ring of 5000 bytes is taken"
    );
    Ok(())
}
