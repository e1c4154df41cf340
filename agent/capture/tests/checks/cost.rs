//! What our programs cost is measured while that is asked for, and only then.

use mesoscope_capture::{CaptureConfig, CaptureStats, ProgramStats};

use super::{Check, Outcome, because, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    ("programs_are_measured_within_windows_only", windows),
    ("with_statistics_on_programs_are_always_measured", always),
];

const STORM: u64 = 20;

fn storm() -> Outcome {
    let status = child::command(&["storm", &STORM.to_string()])
        .status()
        .map_err(because("storming"))?;
    ensure!(status.success(), "the storm says {status}");
    Ok(())
}

fn forks(stats: &CaptureStats) -> Result<&ProgramStats, String> {
    let mut programs = stats.programs.iter();
    programs
        .find(|program| program.name == "sched_process_fork")
        .ok_or_else(|| format!("forks were not measured: {:?}", stats.programs))
}

fn windows() -> Outcome {
    let mut session = Session::start()?;
    storm()?;
    let never = session.capture.stats();
    ensure!(
        never.programs.is_empty() && never.programs_measured_ns == 0,
        "measured without being asked: {:?}",
        never.programs
    );
    let mut measured = Vec::new();
    for _ in 0..2 {
        session
            .capture
            .measure_programs(true)
            .map_err(because("measuring"))?;
        storm()?;
        session
            .capture
            .measure_programs(false)
            .map_err(because("measuring"))?;
        measured.push(session.capture.stats());
        storm()?;
    }
    let (first, second) = (forks(&measured[0])?, forks(&measured[1])?);
    ensure!(
        first.run_count >= STORM && first.run_time_ns > 0,
        "{first:?}"
    );
    ensure!(
        second.run_count >= 2 * STORM && second.run_time_ns > first.run_time_ns,
        "{first:?}, then {second:?}"
    );
    let per_run = second.run_time_ns / second.run_count;
    ensure!(per_run < 1_000_000, "{per_run} ns a fork");
    let since = session.capture.stats();
    ensure!(
        since.programs == measured[1].programs
            && since.programs_measured_ns == measured[1].programs_measured_ns,
        "it goes on after the window: {second:?}, then {:?}",
        forks(&since)?
    );
    Ok(())
}

fn always() -> Outcome {
    let mut session = Session::with(&CaptureConfig {
        bpf_statistics: true,
        ..CaptureConfig::default()
    })?;
    storm()?;
    let first = session.capture.stats();
    storm()?;
    let second = session.capture.stats();
    let (before, after) = (forks(&first)?, forks(&second)?);
    ensure!(
        before.run_count >= STORM && after.run_count >= before.run_count + STORM,
        "{before:?}, then {after:?}"
    );
    ensure!(
        0 < first.programs_measured_ns && first.programs_measured_ns < second.programs_measured_ns,
        "measured for {} ns, then {} ns",
        first.programs_measured_ns,
        second.programs_measured_ns
    );
    Ok(())
}
