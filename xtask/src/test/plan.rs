//! Which steps `test` has, in their order: cheap ones first, what others need before them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{bench, tree};

/// A step of `test`.
pub struct Item {
    /// What `--only` and the table call it.
    pub name: String,
    /// What it checks.
    pub about: String,
    /// Whether it needs a Docker engine.
    pub docker: bool,
    /// Time limit.
    pub limit: Duration,
    /// What to run; made late, because it may depend on what an earlier step fetched.
    pub command: Box<dyn Fn() -> Result<Command>>,
}

fn item(
    name: &str,
    about: &str,
    minutes: u64,
    command: impl Fn() -> Result<Command> + 'static,
) -> Item {
    Item {
        name: name.to_owned(),
        about: about.to_owned(),
        docker: false,
        limit: Duration::from_secs(minutes * 60),
        command: Box::new(command),
    }
}

fn with_docker(item: Item) -> Item {
    Item {
        docker: true,
        ..item
    }
}

fn cargo(arguments: &'static [&'static str]) -> impl Fn() -> Result<Command> {
    move || {
        let mut cargo = tree::cargo();
        cargo.args(arguments);
        Ok(cargo)
    }
}

fn xtask(arguments: &'static [&'static str]) -> impl Fn() -> Result<Command> {
    move || tree::xtask(arguments)
}

/// All steps.
pub fn items() -> Vec<Item> {
    let mut items = vec![
        item(
            "setup",
            "installs what the tests need",
            15,
            xtask(&["setup", "test"]),
        ),
        item(
            "format",
            "cargo fmt --check",
            5,
            cargo(&["fmt", "--all", "--check"]),
        ),
        item(
            "build-ebpf",
            "the kernel programs",
            20,
            xtask(&["build-ebpf"]),
        ),
        item("build-page", "the page", 10, xtask(&["build-page"])),
        item(
            "clippy",
            "no lint fires",
            20,
            cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
        ),
        with_docker(item(
            "rust",
            "unit, property and integration tests",
            30,
            rust_tests,
        )),
        item("tidy", "the tree itself", 15, xtask(&["tidy"])),
        item("page", "Vitest", 5, xtask(&["page-script", "test"])),
        item(
            "release",
            "optimised binaries, for what follows",
            30,
            || Ok(bench::binaries()),
        ),
        with_docker(item(
            "page-e2e",
            "the page in Chromium on the real services",
            20,
            xtask(&["page-e2e"]),
        )),
        with_docker(item(
            "deploy",
            "image, manifests, units, alerts",
            15,
            deploy_tests,
        )),
    ];
    for name in ["capture", "latency", "overhead", "faults", "churn"] {
        let about = format!("bench {name}, its short form");
        items.push(with_docker(item(
            &format!("bench-{name}"),
            &about,
            10,
            move || {
                let program = tree::target().join("release/mesoscope-bench");
                let mut bench = tree::command(&program.to_string_lossy());
                bench.args([name, "--short"]);
                Ok(bench)
            },
        )));
    }
    items.push(item(
        "vmtest",
        "the capture test on a stock Debian 6.1 kernel",
        15,
        xtask(&["vmtest"]),
    ));
    items
}

/// Image, manifests, units and alerts, with the release binaries.
fn deploy_tests() -> Result<Command> {
    let mut bash = tree::command("bash");
    bash.arg("deploy/tests/run.sh")
        .env("MESOSCOPE_BIN_DIR", tree::target().join("release"));
    Ok(bash)
}

/// nextest where it is installed, else cargo test.
fn rust_tests() -> Result<Command> {
    let mut cargo = tree::cargo();
    if tree::on_path("cargo-nextest").is_some() {
        cargo.args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-fail-fast",
        ]);
    } else {
        // Tests that share the machine's one kernel are kept apart by nextest's groups; cargo test
        // can only run all of them one by one.
        cargo.args([
            "test",
            "--locked",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--test-threads=1",
        ]);
    }
    Ok(cargo)
}

/// Puts what `setup` fetched into target/tools on the command's `PATH`.
pub fn with_tools(command: &mut Command) -> Result<()> {
    let own: Option<OsString> = command
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value.map(ToOwned::to_owned));
    let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain([
            tree::tools().join("bin"),
            PathBuf::from("/usr/sbin"),
            PathBuf::from("/sbin"),
        ])
        .collect::<Vec<_>>();
    command.env(
        "PATH",
        std::env::join_paths(folders).context("making PATH")?,
    );
    Ok(())
}
