//! What a bench prints: a table for people, one JSON object for machines.

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::SystemTime;

/// A finished run.
#[derive(Serialize)]
pub struct Report {
    /// The subcommand.
    pub bench: &'static str,
    /// Commit of the tree that was measured, with `-dirty` where it was changed.
    pub commit: String,
    /// Processor, cores and memory.
    pub machine: String,
    /// Kernel release.
    pub kernel: String,
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// What was asked for.
    pub parameters: Value,
    /// What was measured, with the unit in each name.
    pub results: Map<String, Value>,
    /// The promises that these results decide.
    pub targets: Vec<Target>,
    /// All targets are met.
    pub met: bool,
}

/// A promise and what was measured.
#[derive(Serialize)]
pub struct Target {
    /// What is promised.
    pub what: String,
    /// What was measured; absent when it could not be.
    pub value: Option<f64>,
    /// `<=` or `>=`.
    pub relation: &'static str,
    /// The promised limit.
    pub limit: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// The promise holds.
    pub met: bool,
    /// Why it was not measured, or what else a reader must know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Report {
    /// Starts a report; `finish` closes it.
    pub fn begin(bench: &'static str, parameters: impl Serialize) -> Result<Self> {
        Ok(Self {
            bench,
            commit: crate::machine::commit(),
            machine: crate::machine::describe(),
            kernel: crate::machine::kernel(),
            start: now(),
            end: String::new(),
            parameters: serde_json::to_value(parameters)?,
            results: Map::new(),
            targets: Vec::new(),
            met: false,
        })
    }

    /// Adds a result.
    pub fn result(&mut self, name: &str, value: impl Serialize) -> Result<()> {
        self.results
            .insert(name.to_owned(), serde_json::to_value(value)?);
        Ok(())
    }

    /// Adds a promise that holds when `value` is at most `limit`.
    pub fn at_most(&mut self, what: impl Into<String>, value: f64, limit: f64, unit: &'static str) {
        self.target(what.into(), Some(value), "<=", limit, unit, "");
    }

    /// Adds a promise that holds when `value` is at least `limit`.
    pub fn at_least(
        &mut self,
        what: impl Into<String>,
        value: f64,
        limit: f64,
        unit: &'static str,
    ) {
        self.target(what.into(), Some(value), ">=", limit, unit, "");
    }

    /// Adds a promise that could not be checked: it counts as not met.
    pub fn not_measured(
        &mut self,
        what: impl Into<String>,
        relation: &'static str,
        limit: f64,
        unit: &'static str,
        why: &str,
    ) {
        self.target(what.into(), None, relation, limit, unit, why);
    }

    fn target(
        &mut self,
        what: String,
        value: Option<f64>,
        relation: &'static str,
        limit: f64,
        unit: &'static str,
        note: &str,
    ) {
        let met = value.is_some_and(|value| {
            if relation == "<=" {
                value <= limit
            } else {
                value >= limit
            }
        });
        self.targets.push(Target {
            what,
            value,
            relation,
            limit,
            unit,
            met,
            note: note.to_owned(),
        });
    }

    /// No promise about what is seen is broken, and each was measured. Those of time, CPU and memory
    /// depend on what else the machine does: they are printed, and decide no run of the tests.
    pub fn holds(&self) -> bool {
        const SPEED_AND_SIZE: [&str; 7] = [
            "ms",
            "x",
            "MiB",
            "MiB/h",
            "exec/s",
            "frames/s",
            "% of a core",
        ];
        self.targets.iter().all(|target| {
            target.met || (target.value.is_some() && SPEED_AND_SIZE.contains(&target.unit))
        })
    }

    /// Closes the report.
    pub fn finish(mut self) -> Self {
        self.end = now();
        self.met = self.targets.iter().all(|target| target.met);
        self
    }

    /// Prints it: a table, or JSON on one line.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "{}  {}  {}  Linux {}",
            self.bench, self.commit, self.machine, self.kernel
        );
        println!("{} to {}  {}\n", self.start, self.end, self.parameters);
        println!("{}\n\n{}", self.results_table(), self.targets_table());
        Ok(())
    }

    fn results_table(&self) -> Table {
        let mut table = plain(&["measured", "value"]);
        for (name, value) in &self.results {
            flatten(name, value, &mut table);
        }
        table
    }

    fn targets_table(&self) -> Table {
        let mut table = plain(&["promise", "measured", "limit", "met"]);
        for target in &self.targets {
            let value = target.value.map_or_else(
                || format!("not measured: {}", target.note),
                |value| figure(value, target.unit),
            );
            table.add_row([
                target.what.clone(),
                value,
                format!("{} {}", target.relation, figure(target.limit, target.unit)),
                if target.met { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        table
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn figure(value: f64, unit: &str) -> String {
    let text = format!("{value:.3}");
    format!(
        "{} {unit}",
        text.trim_end_matches('0').trim_end_matches('.')
    )
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// One row per leaf: nested objects become dotted names.
fn flatten(name: &str, value: &Value, table: &mut Table) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                flatten(&format!("{name}.{key}"), inner, table);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{name}.{index}"), item, table);
            }
        }
        Value::Array(items) if items.len() > 12 => {
            table.add_row([
                name.to_owned(),
                format!("{} values (see --json)", items.len()),
            ]);
        }
        Value::Number(number) if number.is_f64() => {
            table.add_row([
                name.to_owned(),
                format!("{:.4}", number.as_f64().unwrap_or(f64::NAN)),
            ]);
        }
        other => {
            table.add_row([name.to_owned(), other.to_string()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_promise_that_was_not_measured_is_not_met() {
        let mut report = Report::begin("capture", ()).expect("a report begins");
        report.at_most("lost", 0.0, 0.0, "events");
        report.not_measured("tier 2", "<=", 1.07, "ratio", "no cgroup v2");
        let report = report.finish();
        assert!(report.targets[0].met && !report.targets[1].met && !report.met);
    }

    #[test]
    fn relations_decide_both_ways() {
        let mut report = Report::begin("capture", ()).expect("a report begins");
        report.at_least("seen", 99.9, 100.0, "%");
        report.at_most("p99", 499.0, 500.0, "ms");
        assert!(!report.targets[0].met && report.targets[1].met);
    }

    #[test]
    fn what_is_seen_decides_and_speed_does_not() {
        let mut slow = Report::begin("latency", ()).expect("a report begins");
        slow.at_most("p99", 900.0, 500.0, "ms");
        assert!(slow.holds());
        slow.not_measured("map right again", "<=", 2_000.0, "ms", "it never was");
        assert!(!slow.holds());
        let mut blind = Report::begin("capture", ()).expect("a report begins");
        blind.at_most("lost", 1.0, 0.0, "events");
        assert!(!blind.holds());
    }
}
