//! `bench NAME`: sets up what a bench needs and hands it to `mesoscope-bench`.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::stop::Stop;
use crate::{docker, node, page, steps::Steps, tree};

/// What `bench` is asked for.
#[derive(Args, Debug)]
pub struct Options {
    /// What to measure: capture, latency, overhead, faults, churn, ingest, slow-clients, bytes, ui
    name: String,
    /// Arguments of the bench itself, such as --json.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the binaries and runs the bench on them.
pub fn run(options: &Options) -> Result<()> {
    // What `--json` prints must be the only thing on standard output.
    let quiet = options
        .arguments
        .iter()
        .any(|argument| argument == "--json");
    let stop = Stop::on_signals()?;
    let of_page = options.name == "ui";
    let setup = if of_page { "bench-ui" } else { "bench" };
    if !quiet {
        let mut steps = Steps::new(4, stop.clone())?;
        let limit = Duration::from_secs(30 * 60);
        steps.must(
            "Debian packages that are missing",
            tree::xtask(&["setup", setup])?,
            limit,
        )?;
        steps.must("eBPF programs", tree::xtask(&["build-ebpf"])?, limit)?;
        steps.must("Page", tree::xtask(&["build-page"])?, limit)?;
        steps.must("Release binaries", binaries(), limit)?;
    } else {
        for mut command in [
            tree::xtask(&["setup", setup])?,
            tree::xtask(&["build-ebpf"])?,
            tree::xtask(&["build-page"])?,
            binaries(),
        ] {
            let output = command.output().context("setting up")?;
            if !output.status.success() {
                bail!(
                    "{command:?} failed:\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
    }
    let _engine = docker::ensure(&stop)?;
    let mut bench = tree::command(
        &tree::target()
            .join("release/mesoscope-bench")
            .to_string_lossy(),
    );
    bench.arg(&options.name);
    if of_page {
        page::modules()?;
        bench.arg("--node").arg(node::folder()?.join("node"));
        if let Some(chromium) = page::chromium() {
            bench.env("CHROMIUM", chromium);
        }
    }
    bench.args(&options.arguments);
    let status = bench.status().context("running mesoscope-bench")?;
    if !status.success() {
        bail!("bench {} failed: {status}", options.name);
    }
    Ok(())
}

/// Cargo, building what is measured and what measures.
pub fn binaries() -> std::process::Command {
    let mut cargo = tree::cargo();
    cargo.args(["build", "--locked", "--release"]);
    for package in [
        "mesoscope-aggregator",
        "mesoscope-agent",
        "mesoscope",
        "mesoscope-bench",
    ] {
        cargo.args(["-p", package]);
    }
    cargo
}
