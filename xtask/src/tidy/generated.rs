//! Files that are written by our own programs and checked in.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tree;

/// The configuration reference.
const CONFIGURATION: &str = "docs/configuration.md";
/// The document of REST.
const OPENAPI: &str = "docs/openapi.json";
/// The interface of plugins.
const PLUGIN_API: &str = "docs/plugin-api.json";
const AGGREGATOR: &str = "mesoscope-aggregator";

/// What stands above the generated part.
const HEAD: &str = "\
# Configuration reference

Generated from the programs' own configuration structs by `cargo xtask tidy --fix`; do not edit.
Every setting can be a flag, an environment variable or a key of the TOML file that `--config` names;
a flag wins over the environment, the environment over the file. Unknown keys are errors.
";

/// Compares what is generated with what is checked in; `fix` writes it instead.
pub fn check(fix: bool) -> Result<Vec<String>> {
    let programs = [AGGREGATOR, "mesoscope-agent"];
    let mut build = tree::cargo();
    build.args(["build", "--quiet", "--locked"]);
    for program in programs {
        build.args(["-p", program]);
    }
    let status = build.status().context("running cargo")?;
    if !status.success() {
        bail!("building {} failed", programs.join(" and "));
    }
    let mut reference = HEAD.to_owned();
    for program in programs {
        let text = print(program, "--print-config-reference")?;
        reference.push_str(&format!("\n{text}\n"));
    }
    let document = print(AGGREGATOR, "--print-openapi")? + "\n";
    let mut complaints = Vec::new();
    let plugin_api = plugin_api()?;
    for (path, text) in [
        (CONFIGURATION, reference),
        (OPENAPI, document),
        (PLUGIN_API, plugin_api),
    ] {
        complaints.extend(compare(path, &text, fix)?);
    }
    Ok(complaints)
}

/// The document of the interface of plugins, from its messages.
fn plugin_api() -> Result<String> {
    let mut cargo = tree::cargo();
    cargo.args(["run", "--quiet", "--locked", "-p", "mesoscope-plugin"]);
    cargo.args(["--features", "openapi", "--example", "plugin-api"]);
    let output = cargo.output().context("running cargo")?;
    if !output.status.success() {
        bail!(
            "printing the interface of plugins failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned() + "\n")
}

/// What a program says of itself.
fn print(program: &str, flag: &str) -> Result<String> {
    let output = Command::new(tree::target().join("debug").join(program))
        .arg(flag)
        .output()
        .with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {flag} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn compare(path: &str, text: &str, fix: bool) -> Result<Option<String>> {
    let file = tree::root().join(path);
    if std::fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(None);
    }
    if fix {
        std::fs::write(&file, text).with_context(|| format!("writing {path}"))?;
        println!("wrote {path}");
        return Ok(None);
    }
    Ok(Some(format!(
        "{path} is not what the programs say: run `cargo xtask tidy --fix`"
    )))
}
