//! What a plugin may do, as its manifest says: who it runs as, which nodes it sees, what it may say of
//! them.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesoscope_service::units;
use serde::Deserialize;

use crate::pattern::Pattern;

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
const KIB: u64 = 1 << 10;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api: u32,
    name: String,
    #[serde(default)]
    label: String,
    user: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    limits: WrittenLimits,
    #[serde(default)]
    socket: Option<PathBuf>,
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    control_timeout: Option<String>,
    nodes: WrittenNodes,
    #[serde(default)]
    metadata: Vec<MetadataKey>,
    #[serde(default)]
    metrics: Vec<MetricKey>,
    #[serde(default)]
    tables: Vec<TableKey>,
    #[serde(default)]
    controls: Vec<ControlKey>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
    #[serde(default)]
    memory: Option<String>,
    #[serde(default)]
    open_files: Option<u64>,
    #[serde(default)]
    processes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNodes {
    #[serde(default)]
    host: bool,
    #[serde(default)]
    containers: Vec<WrittenContainers>,
    #[serde(default)]
    processes: Vec<WrittenProcesses>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenContainers {
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProcesses {
    program: String,
}

type Checked<T> = Result<T, ManifestError>;

impl Manifest {
    /// From the text of its file.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Checked<Self> {
        let written: Written = serde_saphyr::from_str(text)
            .map_err(|error| ManifestError::Yaml(first_line(&error.to_string())))?;
        written.check()
    }

    /// The declaration of a control.
    #[must_use]
    pub fn control(&self, key: &str) -> Option<&ControlKey> {
        self.controls.iter().find(|control| control.key == key)
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl Written {
    fn check(self) -> Checked<Manifest> {
        if self.api != mesoscope_plugin::API {
            return wrong("api", format!("{}: this agent speaks 1", self.api));
        }
        key("name", &self.name)?;
        let label = if self.label.is_empty() {
            self.name.clone()
        } else {
            text("label", self.label, LABEL_BYTES_MAX)?
        };
        if self.user.is_empty() || self.user == "root" || self.user == "0" {
            let why = "a plugin runs as a user of its own, and never as root";
            return wrong("user", format!("{:?}: {why}", self.user));
        }
        let source = source(self.command, self.environment, self.limits, self.socket)?;
        let interval = duration("interval", self.interval, 10, 1_000..=3_600_000)?;
        let timeout = match self.timeout {
            None => interval.min(Duration::from_secs(2)),
            written => duration("timeout", written, 2, 100..=30_000)?,
        };
        let control_timeout = duration("control_timeout", self.control_timeout, 30, 100..=90_000)?;
        if timeout > interval {
            return wrong("timeout", "longer than the interval".to_owned());
        }
        let manifest = Manifest {
            name: self.name,
            label,
            user: self.user,
            source,
            interval,
            timeout,
            control_timeout,
            nodes: self.nodes.check()?,
            metadata: self.metadata,
            metrics: self.metrics,
            tables: self.tables,
            controls: self.controls,
        };
        manifest.check_keys()?;
        Ok(manifest)
    }
}

impl Manifest {
    fn check_keys(&self) -> Checked<()> {
        let entries = [
            (
                "metadata",
                pairs(&self.metadata, |it| (&it.key, &it.label)),
                METADATA_MAX,
            ),
            (
                "metrics",
                pairs(&self.metrics, |it| (&it.key, &it.label)),
                METRICS_MAX,
            ),
            (
                "tables",
                pairs(&self.tables, |it| (&it.key, &it.label)),
                TABLES_MAX,
            ),
            (
                "controls",
                pairs(&self.controls, |it| (&it.key, &it.label)),
                CONTROLS_MAX,
            ),
        ];
        for (what, entries, most) in entries {
            few(what, entries.len(), most)?;
            let mut seen = HashSet::new();
            for (name, label) in entries {
                key(what, name)?;
                text(what, label.clone(), LABEL_BYTES_MAX)?;
                if !seen.insert(name) {
                    return wrong(what, format!("the key {name:?} stands there twice"));
                }
            }
        }
        for metric in &self.metrics {
            if !metric.unit.is_empty() {
                text("unit", metric.unit.clone(), KEY_BYTES_MAX)?;
            }
            if !(metric.max.is_finite() && metric.max >= 0.0) {
                return wrong("max", format!("{} of {:?}", metric.max, metric.key));
            }
        }
        for table in &self.tables {
            few("columns", table.columns.len(), COLUMNS_MAX)?;
            if table.columns.is_empty() {
                return wrong("columns", format!("the table {:?} has none", table.key));
            }
            for column in &table.columns {
                text("columns", column.clone(), LABEL_BYTES_MAX)?;
            }
        }
        for control in &self.controls {
            if !control.confirm.is_empty() {
                text("confirm", control.confirm.clone(), CONFIRM_BYTES_MAX)?;
            }
        }
        Ok(())
    }
}

fn pairs<'a, T>(
    entries: &'a [T],
    of: impl Fn(&'a T) -> (&'a String, &'a String),
) -> Vec<(&'a String, &'a String)> {
    entries.iter().map(of).collect()
}

impl WrittenNodes {
    fn check(self) -> Checked<Nodes> {
        few(
            "nodes",
            self.containers.len() + self.processes.len(),
            RULES_MAX,
        )?;
        if !self.host && self.containers.is_empty() && self.processes.is_empty() {
            return wrong(
                "nodes",
                "none: host: true, containers or processes".to_owned(),
            );
        }
        let pattern =
            |what, written: String| text(what, written, 256).map(|written| Pattern::new(&written));
        let mut containers = Vec::new();
        for rule in self.containers {
            if rule.image.is_none() && rule.name.is_none() && rule.labels.is_empty() {
                let how = "a rule says image, name or labels; name: \"*\" is every container";
                return wrong("containers", how.to_owned());
            }
            few("labels", rule.labels.len(), RULES_MAX)?;
            let labels = rule.labels.into_iter();
            let labels = labels.map(|(key, value)| Ok((key, pattern("labels", value)?)));
            containers.push(ContainerRule {
                image: rule
                    .image
                    .map(|image| pattern("image", image))
                    .transpose()?,
                name: rule.name.map(|name| pattern("name", name)).transpose()?,
                labels: labels.collect::<Checked<_>>()?,
            });
        }
        let processes = self.processes.into_iter();
        let processes = processes.map(|rule| pattern("program", rule.program));
        Ok(Nodes {
            host: self.host,
            containers,
            processes: processes.collect::<Checked<_>>()?,
        })
    }
}

fn source(
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    limits: WrittenLimits,
    socket: Option<PathBuf>,
) -> Checked<Source> {
    let is_absolute = |path: &str| Path::new(path).is_absolute();
    match (command.first(), socket) {
        (Some(program), None) => {
            if !is_absolute(program) {
                return wrong("command", format!("{program:?} is no absolute path"));
            }
            few("command", command.len(), WORDS_MAX)?;
            few("environment", environment.len(), WORDS_MAX)?;
            let all = environment.iter().flat_map(|(key, value)| [key, value]);
            if let Some(word) = command.iter().chain(all).find(|word| word.contains('\0')) {
                return wrong("command", format!("{word:?} holds a zero byte"));
            }
            let is_name = |key: &String| !key.is_empty() && !key.contains('=');
            if let Some(key) = environment.keys().find(|key| !is_name(key)) {
                return wrong("environment", format!("{key:?} is no name"));
            }
            Ok(Source::Program {
                command,
                environment,
                limits: limits.check()?,
            })
        }
        (None, Some(socket)) => {
            if !socket.is_absolute() {
                return wrong("socket", format!("{socket:?} is no absolute path"));
            }
            if !environment.is_empty() || !limits.is_empty() {
                let why = "environment and limits are for what the agent starts (command)";
                return wrong("socket", why.to_owned());
            }
            Ok(Source::Socket(socket))
        }
        (Some(_), Some(_)) => wrong("command", "command or socket, not both".to_owned()),
        (None, None) => wrong("command", "neither command nor socket".to_owned()),
    }
}

impl WrittenLimits {
    fn is_empty(&self) -> bool {
        self.memory.is_none() && self.open_files.is_none() && self.processes.is_none()
    }

    fn check(&self) -> Checked<ProgramLimits> {
        let memory_bytes = match &self.memory {
            None => 128 * KIB * KIB,
            Some(written) => match written.parse::<units::ByteSize>() {
                Ok(size) => size.as_u64(),
                Err(error) => return wrong("memory", format!("{written:?}: {error}")),
            },
        };
        let within = |what, value, least, most| {
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            wrong(what, format!("{value}: from {least} to {most}"))
        };
        Ok(ProgramLimits {
            memory_bytes: within("memory", memory_bytes, 8 * KIB * KIB, KIB * KIB * KIB)?,
            open_files: within("open_files", self.open_files.unwrap_or(128), 16, 4_096)?,
            processes: within("processes", self.processes.unwrap_or(64), 1, 1_024)?,
        })
    }
}

fn duration(
    what: &'static str,
    written: Option<String>,
    default_s: u64,
    millis: std::ops::RangeInclusive<u128>,
) -> Checked<Duration> {
    let Some(written) = written else {
        return Ok(Duration::from_secs(default_s));
    };
    let parsed = written.parse::<units::Duration>();
    let parsed =
        parsed.map_err(|error| ManifestError::Value(what, format!("{written:?}: {error}")))?;
    if !millis.contains(&parsed.as_millis()) {
        let (least, most) = (millis.start(), millis.end());
        return wrong(what, format!("{written}: from {least} ms to {most} ms"));
    }
    Ok(parsed.into())
}

fn few(what: &'static str, count: usize, most: usize) -> Checked<()> {
    if count > most {
        return wrong(what, format!("{count}: at most {most}"));
    }
    Ok(())
}

fn text(what: &'static str, text: String, bytes_max: usize) -> Checked<String> {
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        let short: String = text.chars().take(LABEL_BYTES_MAX).collect();
        return wrong(
            what,
            format!("{short:?}: one line of 1 to {bytes_max} bytes"),
        );
    }
    Ok(text)
}

fn key(what: &'static str, key: &str) -> Checked<()> {
    let is_key = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && key.len() <= KEY_BYTES_MAX
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    if is_key(key) {
        return Ok(());
    }
    let short: String = key.chars().take(LABEL_BYTES_MAX).collect();
    let how = "small letters, digits, '-' and '_', 32 at most";
    wrong(what, format!("{short:?}: {how}"))
}

fn wrong<T>(what: &'static str, why: String) -> Checked<T> {
    Err(ManifestError::Value(what, why))
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
