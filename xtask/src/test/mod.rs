//! `test`: sets up what the tests need and runs them all.

mod counts;
mod plan;
mod setup;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::{Outcome, Steps, human};
use crate::stop::Stop;
use crate::{docker, tree};
use counts::Counts;
use plan::Item;

pub use setup::setup;

/// What `test` is asked for.
#[derive(Args, Debug)]
pub struct Options {
    /// Only these steps (their names stand in the table that a run prints, and in --list).
    #[arg(long, num_args = 1.., value_name = "NAME")]
    only: Vec<String>,
    /// List the steps and stop.
    #[arg(long)]
    list: bool,
}

/// A row of the table.
struct Row {
    name: String,
    passed: bool,
    counts: Counts,
    elapsed: Duration,
    note: String,
}

/// Runs the steps; an error when one of them failed.
pub fn run(options: &Options) -> Result<()> {
    let items = chosen(plan::items(), &options.only)?;
    if options.list {
        for item in &items {
            println!("{:<20} {}", item.name, item.about);
        }
        return Ok(());
    }
    let started = Instant::now();
    let stop = Stop::on_signals()?;
    let mut steps = Steps::new(items.len(), stop.clone())?;
    let mut engine = None;
    let mut rows = Vec::new();
    for item in &items {
        if item.docker && engine.is_none() {
            match docker::ensure(&stop) {
                Ok(service) => engine = Some(service),
                // The step says what it lacks; the others go on.
                Err(error) => println!("Docker: {error:#}"),
            }
        }
        rows.push(run_item(item, &mut steps)?);
    }
    drop(engine);
    print_table(&rows, started.elapsed());
    let (passed, failed) = sum(&rows);
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        // The table has said all; nothing may follow its last line.
        std::process::exit(1);
    }
    Ok(())
}

fn run_item(item: &Item, steps: &mut Steps) -> Result<Row> {
    let mut command = (item.command)()?;
    plan::with_tools(&mut command)?;
    let outcome = steps.run(&item.name, command, item.limit)?;
    Ok(row(item, &outcome))
}

fn row(item: &Item, outcome: &Outcome) -> Row {
    let log = std::fs::read(&outcome.log).unwrap_or_default();
    let counts = counts::read(&String::from_utf8_lossy(&log));
    Row {
        name: item.name.clone(),
        passed: outcome.ok,
        counts,
        elapsed: outcome.elapsed,
        note: outcome.why.clone(),
    }
}

/// The items that `--only` names; all of them when it names none.
fn chosen(items: Vec<Item>, only: &[String]) -> Result<Vec<Item>> {
    for name in only {
        if !items.iter().any(|item| item.name == *name) {
            let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
            bail!("no step is called {name:?}; there are {}", names.join(", "));
        }
    }
    Ok(items
        .into_iter()
        .filter(|item| only.is_empty() || only.contains(&item.name))
        .collect())
}

/// Tests inside of steps count one by one; a step that counts none is one itself.
fn sum(rows: &[Row]) -> (u64, u64) {
    rows.iter().fold((0, 0), |(passed, failed), row| {
        let Counts {
            passed: inner,
            failed: broken,
        } = row.counts;
        let itself = inner + broken == 0;
        (
            passed + inner + u64::from(itself && row.passed),
            failed + broken + u64::from(broken == 0 && !row.passed),
        )
    })
}

fn print_table(rows: &[Row], elapsed: Duration) {
    let width = rows
        .iter()
        .map(|row| row.name.len())
        .max()
        .unwrap_or(4)
        .max(4);
    println!();
    println!("{:<width$}  result  {:>12}  tests", "step", "time");
    for row in rows {
        let Counts { passed, failed } = row.counts;
        let tests = match (passed, failed) {
            (0, 0) => String::new(),
            (passed, 0) => format!("{passed} passed"),
            (passed, failed) => format!("{passed} passed, {failed} failed"),
        };
        let result = if row.passed { "ok" } else { "FAILED" };
        let line = format!(
            "{:<width$}  {result:<6}  {:>12}  {tests}  {}",
            row.name,
            human(row.elapsed),
            row.note
        );
        println!("{}", line.trim_end());
    }
    println!("{:<width$}          {:>12}", "all", human(elapsed));
    println!("logs: {}", tree::logs().display());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(passed: bool, inner: u64, broken: u64) -> Row {
        Row {
            name: "step".into(),
            passed,
            counts: Counts {
                passed: inner,
                failed: broken,
            },
            elapsed: Duration::ZERO,
            note: String::new(),
        }
    }

    #[test]
    fn a_failed_step_always_counts_as_failed() {
        assert_eq!(sum(&[result(true, 0, 0)]), (1, 0));
        assert_eq!(sum(&[result(false, 0, 0)]), (0, 1));
        assert_eq!(sum(&[result(true, 12, 0), result(true, 0, 0)]), (13, 0));
        assert_eq!(sum(&[result(false, 12, 2)]), (12, 2));
        // All tests passed, and the runner still failed (a crash after its summary).
        assert_eq!(sum(&[result(false, 12, 0)]), (12, 1));
    }

    #[test]
    fn only_refuses_unknown_names() {
        let items = plan::items();
        let first = items[0].name.clone();
        let chosen_items = chosen(items, &[first]).expect("known");
        assert_eq!(chosen_items.len(), 1);
        let error = chosen(plan::items(), &["nonsense".into()])
            .map(|_| ())
            .expect_err("unknown");
        assert!(error.to_string().contains("nonsense"));
    }
}
