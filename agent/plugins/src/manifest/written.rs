//! A manifest as it is written, and whether it makes sense.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesoscope_service::units;
use serde::Deserialize;

use super::{
    COLUMNS_MAX, CONFIRM_BYTES_MAX, CONTROLS_MAX, ContainerRule, ControlKey, KEY_BYTES_MAX,
    LABEL_BYTES_MAX, METADATA_MAX, METRICS_MAX, Manifest, ManifestError, MetadataKey, MetricKey,
    Nodes, ProgramLimits, RULES_MAX, Source, TABLES_MAX, TableKey, WORDS_MAX,
};
use crate::pattern::Pattern;

const KIB: u64 = 1 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
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

pub(super) type Checked<T> = Result<T, ManifestError>;

impl Written {
    pub(super) fn check(self) -> Checked<Manifest> {
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
