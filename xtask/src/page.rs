//! Builds the page, unless what it is built from has not changed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::stack::{self, Ports, Stack};
use crate::stop::Stop;
use crate::{node, tree};

/// Beside the page and not in it: the page is embedded whole.
fn stamp() -> PathBuf {
    tree::target().join("page.hash")
}

/// Builds `ui/dist` if need be.
pub fn build() -> Result<()> {
    let ui = tree::root().join("ui");
    let sources = hash(&ui)?;
    let up_to_date = ui.join("dist/index.html").is_file()
        && std::fs::read_to_string(stamp()).is_ok_and(|text| text == sources);
    if up_to_date {
        println!("the page is up to date");
        return Ok(());
    }
    modules()?;
    run(&["run", "build"])?;
    std::fs::create_dir_all(tree::target()).context("making the target folder")?;
    std::fs::write(stamp(), sources).context("noting what the page was built from")
}

/// Runs one of the page's scripts.
pub fn script(name: &str) -> Result<()> {
    modules()?;
    run(&["run", name])
}

/// Drives the page in Chromium against a real aggregator and agent.
pub fn end_to_end() -> Result<()> {
    let stop = Stop::on_signals()?;
    modules()?;
    let ports = Ports::free()?;
    let logs = tree::logs().join("page-e2e");
    // The page begins with nothing set.
    let settings = stack::data(&logs);
    if settings.exists() {
        std::fs::remove_dir_all(&settings).context("removing the settings of the last run")?;
    }
    let bin = tree::target().join("release");
    let _stack = Stack::start(&bin, ports, true, &logs, &stop)?;
    let mut npm = node::npm(&tree::root().join("ui"), &["run", "e2e"])?;
    npm.env("MESOSCOPE_URL", format!("http://127.0.0.1:{}", ports.http))
        // Tests of sign-in start an aggregator of their own.
        .env("MESOSCOPE_BIN", &bin)
        .env("MESOSCOPE_SCREENSHOT", logs.join("map.png"));
    if let Some(chromium) = chromium() {
        npm.env("CHROMIUM", chromium);
    }
    let status = npm.status().context("running npm")?;
    if !status.success() {
        bail!(
            "npm run e2e failed: {status}; logs of the services: {}",
            logs.display()
        );
    }
    Ok(())
}

/// The browser, by the names that distributions give it.
pub fn chromium() -> Option<PathBuf> {
    tree::on_path("chromium").or_else(|| tree::on_path("chromium-browser"))
}

/// What the page is built with, installed.
pub fn modules() -> Result<()> {
    node::modules(&tree::root().join("ui"))
}

fn run(arguments: &[&str]) -> Result<()> {
    let status = node::npm(&tree::root().join("ui"), arguments)?
        .status()
        .context("running npm")?;
    if !status.success() {
        bail!("npm {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Names and contents of everything that the page is built from.
fn hash(ui: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(ui, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(ui).unwrap_or(&file).hash(&mut hasher);
        std::fs::read(&file)
            .with_context(|| format!("reading {}", file.display()))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let kind = entry.file_type().context("reading a file's type")?;
        let name = entry.file_name();
        if kind.is_dir() {
            if !["node_modules", "dist", "e2e", "bench"].contains(&name.to_string_lossy().as_ref())
            {
                collect(&entry.path(), files)?;
            }
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_sources_and_not_what_is_built() {
        let folder = tempfile::tempdir().expect("scratch folder");
        let ui = folder.path();
        std::fs::create_dir_all(ui.join("src")).expect("writable");
        std::fs::create_dir_all(ui.join("dist")).expect("writable");
        std::fs::write(ui.join("src/a.ts"), "1").expect("writable");
        let first = hash(ui).expect("readable");
        std::fs::write(ui.join("dist/index.html"), "built").expect("writable");
        assert_eq!(hash(ui).expect("readable"), first);
        std::fs::write(ui.join("src/a.ts"), "2").expect("writable");
        let second = hash(ui).expect("readable");
        assert_ne!(second, first);
        std::fs::rename(ui.join("src/a.ts"), ui.join("src/b.ts")).expect("writable");
        assert_ne!(hash(ui).expect("readable"), second);
    }
}
