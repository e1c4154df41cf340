//! Merges command line, environment, file and defaults.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};

use super::{ConfigError, ENV_PREFIX, file, print};

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print_config";
const PRINT_REFERENCE: &str = "print_config_reference";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    CommandLine,
    /// This environment variable.
    Environment(String),
    /// This line of this file.
    File(PathBuf, usize),
    /// The option's default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => to.write_str("command line"),
            Self::Environment(name) => write!(to, "environment variable {name}"),
            Self::File(path, line) => write!(to, "{}:{line}", path.display()),
            Self::Default => to.write_str("default"),
        }
    }
}

/// What came of loading.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Run with this.
    Run(T),
    /// Print this and end well (`--help`, `--version`, `--print-config`).
    Print(String),
}

/// Loads a configuration. Pure: everything that it depends on is passed in.
///
/// `args` begins with the program's name; `read` reads the file of `--config`; `check` is the
/// service's own view on values that must fit together.
///
/// # Errors
/// When any source holds something that is no option or does not fit it. Nothing is half applied.
pub fn load<T: Parser>(
    args: impl IntoIterator<Item = OsString>,
    env: &BTreeMap<String, String>,
    read: impl FnOnce(&Path) -> io::Result<String>,
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<Outcome<T>, ConfigError> {
    let declared = T::command();
    let command = command::<T>();
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.is_empty() {
        args.push(command.get_name().into());
    }
    // Which options the command line sets. Required ones may still come from elsewhere.
    let relaxed = relaxed(&command);
    let given = match relaxed.clone().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Outcome::Print(error.to_string())),
        Err(error) => return Err(ConfigError::CommandLine(strip(&error.to_string()))),
    };
    if given.get_flag(PRINT_REFERENCE) {
        return Ok(Outcome::Print(print::reference(&declared)));
    }
    let entries = read_file(&given, env, &declared, read)?;
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    let mut extra: Vec<OsString> = Vec::new();
    for arg in declared.get_arguments().filter(|arg| is_option(arg)) {
        let id = arg.get_id().as_str();
        if on_command_line(&given, id) {
            sources.insert(id.to_owned(), Source::CommandLine);
            continue;
        }
        let Some((source, values)) = from_environment(arg, env).or_else(|| {
            entries
                .get(id)
                .map(|(source, values)| (source.clone(), values.clone()))
        }) else {
            continue;
        };
        let flags = flags(arg, &values, &source)?;
        verify(&relaxed, arg, &flags, &source)?;
        sources.insert(id.to_owned(), source);
        extra.extend(flags);
    }
    args.splice(1..1, extra);
    let matches = command
        .clone()
        .try_get_matches_from(&args)
        .map_err(|error| ConfigError::CommandLine(strip(&error.to_string())))?;
    let config = T::from_arg_matches(&matches)
        .map_err(|error| ConfigError::CommandLine(strip(&error.to_string())))?;
    if matches.get_flag(PRINT_CONFIG) {
        return Ok(Outcome::Print(print::effective(
            &command, &matches, &sources,
        )));
    }
    check(&config).map_err(ConfigError::Check)?;
    Ok(Outcome::Run(config))
}

/// [`load`] from the process itself: prints and ends with 0 for `--help` and the like, with
/// [`crate::exit::CONFIG`] on an error.
pub fn load_or_exit<T: Parser>(check: impl FnOnce(&T) -> Result<(), String>) -> T {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match load(
        std::env::args_os(),
        &env,
        |path| std::fs::read_to_string(path),
        check,
    ) {
        Ok(Outcome::Run(config)) => config,
        Ok(Outcome::Print(text)) => {
            // A closed pipe (`--help | head`) is no error.
            let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
            std::process::exit(0)
        }
        Err(error) => crate::exit::config_error(error),
    }
}

/// The service's command with the options that every service has.
fn command<T: Parser>() -> Command {
    let mut command = T::command()
        // clap would read the process's environment; the environment is passed in.
        .mut_args(|arg| arg.env(clap::builder::Resettable::Reset))
        .arg(
            Arg::new(CONFIG)
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("TOML file with the same options as keys"),
        )
        .arg(
            Arg::new(PRINT_CONFIG)
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration with the source of each value, and end"),
        )
        .arg(
            Arg::new(PRINT_REFERENCE)
                .long("print-config-reference")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
        .after_help(format!(
            "Every option is also an environment variable ({ENV_PREFIX} and the name in capitals: \
             --log is {ENV_PREFIX}LOG) and a key of the --config file. Flags go before the \
             environment, the environment before the file."
        ));
    command.build();
    command
}

/// The names of an option's environment variables, the service-wide one first.
pub(super) fn env_names(arg: &Arg) -> Vec<String> {
    let long = arg.get_long().unwrap_or_default();
    let own = format!("{ENV_PREFIX}{}", long.replace('-', "_").to_uppercase());
    let extra = arg.get_env().and_then(OsStr::to_str).map(str::to_owned);
    let mut names = vec![own];
    names.extend(extra.filter(|name| *name != names[0]));
    names
}

/// An option that environment and file may set.
pub(super) fn is_option(arg: &Arg) -> bool {
    let own = [CONFIG, PRINT_CONFIG, PRINT_REFERENCE, "help", "version"];
    arg.get_long().is_some() && !own.contains(&arg.get_id().as_str())
}

/// The command that accepts a part of the options, for looking at one source at a time.
fn relaxed(command: &Command) -> Command {
    command
        .clone()
        .subcommand_required(false)
        .arg_required_else_help(false)
        .mut_args(|arg| arg.required(false))
}

/// Whether the option was given, before or after a subcommand.
fn on_command_line(matches: &ArgMatches, id: &str) -> bool {
    let here = matches.try_contains_id(id).is_ok()
        && matches.value_source(id) == Some(ValueSource::CommandLine);
    here || matches
        .subcommand()
        .is_some_and(|(_, below)| on_command_line(below, id))
}

type FileValues = BTreeMap<String, (Source, Vec<String>)>;

fn read_file(
    given: &ArgMatches,
    env: &BTreeMap<String, String>,
    declared: &Command,
    read: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<FileValues, ConfigError> {
    let from_env = || env.get(&format!("{ENV_PREFIX}CONFIG")).map(PathBuf::from);
    let path = given.get_one::<PathBuf>(CONFIG).cloned().or_else(from_env);
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(FileValues::new());
    };
    let text = read(&path).map_err(|source| ConfigError::Read {
        path: path.clone(),
        source,
    })?;
    let known: BTreeMap<String, &str> = declared
        .get_arguments()
        .filter(|arg| is_option(arg))
        .filter_map(|arg| Some((arg.get_long()?.replace('-', "_"), arg.get_id().as_str())))
        .collect();
    let mut values = FileValues::new();
    for entry in file::parse(&path, &text)? {
        let Some(id) = known.get(&entry.key.replace('-', "_")) else {
            return Err(ConfigError::UnknownKey {
                path,
                line: entry.line,
                hint: hint(&entry.key, known.keys()),
                key: entry.key,
            });
        };
        let source = Source::File(path.clone(), entry.line);
        if let Some((earlier, _)) = values.insert((*id).to_owned(), (source.clone(), entry.values))
        {
            return Err(ConfigError::Value {
                message: format!("{} is set a second time, after {earlier}", entry.key),
                source_of: source,
            });
        }
    }
    Ok(values)
}

fn hint<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    let key = key.replace('-', "_").to_lowercase();
    known
        .map(|name| (strsim::jaro_winkler(&key, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7)
        .map_or_else(
            || "; --print-config shows the known ones".to_owned(),
            |(_, name)| format!("; did you mean {name:?}?"),
        )
}

fn from_environment(arg: &Arg, env: &BTreeMap<String, String>) -> Option<(Source, Vec<String>)> {
    env_names(arg).into_iter().find_map(|name| {
        let text = env.get(&name).filter(|text| !text.is_empty())?;
        let values = match arg.get_action() {
            ArgAction::Append => text.split(',').map(|part| part.trim().to_owned()).collect(),
            _ => vec![text.clone()],
        };
        Some((Source::Environment(name), values))
    })
}

/// The flags that would say the same on the command line.
fn flags(arg: &Arg, values: &[String], source: &Source) -> Result<Vec<OsString>, ConfigError> {
    let long = arg.get_long().unwrap_or_default();
    let refused = |message: String| ConfigError::Value {
        source_of: source.clone(),
        message,
    };
    match (arg.get_action(), values) {
        (ArgAction::SetTrue, [text]) => match text.as_str() {
            "true" | "1" | "yes" | "on" => Ok(vec![format!("--{long}").into()]),
            "false" | "0" | "no" | "off" => Ok(Vec::new()),
            other => Err(refused(format!("{long} is true or false, not {other:?}"))),
        },
        (ArgAction::Append, _) | (ArgAction::Set, [_]) => Ok(values
            .iter()
            .map(|value| format!("--{long}={value}").into())
            .collect()),
        (ArgAction::Set | ArgAction::SetTrue, _) => Err(refused(format!(
            "{long} takes one value, not a list of {}",
            values.len()
        ))),
        _ => Err(refused(format!("{long} can be set by its flag only"))),
    }
}

/// Checks one option's values alone, so that the error can name their source.
fn verify(
    relaxed: &Command,
    arg: &Arg,
    flags: &[OsString],
    source: &Source,
) -> Result<(), ConfigError> {
    let name = OsString::from(relaxed.get_name());
    let line = std::iter::once(&name).chain(flags);
    relaxed
        .clone()
        .try_get_matches_from(line)
        .map(|_| ())
        .map_err(|error| ConfigError::Value {
            source_of: source.clone(),
            message: if arg.is_hide_env_values_set() {
                format!("invalid value for {}", arg.get_long().unwrap_or_default())
            } else {
                let text = strip(&error.to_string());
                text.split("\n\n").next().unwrap_or(&text).to_owned()
            },
        })
}

fn strip(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.trim_end().to_owned()
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
