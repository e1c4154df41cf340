//! What the tests need from outside.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{install, tree};

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
            promtool()
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

/// promtool out of Debian's Prometheus, unpacked: installing the package would start a server.
fn promtool() -> Result<()> {
    let bin = tree::tools().join("bin");
    if tree::on_path("promtool").is_some() || bin.join("promtool").is_file() {
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
                "apt-get download prometheus failed: the alert rules can't be tested without promtool"
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
    std::fs::copy(folder.join("usr/bin/promtool"), bin.join("promtool"))
        .context("copying promtool")?;
    Ok(())
}
