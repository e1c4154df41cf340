//! Where things are in the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || root().join("target"),
        |folder| root().join(PathBuf::from(folder)),
    )
}

/// What xtask fetches for itself (Node, promtool): nothing of it touches the system.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// Logs of the steps.
pub fn logs() -> PathBuf {
    target().join("xtask-logs")
}

/// A command run at the root of the checkout.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Cargo, the one that runs us.
pub fn cargo() -> Command {
    let mut cargo = command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    // What `cargo run` set for xtask itself is not for the crates that are built from here.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// This program again, so that its own work runs as a step with a log like any other.
pub fn xtask(arguments: &[&str]) -> Result<Command> {
    let program = std::env::current_exe().context("finding xtask's own program file")?;
    // A build of the whole workspace may have put a new xtask in the place of the running one.
    let program = program.to_string_lossy();
    let mut xtask = Command::new(program.trim_end_matches(" (deleted)"));
    xtask.current_dir(root()).args(arguments);
    Ok(xtask)
}

/// The program of this name on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
