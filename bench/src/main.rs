//! Load, overhead and accuracy harnesses: each subcommand runs the real binaries, measures what
//! SPECIFICATION.md promises, and prints it as a table or as one JSON object.

mod bytes;
mod capture;
mod churn;
mod containers;
mod engine;
mod faults;
mod ingest;
mod latency;
mod machine;
mod map;
mod observe;
mod overhead;
mod report;
mod slow;
mod stack;
mod tiny;
mod truth;
mod ui;
mod usage;
mod workload;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use report::Report;
use stack::Programs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Folder of the release binaries; default: where this program is.
    #[arg(long, global = true)]
    bin_dir: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Also write the JSON to this file.
    #[arg(long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep the logs of aggregator and agent in this folder.
    #[arg(long, global = true, value_name = "DIR")]
    logs: Option<PathBuf>,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What one client of the page's WebSocket receives under the standard workload.
    Bytes(bytes::Options),
    /// What is seen of short processes, short connections and floods, against the truth.
    Capture(capture::Options),
    /// One bad day at a time: aggregator away, agent killed, fork bomb.
    Faults(faults::Options),
    /// Thousands of simulated agents against one aggregator.
    Ingest(ingest::Options),
    /// From a kernel event to the diff on a WebSocket client.
    Latency(latency::Options),
    /// The standard workload for long, with faults: availability, memory, recovery.
    Churn(churn::Options),
    /// The page in a real Chromium, on maps of simulated agents.
    Ui(ui::Options),
    /// A thousand WebSocket clients that read far less than happens.
    SlowClients(slow::Options),
    /// What the agent costs, and how much slower the observed work is.
    Overhead(overhead::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(report) if report.holds() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mesoscope-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report> {
    let here = std::env::current_exe()?;
    let here = here.parent().context("this program is in a folder")?;
    let programs = Programs::in_folder(
        arguments.bin_dir.as_deref().unwrap_or(here),
        arguments.logs.clone(),
    )?;
    let report = match &arguments.bench {
        Bench::Bytes(options) => bytes::run(&programs, options).await?,
        Bench::Capture(options) => capture::run(&programs, options).await?,
        Bench::Churn(options) => churn::run(&programs, options).await?,
        Bench::Faults(options) => faults::run(&programs, options).await?,
        Bench::Ingest(options) => ingest::run(&programs, options).await?,
        Bench::Latency(options) => latency::run(&programs, options).await?,
        Bench::Overhead(options) => overhead::run(&programs, options).await?,
        Bench::SlowClients(options) => slow::run(&programs, options).await?,
        Bench::Ui(options) => ui::run(&programs, options).await?,
    };
    report.print(arguments.json)?;
    if let Some(path) = &arguments.output {
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(report)
}
