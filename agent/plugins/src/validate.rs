//! What of an answer is taken: known nodes, declared keys, the right types, bounded sizes. The rest is
//! refused and counted.

use std::collections::{BTreeMap, HashSet};

use mesoscope_plugin::{Metadatum, NodeFacts, Report, Sample, Table};
use mesoscope_proto::v1::{
    PluginControl, PluginFacts, PluginField, PluginMetric, PluginRow, PluginTable,
};

use prost::Message;

use crate::manifest::{Manifest, ValueType};
use crate::nodes::{Seen, Target};

/// Largest answer.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 512;
/// Longest cell of a table.
pub const CELL_BYTES_MAX: usize = 256;
/// All that is said of one node, as a message.
pub const NODE_BYTES_MAX: usize = 64 << 10;
/// Rows of a table.
pub const ROWS_MAX: usize = 64;

/// What was refused of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How many things.
    pub count: u64,
    /// The first of them, for people.
    pub first: Option<String>,
}

impl Refusals {
    fn add(&mut self, why: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(why);
    }
}

/// What is taken of an answer: the facts of each node that it says something of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Without the time at which they were told.
    pub facts: BTreeMap<Target, PluginFacts>,
    /// What is not taken.
    pub refusals: Refusals,
}

/// Judges an answer to a question for these nodes.
#[must_use]
pub fn take(manifest: &Manifest, asked: &[Seen], report: Report) -> Taken {
    let by_id: BTreeMap<&str, &Target> = asked
        .iter()
        .map(|seen| (seen.node.id.as_str(), &seen.target))
        .collect();
    let mut taken = Taken::default();
    for told in report.nodes {
        let Some(target) = by_id.get(told.id.as_str()) else {
            taken
                .refusals
                .add(|| format!("{} is no node that was asked for", quoted(&told.id)));
            continue;
        };
        if taken.facts.contains_key(*target) {
            taken
                .refusals
                .add(|| format!("{} is told twice", quoted(&told.id)));
            continue;
        }
        let id = quoted(&told.id);
        let facts = facts(manifest, target, told, &mut taken.refusals);
        let bytes = facts.encoded_len();
        if bytes > NODE_BYTES_MAX {
            let why = || format!("{id} is told in {bytes} bytes: at most {NODE_BYTES_MAX}");
            taken.refusals.add(why);
            continue;
        }
        taken.facts.insert((*target).clone(), facts);
    }
    taken.facts.retain(|_, facts| !is_empty(facts));
    taken
}

/// Whether facts say nothing.
#[must_use]
pub fn is_empty(facts: &PluginFacts) -> bool {
    facts.metadata.is_empty()
        && facts.metrics.is_empty()
        && facts.tables.is_empty()
        && facts.controls.is_empty()
}

fn facts(
    manifest: &Manifest,
    target: &Target,
    told: NodeFacts,
    refusals: &mut Refusals,
) -> PluginFacts {
    let mut facts = PluginFacts {
        label: manifest.label.clone(),
        ..target.facts(&manifest.name)
    };
    let mut sieve = Sieve {
        manifest,
        node: told.id,
        seen: HashSet::new(),
        refusals,
    };
    facts.metadata = sieve.all(told.metadata, Sieve::metadatum);
    facts.metrics = sieve.all(told.metrics, Sieve::metric);
    facts.tables = sieve.all(told.tables, Sieve::table);
    facts.controls = sieve.all(told.controls, Sieve::control);
    facts
}

struct Sieve<'a> {
    manifest: &'a Manifest,
    node: String,
    /// Kinds and keys that were told of this node.
    seen: HashSet<(&'static str, String)>,
    refusals: &'a mut Refusals,
}

impl Sieve<'_> {
    fn all<T, U>(
        &mut self,
        told: Vec<T>,
        judge: impl Fn(&mut Self, T) -> Result<U, String>,
    ) -> Vec<U> {
        let mut taken = Vec::new();
        for told in told {
            match judge(self, told) {
                Ok(good) => taken.push(good),
                Err(why) => {
                    let node = quoted(&self.node);
                    self.refusals.add(|| format!("{why} (of {node})"));
                }
            }
        }
        taken
    }

    /// That a key is declared was found out before: so this holds no more than the manifest does.
    fn once(&mut self, kind: &'static str, key: &str) -> Result<(), String> {
        if self.seen.insert((kind, key.to_owned())) {
            return Ok(());
        }
        Err(format!("{kind} {} is told twice", quoted(key)))
    }

    fn metadatum(&mut self, told: Metadatum) -> Result<PluginField, String> {
        let manifest = self.manifest;
        let mut declared = manifest.metadata.iter();
        let declared = declared
            .find(|declared| declared.key == told.key)
            .ok_or_else(|| undeclared("metadata", &told.key))?;
        self.once("metadata", &told.key)?;
        line(&told.key, &told.value, VALUE_BYTES_MAX)?;
        let fits = match declared.r#type {
            ValueType::Text | ValueType::Address | ValueType::Id => true,
            ValueType::Number => told.value.parse().is_ok_and(f64::is_finite),
            ValueType::Bytes | ValueType::Time => told.value.parse::<u64>().is_ok(),
        };
        if !fits {
            let kind = declared.r#type.name();
            return Err(format!(
                "{} is no {kind}: {}",
                told.key,
                quoted(&told.value)
            ));
        }
        Ok(PluginField {
            key: told.key,
            label: declared.label.clone(),
            value: told.value,
            r#type: kind_name(declared.r#type),
        })
    }

    fn metric(&mut self, told: Sample) -> Result<PluginMetric, String> {
        let manifest = self.manifest;
        let mut declared = manifest.metrics.iter();
        let declared = declared
            .find(|declared| declared.key == told.key)
            .ok_or_else(|| undeclared("metric", &told.key))?;
        self.once("metric", &told.key)?;
        let max = told.max.unwrap_or(declared.max);
        for value in [told.value, max] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{} is {value}: finite and not negative", told.key));
            }
        }
        Ok(PluginMetric {
            key: told.key,
            label: declared.label.clone(),
            value: told.value,
            unit: declared.unit.clone(),
            max,
        })
    }

    fn table(&mut self, told: Table) -> Result<PluginTable, String> {
        let manifest = self.manifest;
        let mut declared = manifest.tables.iter();
        let declared = declared
            .find(|declared| declared.key == told.key)
            .ok_or_else(|| undeclared("table", &told.key))?;
        self.once("table", &told.key)?;
        let rows = told.rows.len();
        if rows > ROWS_MAX {
            return Err(format!("{} has {rows} rows: at most {ROWS_MAX}", told.key));
        }
        let columns = declared.columns.len();
        for row in &told.rows {
            if row.len() != columns {
                let cells = row.len();
                return Err(format!("{} has {columns} columns, a row {cells}", told.key));
            }
            for cell in row {
                line(&told.key, cell, CELL_BYTES_MAX)?;
            }
        }
        Ok(PluginTable {
            key: told.key,
            label: declared.label.clone(),
            columns: declared.columns.clone(),
            rows: told
                .rows
                .into_iter()
                .map(|cells| PluginRow { cells })
                .collect(),
        })
    }

    fn control(&mut self, key: String) -> Result<PluginControl, String> {
        let manifest = self.manifest;
        let declared = manifest
            .control(&key)
            .ok_or_else(|| undeclared("control", &key))?;
        self.once("control", &key)?;
        Ok(PluginControl {
            key,
            label: declared.label.clone(),
            confirm: declared.confirm.clone(),
        })
    }
}

fn kind_name(kind: ValueType) -> String {
    kind.name().to_owned()
}

fn undeclared(kind: &str, key: &str) -> String {
    format!("{kind} {} is not in the manifest", quoted(key))
}

fn line(key: &str, value: &str, bytes_max: usize) -> Result<(), String> {
    if value.len() > bytes_max {
        return Err(format!(
            "{key} has {} bytes: at most {bytes_max}",
            value.len()
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(format!(
            "{key} is more than one line, or holds control characters"
        ));
    }
    Ok(())
}

/// Text of a plugin's, short and on one line, for logs and status.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{more}")
}

/// A message of a plugin, for people: one line, bounded.
pub(crate) fn message(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().map(plain).collect();
    let mut line = line.trim().to_owned();
    line.truncate(line.floor_char_boundary(VALUE_BYTES_MAX));
    line
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
