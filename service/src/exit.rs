//! Exit codes of every binary, after `sysexits.h`.

/// The configuration is wrong; nothing was bound or changed (`EX_USAGE`).
pub const CONFIG: i32 = 64;

/// Something failed after the start.
pub const FAILURE: i32 = 1;

/// Prints `error: MESSAGE` to standard error and ends the process with [`CONFIG`].
pub fn config_error(message: impl std::fmt::Display) -> ! {
    eprintln!("error: {message}");
    std::process::exit(CONFIG)
}
