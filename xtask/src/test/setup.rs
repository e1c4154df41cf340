//! What the tests need from outside.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{install, node, tree};

/// Makes requests up from the OpenAPI document.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Installs what is missing for `group`: "up", "bench", "bench-ui" or "test".
pub fn setup(group: &str) -> Result<()> {
    if tree::is_root() {
        mount_tracefs();
    }
    match group {
        "up" => install::ensure(install::UP),
        "bench" => install::ensure(&[install::UP, install::BENCH, &docker()].concat()),
        "bench-ui" => install::ensure(&[install::UP, install::BROWSER].concat()),
        "test" => {
            install::ensure(&[install::UP, install::TEST, install::BENCH].concat())?;
            prometheus()?;
            // A provider to sign in by.
            node::modules(&tree::root().join("aggregator/tests/oidc"))?;
            node::python_environment("schemathesis", &[SCHEMATHESIS])?;
            Ok(())
        }
        _ => bail!("setup knows up, bench, bench-ui and test, not {group:?}"),
    }
}

/// The agent's fallback to classic tracepoints reads it, and so do the tools that the benches compare
/// with. Most distributions have it mounted.
fn mount_tracefs() {
    if Path::new("/sys/kernel/tracing/events").exists() {
        return;
    }
    let mounted = tree::command("mount")
        .args(["-t", "tracefs", "tracefs", "/sys/kernel/tracing"])
        .status()
        .is_ok_and(|status| status.success());
    if mounted {
        println!("mounted tracefs on /sys/kernel/tracing");
    }
}

fn docker() -> Vec<install::Need> {
    install::TEST
        .iter()
        .filter(|need| need.package == "docker.io")
        .copied()
        .collect()
}

/// Debian's Prometheus, unpacked: installing the package would start a server.
fn prometheus() -> Result<()> {
    let bin = tree::tools().join("bin");
    let programs = ["prometheus", "promtool"];
    let is_there = |program: &&str| tree::on_path(program).is_some() || bin.join(program).is_file();
    if programs.iter().all(is_there) {
        return Ok(());
    }
    let folder = tree::tools().join("prometheus");
    std::fs::create_dir_all(&folder).context("making target/tools/prometheus")?;
    std::fs::create_dir_all(&bin).context("making target/tools/bin")?;
    let download = || {
        std::process::Command::new("apt-get")
            .args(["-q", "download", "prometheus"])
            .current_dir(&folder)
            .status()
    };
    if !download().context("running apt-get download")?.success() {
        install::apt(&["update"], &[])?;
        if !download().context("running apt-get download")?.success() {
            bail!(
                "apt-get download prometheus failed: alert rules and remote-write can't be tested without it"
            );
        }
    }
    let package = std::fs::read_dir(&folder)
        .context("reading target/tools/prometheus")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    let status = tree::command("dpkg-deb")
        .arg("-x")
        .arg(&package)
        .arg(&folder)
        .status()
        .context("running dpkg-deb")?;
    if !status.success() {
        bail!("unpacking {} failed: {status}", package.display());
    }
    for program in programs {
        std::fs::copy(folder.join("usr/bin").join(program), bin.join(program))
            .with_context(|| format!("copying {program}"))?;
    }
    Ok(())
}
