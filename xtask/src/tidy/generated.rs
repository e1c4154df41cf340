//! Files that are written by our own programs and checked in.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tree;

/// The configuration reference.
const CONFIGURATION: &str = "docs/configuration.md";

/// What stands above the generated part.
const HEAD: &str = "\
# Configuration reference

Generated from the programs' own configuration structs by `cargo xtask tidy --fix`; do not edit.
Every setting can be a flag, an environment variable or a key of the TOML file that `--config` names;
a flag wins over the environment, the environment over the file. Unknown keys are errors.
";

/// Compares what is generated with what is checked in; `fix` writes it instead.
pub fn check(fix: bool) -> Result<Vec<String>> {
    let mut reference = HEAD.to_owned();
    let programs = ["mesoscope-aggregator", "mesoscope-agent"];
    let mut build = tree::cargo();
    build.args(["build", "--quiet", "--locked"]);
    for program in programs {
        build.args(["-p", program]);
    }
    let status = build.status().context("running cargo")?;
    if !status.success() {
        bail!("building {} failed", programs.join(" and "));
    }
    for program in programs {
        let output = Command::new(tree::target().join("debug").join(program))
            .arg("--print-config-reference")
            .output()
            .with_context(|| format!("running {program}"))?;
        if !output.status.success() {
            bail!(
                "{program} --print-config-reference failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        reference.push('\n');
        reference.push_str(String::from_utf8_lossy(&output.stdout).trim());
        reference.push('\n');
    }
    let path = tree::root().join(CONFIGURATION);
    if std::fs::read_to_string(&path).is_ok_and(|text| text == reference) {
        return Ok(Vec::new());
    }
    if fix {
        std::fs::write(&path, reference).context("writing the configuration reference")?;
        println!("wrote {CONFIGURATION}");
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "{CONFIGURATION} is not what the programs say: run `cargo xtask tidy --fix`"
    )])
}
