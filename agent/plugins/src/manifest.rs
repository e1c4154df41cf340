//! What a plugin may do, as its manifest says: who it runs as, which nodes it sees, what it may say of
//! them.

mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::pattern::Pattern;
use written::{Checked, Written};

/// Largest manifest.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Longest name of a plugin, and longest key.
pub const KEY_BYTES_MAX: usize = 32;
/// Longest text for people in a manifest.
const LABEL_BYTES_MAX: usize = 64;
/// Longest question before a control.
const CONFIRM_BYTES_MAX: usize = 256;
/// Keys of metadata of one plugin.
pub const METADATA_MAX: usize = 32;
/// Metrics of one plugin.
pub const METRICS_MAX: usize = 16;
/// Tables of one plugin.
pub const TABLES_MAX: usize = 8;
/// Columns of a table.
pub const COLUMNS_MAX: usize = 8;
/// Controls of one plugin.
pub const CONTROLS_MAX: usize = 8;
/// Rules about nodes of one plugin.
const RULES_MAX: usize = 32;
/// Words of a command, variables of an environment.
const WORDS_MAX: usize = 64;

/// A manifest that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The user that it runs as, by name or number; never root.
    pub user: String,
    /// How it is reached.
    pub source: Source,
    /// Between two questions.
    pub interval: Duration,
    /// For the answer to a question.
    pub timeout: Duration,
    /// For a control to be done.
    pub control_timeout: Duration,
    /// What it sees and may speak of.
    pub nodes: Nodes,
    /// Facts that it may tell.
    pub metadata: Vec<MetadataKey>,
    /// Figures that it may tell.
    pub metrics: Vec<MetricKey>,
    /// Tables that it may tell.
    pub tables: Vec<TableKey>,
    /// Controls that it may offer.
    pub controls: Vec<ControlKey>,
}

/// How a plugin is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The agent starts it.
    Program {
        /// Program and arguments.
        command: Vec<String>,
        /// All that it finds in its environment beside what the agent sets.
        environment: BTreeMap<String, String>,
        /// What it may use.
        limits: ProgramLimits,
    },
    /// It runs already, and listens here.
    Socket(PathBuf),
}

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramLimits {
    /// Writable memory of each of its processes.
    pub memory_bytes: u64,
    /// Open files of each of its processes.
    pub open_files: u64,
    /// Processes and threads of its user.
    pub processes: u64,
}

/// Which nodes a plugin sees and may speak of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    /// The machine itself.
    pub host: bool,
    /// Containers that fit one of these.
    pub containers: Vec<ContainerRule>,
    /// Processes whose name, or last part of whose program's path, fits one of these.
    pub processes: Vec<Pattern>,
}

/// Containers that fit in everything that is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerRule {
    /// The image.
    pub image: Option<Pattern>,
    /// The name.
    pub name: Option<Pattern>,
    /// Labels that it has, and what their values are like.
    pub labels: Vec<(String, Pattern)>,
}

/// A fact that may be told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataKey {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// What its value is.
    #[serde(default)]
    pub r#type: ValueType,
}

/// What the value of a fact is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Any text.
    #[default]
    Text,
    /// A number.
    Number,
    /// A whole number of bytes.
    Bytes,
    /// A time in Unix milliseconds.
    Time,
    /// An address.
    Address,
    /// An id.
    Id,
}

impl ValueType {
    /// As the map has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Address => "address",
            Self::Id => "id",
        }
    }
}

/// A figure that may be told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricKey {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// "count", "%", "bytes", "bytes/s", "cores", "ms", ...
    #[serde(default)]
    pub unit: String,
    /// What would be full; 0 where that is not known.
    #[serde(default)]
    pub max: f64,
}

/// A table that may be told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableKey {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// What people call its columns.
    pub columns: Vec<String>,
}

/// A control that may be offered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlKey {
    /// Its key.
    pub key: String,
    /// What stands on its button.
    pub label: String,
    /// What is asked before it is done.
    #[serde(default)]
    pub confirm: String,
}

/// A manifest that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no YAML, or says what nobody knows.
    #[error("not a manifest: {0}")]
    Yaml(String),
    /// What it says makes no sense, and what would.
    #[error("{0}: {1}")]
    Value(&'static str, String),
}

impl Manifest {
    /// From the text of its file.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Checked<Self> {
        let written: Written = serde_saphyr::from_str(text).map_err(|error| {
            let said = error.to_string();
            ManifestError::Yaml(said.lines().next().unwrap_or_default().to_owned())
        })?;
        written.check()
    }

    /// The declaration of a control.
    #[must_use]
    pub fn control(&self, key: &str) -> Option<&ControlKey> {
        self.controls.iter().find(|control| control.key == key)
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
