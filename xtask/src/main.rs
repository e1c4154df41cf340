//! The only entry points a person must know: up, test, bench, build-ebpf, vmtest, tidy.

mod bench;
mod docker;
mod ebpf;
mod initramfs;
mod install;
mod node;
mod output;
mod page;
mod service;
mod stack;
mod steps;
mod stop;
mod test;
mod tidy;
mod tree;
mod up;
mod vmtest;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Works on the checkout: builds, runs, tests, measures"
)]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand, Debug)]
enum Job {
    /// Set up, build, and show this machine's live map; Ctrl-C stops everything
    Up(up::Options),
    /// Set up and run every test
    Test(test::Options),
    /// Measure one of the promised figures on this machine
    Bench(bench::Options),
    /// Build the kernel programs
    BuildEbpf,
    /// Build the page
    BuildPage,
    /// Boot a stock Debian kernel in QEMU with the agent's capture test as init
    Vmtest,
    /// Check the tree itself
    Tidy(tidy::Options),
    /// Install what a job needs and the machine lacks: up, bench or test
    Setup {
        /// up, bench or test
        group: String,
    },
    /// Run one of the scripts of ui/package.json with the Node that fits
    #[command(hide = true)]
    PageScript {
        /// Its name
        name: String,
    },
    /// Drive the page in Chromium against the release binaries
    #[command(hide = true)]
    PageE2e,
    /// End a process group once standard input closes without a word
    #[command(hide = true)]
    Watchdog {
        /// The group's number
        group: i32,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: Job) -> Result<()> {
    match job {
        Job::Up(options) => up::run(&options),
        Job::Test(options) => test::run(&options),
        Job::Bench(options) => bench::run(&options),
        Job::BuildEbpf => ebpf::build(&xshell::Shell::new()?).map(drop),
        Job::BuildPage => page::build(),
        Job::Vmtest => vmtest::run(),
        Job::Tidy(options) => tidy::run(&options),
        Job::Setup { group } => test::setup(&group),
        Job::PageE2e => page::end_to_end(),
        Job::PageScript { name } => page::script(&name),
        Job::Watchdog { group } => service::watchdog(group),
    }
}
