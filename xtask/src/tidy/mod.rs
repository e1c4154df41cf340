//! `tidy`: checks of the tree itself, for what no compiler sees.

mod generated;
mod links;
mod manifests;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::tree;

/// What `tidy` is asked for.
#[derive(Args, Debug)]
pub struct Options {
    /// Write generated files anew instead of complaining about them.
    #[arg(long)]
    fix: bool,
}

/// A file of the tree: its path from the root, and its text.
#[derive(Debug)]
pub struct File {
    /// With `/`, from the root.
    pub path: String,
    /// Its text; what is not text is not here.
    pub text: String,
}

/// Exceptions, each with its reason: xtask/tidy.toml.
#[derive(Debug, Default)]
pub struct Exceptions {
    /// Files that may be long.
    pub long_files: BTreeMap<String, String>,
    /// Files that may name paths that look like a developer's.
    pub machine_paths: BTreeMap<String, String>,
}

/// Runs every check; an error when one of them complains.
pub fn run(options: &Options) -> Result<()> {
    let files = files()?;
    let exceptions = Exceptions::parse(
        &std::fs::read_to_string(tree::root().join("xtask/tidy.toml"))
            .context("reading xtask/tidy.toml")?,
    )?;
    let checks: [(&str, Vec<String>); 8] = [
        (
            "files are short, or say why not",
            text::long_files(&files, &exceptions),
        ),
        ("nothing is left for later", text::left_for_later(&files)),
        (
            "no path of a developer's machine",
            text::machine_paths(&files, &exceptions),
        ),
        (
            "every exception is still needed",
            text::stale_exceptions(&files, &exceptions),
        ),
        ("every dependency has a reason", manifests::reasons(&files)),
        (
            "every crate has the workspace's lints and licence",
            manifests::crates(&files),
        ),
        (
            "links in the docs lead somewhere",
            links::check(&files, tree::root()),
        ),
        (
            "generated files are current",
            generated::check(options.fix).unwrap_or_else(|error| vec![format!("{error:#}")]),
        ),
    ];
    let mut failed = 0;
    for (name, complaints) in &checks {
        println!(
            "{} {name}",
            if complaints.is_empty() {
                "ok    "
            } else {
                "FAILED"
            }
        );
        for complaint in complaints {
            println!("         {complaint}");
        }
        failed += usize::from(!complaints.is_empty());
    }
    println!("{} passed, {failed} failed", checks.len() - failed);
    if failed > 0 {
        bail!("the tree is not tidy");
    }
    Ok(())
}

impl Exceptions {
    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().context("xtask/tidy.toml")?;
        let mut exceptions = Self::default();
        for (section, entries) in table {
            let into = match section.as_str() {
                "long_files" => &mut exceptions.long_files,
                "machine_paths" => &mut exceptions.machine_paths,
                _ => bail!("xtask/tidy.toml: there is no section {section:?}"),
            };
            let entries = entries
                .as_table()
                .with_context(|| format!("xtask/tidy.toml: {section} is a table"))?;
            for (path, reason) in entries {
                let reason = reason
                    .as_str()
                    .filter(|reason| !reason.is_empty())
                    .with_context(|| format!("xtask/tidy.toml: {path} needs a reason"))?;
                into.insert(path.clone(), reason.to_owned());
            }
        }
        Ok(exceptions)
    }
}

/// All text files that git knows or would add.
fn files() -> Result<Vec<File>> {
    let output = tree::command("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("running git ls-files")?;
    if !output.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let paths = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    Ok(paths
        .split('\0')
        .filter(|path| !path.is_empty())
        .filter_map(|path| {
            // Pictures are not text; a file deleted and not yet committed is not there.
            let text = std::fs::read_to_string(tree::root().join(path)).ok()?;
            Some(File {
                path: path.to_owned(),
                text,
            })
        })
        .collect())
}

/// The extension of a path, or its name when it has none.
fn extension(path: &str) -> &str {
    let path = Path::new(path);
    path.extension()
        .or(path.file_name())
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        let good = Exceptions::parse("[long_files]\n\"a.rs\" = \"a table\"\n").expect("valid");
        assert_eq!(good.long_files["a.rs"], "a table");
        assert!(Exceptions::parse("[long_files]\n\"a.rs\" = \"\"\n").is_err());
        assert!(Exceptions::parse("[other]\n\"a.rs\" = \"why\"\n").is_err());
    }
}
