//! What the capture must see, check by check.
//!
//! - [`session`]: a capture and the events that it gave so far
//! - [`child`]: the processes that are watched: this program again, with other arguments
//! - [`init`]: being process 1 of a virtual machine
//! - the others hold the checks

pub mod cgroups;
pub mod child;
pub mod cost;
pub mod init;
pub mod limits;
pub mod lower;
pub mod packets;
pub mod process;
pub mod session;
pub mod sockets;
pub mod tcp;

use std::{process::ExitCode, time::Instant};

/// Outcome of a check: why it failed.
pub type Outcome = Result<(), String>;
/// A check and its name.
pub type Check = (&'static str, fn() -> Outcome);

const ALL: &[&[Check]] = &[
    process::CHECKS,
    tcp::CHECKS,
    cgroups::CHECKS,
    sockets::CHECKS,
    packets::CHECKS,
    lower::CHECKS,
    limits::CHECKS,
    cost::CHECKS,
];

/// Runs the checks whose names contain one of the arguments, all of them without any.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|argument| argument == child::FLAG)
    {
        return child::run(&arguments[1..]);
    }
    if std::process::id() == 1 {
        return init::run();
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let checks = ALL.iter().copied().flatten().filter(|(name, _)| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(*filter))
    });
    if arguments.iter().any(|argument| argument == "--list") {
        checks.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        let skipped = checks
            .map(|(name, _)| {
                println!("test {name} ... ignored, needs root to load kernel programs")
            })
            .count();
        println!(
            "\ntest result: ok. 0 passed; 0 failed; {skipped} ignored; 0 measured; 0 filtered out"
        );
        return ExitCode::SUCCESS;
    }
    let failed = run(checks);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs checks one after another and prints each outcome; gives how many failed.
pub fn run<'a>(checks: impl Iterator<Item = &'a Check>) -> usize {
    let begun = Instant::now();
    let (mut passed, mut failed) = (0usize, 0usize);
    for (name, check) in checks {
        match check() {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(reason) => {
                failed += 1;
                println!("test {name} ... FAILED\n    {reason}");
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s",
        begun.elapsed().as_secs_f64()
    );
    failed
}

/// All checks.
pub fn all() -> impl Iterator<Item = &'static Check> {
    ALL.iter().copied().flatten()
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;

/// An error as the reason of a failed check.
pub fn because<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{doing}: {error}")
}
