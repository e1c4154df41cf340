//! Loss and the cap on a cgroup's events: whatever is not delivered is counted.

use mesoscope_capture::{CaptureConfig, EventKind, RecordKind};

use super::{Check, Outcome, because, cgroups::Scratch, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    ("every_event_is_received_or_counted_as_lost", loss),
    (
        "a_storm_in_one_cgroup_is_withheld_and_counted_and_the_others_are_seen",
        cap,
    ),
    ("a_quarter_of_the_ring_wakes_the_consumer", wake_up),
    ("records_are_well_formed", well_formed),
];

/// Processes of a storm.
const STORM: u64 = 300;

fn storm_in(scratch: &Scratch) -> Outcome {
    let directory = scratch.path().display().to_string();
    let status = child::command(&["in-cgroup", &directory, "storm", &STORM.to_string()])
        .status()
        .map_err(because("storming"))?;
    ensure!(status.success(), "the storm says {status}");
    Ok(())
}

/// Fork, exec and exit records of a cgroup that were received.
fn received_of(session: &Session, cgroup: u64) -> u64 {
    session
        .all(|event| match event {
            EventKind::Fork { cgroup_id, .. }
            | EventKind::Exec { cgroup_id, .. }
            | EventKind::Exit { cgroup_id, .. } => (*cgroup_id == cgroup).then_some(()),
            _ => None,
        })
        .len() as u64
}

/// Three records for each process of the storm, and the storming one's own second exec and exit.
const SENT: u64 = 3 * STORM + 2;

fn loss() -> Outcome {
    let config = CaptureConfig {
        ring_bytes: 8 << 10,
        events_per_second_per_cgroup: 0,
        ..CaptureConfig::default()
    };
    let mut session = Session::with(&config)?;
    let scratch = Scratch::new("loss")?;
    // Nobody drains: a ring of 8 KiB takes some 75 records and the rest is lost.
    storm_in(&scratch)?;
    session.drain();
    let received = received_of(&session, scratch.id()?);
    let lost: u64 = [RecordKind::Fork, RecordKind::Exec, RecordKind::Exit]
        .into_iter()
        .map(|kind| session.lost_of(kind))
        .sum();
    ensure!(
        lost > 0 && received < SENT,
        "nothing was lost: {received} received of {SENT}"
    );
    // Others on this machine may have lost events too while the ring was full.
    ensure!(
        received + lost >= SENT,
        "{SENT} sent, {received} received, {lost} lost: some are missing"
    );
    let others = session.events.len() as u64 - received;
    ensure!(
        received + lost <= SENT + 50 + 20 * others,
        "{SENT} sent, {received} received, {lost} lost, {others} of others"
    );
    Ok(())
}

fn cap() -> Outcome {
    let config = CaptureConfig {
        ring_bytes: 4 << 20,
        // 5 in a window of 134 ms: a storm of 13 processes a second is over it, which an emulated
        // CPU that shares its host makes too, and the calm one's 3 records are not.
        events_per_second_per_cgroup: 32,
        ..CaptureConfig::default()
    };
    let mut session = Session::with(&config)?;
    let (stormy, calm) = (Scratch::new("stormy")?, Scratch::new("calm")?);
    let directory = calm.path().display().to_string();
    let storm = std::thread::scope(|scope| {
        let storm = scope.spawn(|| storm_in(&stormy));
        let mut pids = Vec::new();
        while !storm.is_finished() && pids.len() < 5 {
            let mut child = child::command(&["in-cgroup", &directory, "exit", "0"])
                .spawn()
                .map_err(because("spawning"))?;
            child.wait().map_err(because("waiting"))?;
            pids.push(child.id());
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        storm
            .join()
            .map_err(|_| "the storm panicked".to_owned())??;
        Ok::<_, String>(pids)
    })?;
    session.drain();
    let received = received_of(&session, stormy.id()?);
    let stats = session.capture.stats();
    let withheld = stats
        .losses
        .withheld
        .iter()
        .find(|withheld| withheld.cgroup_id == stormy.id().unwrap_or(0))
        .ok_or("the storm was not capped")?;
    ensure!(
        session.lost() == 0,
        "lost {} with a ring of 4 MiB",
        session.lost()
    );
    ensure!(
        received + withheld.count == SENT,
        "{SENT} sent, {received} received, {} withheld",
        withheld.count
    );
    ensure!(withheld.last > 0, "no time of the last one");
    let calm_id = calm.id()?;
    ensure!(
        stats
            .losses
            .withheld
            .iter()
            .all(|withheld| withheld.cgroup_id != calm_id),
        "the calm cgroup was capped: {:?}",
        stats.losses.withheld
    );
    for pid in storm {
        let seen = session.all(|event| matches!(event, EventKind::Exit { process, cgroup_id, .. } if process.pid == pid && *cgroup_id == calm_id).then_some(())).len();
        ensure!(
            seen == 1,
            "the exit of {pid} in the calm cgroup was seen {seen} times"
        );
    }
    session
        .capture
        .set_event_rate_cap(0)
        .map_err(because("lifting the cap"))?;
    session.drain();
    let before = received_of(&session, stormy.id()?);
    storm_in(&stormy)?;
    session.drain();
    let after = received_of(&session, stormy.id()?) - before;
    ensure!(after == SENT, "without a cap {after} of {SENT}");
    Ok(())
}

fn wake_up() -> Outcome {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::{AsRawFd, BorrowedFd};
    let config = CaptureConfig {
        ring_bytes: 64 << 10,
        events_per_second_per_cgroup: 0,
        ..CaptureConfig::default()
    };
    let mut session = Session::with(&config)?;
    let readable = |session: &Session, ms: i64| -> Result<bool, String> {
        // SAFETY: the descriptor belongs to the session, which outlives the borrow.
        #[expect(unsafe_code, reason = "a borrow of a raw descriptor")]
        let fd = unsafe { BorrowedFd::borrow_raw(session.capture.as_raw_fd()) };
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        Ok(poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: ms * 1_000_000,
            }),
        )
        .map_err(because("polling"))?
            > 0)
    };
    let waiter = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| readable(&session, 900));
        let storm = child::command(&["storm", "200"])
            .status()
            .map_err(because("storming"));
        storm.and_then(|_| {
            waiter
                .join()
                .map_err(|_| "the waiter panicked".to_owned())?
        })
    })?;
    ensure!(waiter, "not woken although the ring filled up");
    session.drain();
    Ok(())
}

fn well_formed() -> Outcome {
    let mut session = Session::start()?;
    child::command(&["storm", "20"])
        .status()
        .map_err(because("storming"))?;
    session.drain();
    let stats = session.capture.stats();
    ensure!(
        stats.malformed == 0,
        "{} malformed records",
        stats.malformed
    );
    ensure!(
        stats.ring_size_bytes == 1 << 20,
        "ring is {}",
        stats.ring_size_bytes
    );
    Ok(())
}
