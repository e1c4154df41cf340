//! Shows a configuration: the effective one as TOML, the options of a command as Markdown.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::load::{Source, env_names, is_option};

const MASK: &str = "***";

/// The configuration as a TOML file that would give the same, each value with its source.
pub(super) fn effective(
    command: &Command,
    matches: &ArgMatches,
    sources: &BTreeMap<String, Source>,
) -> String {
    let mut text = String::new();
    for arg in command.get_arguments().filter(|arg| is_option(arg)) {
        let key = arg.get_long().unwrap_or_default().replace('-', "_");
        let source = sources
            .get(arg.get_id().as_str())
            .unwrap_or(&Source::Default);
        let line = match value(arg, matches) {
            Some(value) => format!("{key} = {value} # {source}"),
            None => format!("# {key} is not set"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn value(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let raw: Vec<String> = matches
        .get_raw(arg.get_id().as_str())?
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if arg.is_hide_env_values_set() {
        return Some(format!("\"{MASK}\""));
    }
    if matches!(arg.get_action(), ArgAction::Append) {
        let list: Vec<String> = raw.iter().map(|value| literal(arg, value)).collect();
        return Some(format!("[{}]", list.join(", ")));
    }
    raw.first().map(|value| literal(arg, value))
}

fn literal(arg: &Arg, raw: &str) -> String {
    let bare = [
        TypeId::of::<bool>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<f64>(),
    ];
    if bare
        .iter()
        .any(|id| arg.get_value_parser().type_id() == *id)
    {
        return raw.to_owned();
    }
    toml::Value::String(raw.to_owned()).to_string()
}

/// A Markdown table of every option of a command: flag, environment, key, default, meaning.
#[must_use]
pub fn reference(command: &Command) -> String {
    let mut text = format!("## {}\n\n", command.get_name());
    text.push_str("| flag | environment | file key | default | meaning |\n|---|---|---|---|---|\n");
    for arg in command
        .get_arguments()
        .filter(|arg| is_option(arg) && !arg.is_hide_set())
    {
        let long = arg.get_long().unwrap_or_default();
        let takes_value = arg.get_action().takes_values();
        let value_name = takes_value
            .then(|| {
                arg.get_value_names()?
                    .first()
                    .map(|name| format!(" {name}"))
            })
            .flatten()
            .unwrap_or_default();
        let environment: Vec<String> = env_names(arg)
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let default: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let default = match (default.is_empty(), takes_value) {
            (false, _) => format!("`{}`", default.join(",")),
            (true, false) => "`false`".to_owned(),
            (true, true) => "not set".to_owned(),
        };
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "| `--{long}{value_name}` | {} | `{}` | {default} | {} |",
            environment.join(", "),
            long.replace('-', "_"),
            meaning(arg),
        );
    }
    text
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        text.push_str(&format!(" (one of {})", values.join(", ")));
    }
    text.replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
