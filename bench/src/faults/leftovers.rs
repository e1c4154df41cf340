//! What a killed agent leaves in the kernel.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Kernel programs by id, with their names.
pub struct Programs(HashMap<u64, String>);

impl Programs {
    /// All that are loaded now.
    pub fn loaded() -> Result<Self> {
        let output = Command::new("bpftool")
            .args(["--json", "prog", "show"])
            .output()
            .context("starting bpftool (`apt-get install bpftool`)")?;
        ensure!(
            output.status.success(),
            "bpftool: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let list: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        Ok(Self(
            list.iter()
                .filter_map(|program| {
                    Some((
                        program["id"].as_u64()?,
                        program["name"].as_str().unwrap_or_default().to_owned(),
                    ))
                })
                .collect(),
        ))
    }

    /// Those that are not in `before`.
    pub fn since(self, before: &Self) -> Self {
        Self(
            self.0
                .into_iter()
                .filter(|(id, _)| !before.0.contains_key(id))
                .collect(),
        )
    }

    /// Those that are in `other` too.
    pub fn in_common(self, other: &Self) -> Self {
        Self(
            self.0
                .into_iter()
                .filter(|(id, _)| other.0.contains_key(id))
                .collect(),
        )
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect()
    }
}

/// What is pinned under /sys/fs/bpf by a name of ours.
pub fn pinned() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(Path::new("/sys/fs/bpf")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("mesoscope"))
        .collect()
}
