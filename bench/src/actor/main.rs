//! The processes that the benches watch: each does one thing, says exactly when it did it, and
//! knows nothing of the observer.
//!
//! Facts go to a truth file, one line each, in one `write` with O_APPEND, so that lines of many
//! processes do not mix. Times are Unix nanoseconds.

mod act;
mod remote;
mod spawn;
mod storm;
mod truth;
mod work;

use std::process::ExitCode;

const USAGE: &str = "usage: mesoscope-bench-actor COMMAND ...
  nap MILLIS MARKER TRUTH             live for MILLIS
  connect ADDRESS MILLIS MARKER TRUTH connect, hold for MILLIS, close, end
  phases ADDRESS MILLIS MARKER TRUTH  start, connect, close, end, MILLIS apart
  serve TRUTH ADDRESS...              accept, and read each connection to its end
  hold ADDRESS COUNT                  keep COUNT connections open until stdin closes
  spawn-naps COUNT PREFIX TRUTH       COUNT processes of 5 to 50 ms
  spawn-connects COUNT PREFIX TRUTH ADDRESS...
                                      COUNT processes with one connection of 5 to 45 ms each
  rate PER_SECOND PROGRAM             fork + exec PROGRAM at a rate until stdin closes
  flood-exec SECONDS THREADS PROGRAM MARKER TRUTH
  flood-connect SECONDS THREADS MARKER TRUTH
  remote-peer COUNT GAP HOLD TRUTH    connections from a peer that is no process here
  work KIND PROGRAM                   batches on request, with their CPU time (see work.rs)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["nap", millis, marker, truth] => act::nap(millis, marker, truth),
        ["connect", address, millis, marker, truth] => act::connect(address, millis, marker, truth),
        ["phases", address, millis, marker, truth] => act::phases(address, millis, marker, truth),
        ["serve", truth, addresses @ ..] => act::serve(truth, addresses),
        ["hold", address, count] => act::hold(address, count),
        ["spawn-naps", count, prefix, truth] => spawn::naps(count, prefix, truth),
        ["spawn-connects", count, prefix, truth, addresses @ ..] => {
            spawn::connects(count, prefix, truth, addresses)
        }
        ["rate", per_second, program] => storm::rate(per_second, program),
        ["flood-exec", seconds, threads, program, marker, truth] => {
            storm::flood_exec(seconds, threads, program, marker, truth)
        }
        ["flood-connect", seconds, threads, marker, truth] => {
            storm::flood_connect(seconds, threads, marker, truth)
        }
        ["remote-peer", count, gap, hold, truth] => remote::run(count, gap, hold, truth),
        ["work", kind, program] => work::serve(kind, program),
        _ => Err(std::io::Error::other(USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(64)
        }
    }
}

/// Parses an argument, with a message that names it.
fn number<T: std::str::FromStr>(text: &str, what: &str) -> std::io::Result<T> {
    text.parse()
        .map_err(|_| std::io::Error::other(format!("{what} must be a number, not {text:?}")))
}
