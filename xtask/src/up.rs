//! `up`: from a checkout to a live map of this machine.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::stack::{Ports, Stack};
use crate::steps::Steps;
use crate::stop::Stop;
use crate::tree;

/// Time limit of a step.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What `up` is asked for.
#[derive(Args, Debug)]
pub struct Options {
    /// Port of the page, REST and WebSocket.
    #[arg(long, default_value_t = 4040)]
    port: u16,
    /// Port of gRPC.
    #[arg(long, default_value_t = 4041)]
    grpc_port: u16,
    /// Port of the agent's own /metrics and /health.
    #[arg(long, default_value_t = 4042)]
    agent_port: u16,
    /// Start the aggregator only.
    #[arg(long)]
    no_agent: bool,
    /// Build without optimisation: sooner there, but the promised figures don't hold.
    #[arg(long)]
    dev: bool,
    /// Stop by itself after this many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
}

/// Runs until Ctrl-C, SIGTERM or the end of `--for`.
pub fn run(options: &Options) -> Result<()> {
    let stop = Stop::on_signals()?;
    check_ports(options)?;
    let bin = build(options, stop.clone())?;
    let ports = Ports {
        http: options.port,
        grpc: options.grpc_port,
        agent: options.agent_port,
    };
    let logs = tree::target().join("up");
    let mut stack = Stack::start(&bin, ports, !options.no_agent, &logs, &stop)?;
    greet(options, &bin, &stack);

    let started = Instant::now();
    let limit = options.run_for.map(Duration::from_secs);
    while !stop.asked() && limit.is_none_or(|limit| started.elapsed() < limit) {
        stack.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("stopping");
    Ok(())
}

/// A taken port is better known before a build than after it.
fn check_ports(options: &Options) -> Result<()> {
    let mut ports = vec![(options.port, "--port"), (options.grpc_port, "--grpc-port")];
    if !options.no_agent {
        ports.push((options.agent_port, "--agent-port"));
    }
    for (port, flag) in ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} can't be used: is another one running? Choose another with {flag}")
        })?;
    }
    Ok(())
}

fn build(options: &Options, stop: Stop) -> Result<PathBuf> {
    let mut steps = Steps::new(4, stop)?;
    let setup = tree::xtask(&["setup", "up"])?;
    steps.must("Debian packages that are missing", setup, LIMIT)?;
    steps.must("eBPF programs", tree::xtask(&["build-ebpf"])?, LIMIT)?;
    steps.must("Page", tree::xtask(&["build-page"])?, LIMIT)?;
    let mut cargo = tree::cargo();
    cargo.args(["build", "--locked"]);
    for package in ["mesoscope-aggregator", "mesoscope-agent", "mesoscope"] {
        cargo.args(["-p", package]);
    }
    if !options.dev {
        cargo.arg("--release");
    }
    steps.must("Aggregator, agent and command line", cargo, LIMIT)?;
    Ok(tree::target().join(if options.dev { "debug" } else { "release" }))
}

fn greet(options: &Options, bin: &Path, stack: &Stack) {
    println!();
    println!(
        "The live map of this machine:  http://127.0.0.1:{}",
        options.port
    );
    println!();
    println!(
        "  in a terminal:  {}",
        in_a_terminal(bin, options.grpc_port)
    );
    for (name, log) in stack.logs() {
        println!("  log of {name}:  {}", shown(log));
    }
    if !options.no_agent {
        if !tree::is_root() {
            println!();
            println!(
                "Not root: the agent runs on the lower rungs of its ladder. As root it sees everything."
            );
        }
        print_features(bin);
    }
    println!();
    println!("Ctrl-C stops everything.");
    let _ = std::io::stdout().flush();
}

fn in_a_terminal(bin: &Path, grpc_port: u16) -> String {
    let program = shown(&bin.join("mesoscope"));
    if grpc_port == 4041 {
        format!("{program} top")
    } else {
        format!("{program} --server http://127.0.0.1:{grpc_port} top")
    }
}

/// What the agent can and can't see here, in its own words.
fn print_features(bin: &Path) {
    let features = Command::new(bin.join("mesoscope-agent"))
        .arg("features")
        .output();
    let Ok(output) = features else { return };
    println!();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("{}", format!("  {line}").trim_end());
    }
}

/// A path as a person at the root of the checkout would type it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}
