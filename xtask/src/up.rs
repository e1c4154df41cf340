//! `up`: from a checkout to a live map of this machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::output;
use crate::service::Service;
use crate::steps::Steps;
use crate::stop::Stop;
use crate::tree;

/// How long the services may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
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
    if tree::is_root() {
        mount_tracefs();
    }

    let logs = tree::target().join("up");
    std::fs::create_dir_all(&logs).context("making the folder of the logs")?;
    let mut services = vec![Service::start(
        "the aggregator",
        aggregator(&bin, options),
        &logs.join("aggregator.log"),
    )?];
    wait_for_health(options.port, &mut services, &stop)?;
    if !options.no_agent {
        services.push(Service::start(
            "the agent",
            agent(&bin, options),
            &logs.join("agent.log"),
        )?);
        wait_for_health(options.agent_port, &mut services, &stop)?;
    }

    println!();
    println!(
        "The live map of this machine:  http://127.0.0.1:{}",
        options.port
    );
    println!();
    println!(
        "  gRPC   127.0.0.1:{}  (try: {} top)",
        options.grpc_port,
        shown(&bin.join("mesoscope"))
    );
    for service in &services {
        println!("  log of {}: {}", service.name, shown(&service.log));
    }
    if !options.no_agent {
        print_missing(&bin);
    }
    println!();
    println!("Ctrl-C stops everything.");
    let _ = std::io::stdout().flush();

    let started = Instant::now();
    let limit = options.run_for.map(Duration::from_secs);
    while !stop.asked() && limit.is_none_or(|limit| started.elapsed() < limit) {
        check_alive(&mut services)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("stopping");
    // The agent first: it then has an aggregator to say goodbye to.
    while let Some(service) = services.pop() {
        drop(service);
    }
    Ok(())
}

/// A taken port is better known before a build than after it.
fn check_ports(options: &Options) -> Result<()> {
    let ports = [
        (options.port, "--port"),
        (options.grpc_port, "--grpc-port"),
        (options.agent_port, "--agent-port"),
    ];
    for (port, flag) in ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} can't be used: is another one running? Choose another with {flag}")
        })?;
    }
    Ok(())
}

fn build(options: &Options, stop: Stop) -> Result<PathBuf> {
    let mut steps = Steps::new(4, stop)?;
    steps.must(
        "Debian packages that are missing",
        tree::xtask(&["setup", "up"])?,
        LIMIT,
    )?;
    steps.must("eBPF programs", tree::xtask(&["build-ebpf"])?, LIMIT)?;
    steps.must("Page", tree::xtask(&["build-page"])?, LIMIT)?;
    let mut cargo = tree::cargo();
    cargo.args([
        "build",
        "--locked",
        "-p",
        "mesoscope-aggregator",
        "-p",
        "mesoscope-agent",
        "-p",
        "mesoscope",
    ]);
    if !options.dev {
        cargo.arg("--release");
    }
    steps.must("Aggregator, agent and command line", cargo, LIMIT)?;
    Ok(tree::target().join(if options.dev { "debug" } else { "release" }))
}

fn aggregator(bin: &Path, options: &Options) -> Command {
    let mut command = Command::new(bin.join("mesoscope-aggregator"));
    command
        .arg("--port")
        .arg(options.port.to_string())
        .arg("--grpc-port")
        .arg(options.grpc_port.to_string());
    command
}

fn agent(bin: &Path, options: &Options) -> Command {
    let mut command = Command::new(bin.join("mesoscope-agent"));
    command
        .arg("--aggregator")
        .arg(format!("http://127.0.0.1:{}", options.grpc_port))
        .arg("--listen")
        .arg(format!("127.0.0.1:{}", options.agent_port));
    command
}

/// Only the fallback to classic tracepoints reads tracefs; most distributions have it mounted.
fn mount_tracefs() {
    if Path::new("/sys/kernel/tracing/events").exists() {
        return;
    }
    let mounted = Command::new("mount")
        .args(["-t", "tracefs", "tracefs", "/sys/kernel/tracing"])
        .status()
        .is_ok_and(|status| status.success());
    if mounted {
        println!("mounted tracefs on /sys/kernel/tracing");
    }
}

fn check_alive(services: &mut [Service]) -> Result<()> {
    for service in services {
        if let Some(status) = service.ended() {
            bail!(
                "{} ended ({status}); the end of {}:\n{}",
                service.name,
                service.log.display(),
                output::tail(&service.log, 20)
            );
        }
    }
    Ok(())
}

fn wait_for_health(port: u16, services: &mut [Service], stop: &Stop) -> Result<()> {
    let asked = Instant::now();
    while !healthy(port) {
        check_alive(services)?;
        if stop.asked() {
            bail!("stopped");
        }
        if asked.elapsed() > PATIENCE {
            bail!("http://127.0.0.1:{port}/health does not answer with 200");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Whether `GET /health` answers 200.
fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer.ends_with(" 200"))
}

/// What the agent can't see here, in its own words.
fn print_missing(bin: &Path) {
    if !tree::is_root() {
        println!();
        println!(
            "Not root: the agent runs on the lower rungs of its ladder. As root it sees everything."
        );
    }
    let Ok(output) = Command::new(bin.join("mesoscope-agent"))
        .arg("features")
        .output()
    else {
        return;
    };
    println!();
    println!("What the agent can see here (mesoscope-agent features):");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("  {line}");
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
