//! The watchdog ends a service once we are dead, and leaves it alone when we ended it ourselves.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A service of two processes, in a group of its own.
fn service() -> Child {
    Command::new("sh")
        .args(["-c", "sleep 60 & wait"])
        .process_group(0)
        .spawn()
        .expect("sh runs")
}

fn watchdog(service: &Child) -> Child {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["watchdog", &service.id().to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .expect("xtask runs")
}

fn ends_within(child: &mut Child, limit: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < limit {
        if child.try_wait().expect("our own child").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_pipe_that_closes_without_a_word_ends_the_service() {
    let mut service = service();
    let mut watchdog = watchdog(&service);
    assert!(!ends_within(&mut service, Duration::from_millis(300)));
    drop(watchdog.stdin.take());
    assert!(ends_within(&mut service, Duration::from_secs(5)));
    assert!(ends_within(&mut watchdog, Duration::from_secs(15)));
}

#[test]
fn a_service_that_we_ended_is_left_alone() {
    let mut service = service();
    let mut watchdog = watchdog(&service);
    let mut pipe = watchdog.stdin.take().expect("piped");
    pipe.write_all(b"ended").expect("writable");
    drop(pipe);
    assert!(ends_within(&mut watchdog, Duration::from_secs(5)));
    assert!(!ends_within(&mut service, Duration::from_millis(300)));
    let group = rustix::process::Pid::from_child(&service);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("ours");
    service.wait().expect("our own child");
}
