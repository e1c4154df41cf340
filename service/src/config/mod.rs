//! Configuration of a service: one clap struct, filled from flags, then environment, then a TOML
//! file, then defaults.
//!
//! Every long option `--some-name` of the struct's command is also the environment variable
//! `MESOSCOPE_SOME_NAME`, the variable of clap's own `env = "..."` attribute where it has one (clap
//! itself never reads it: [`load`] is pure), and the key `some_name` (or `some-name`) of the file.
//! An option with `hide_env_values = true` is a secret and masked wherever values are printed.
//!
//! `--config FILE`, `--print-config` and the hidden `--print-config-reference` are added to every
//! command.
//!
//! | file | what it does |
//! |---|---|
//! | `load.rs` | merges the sources; the process's edge `load_or_exit` |
//! | `file.rs` | reads the TOML file, with the line of every key |
//! | `print.rs` | the effective configuration as TOML, the reference as Markdown |

mod file;
mod load;
mod print;

use std::path::PathBuf;

pub use load::{Outcome, Source, load, load_or_exit};
pub use print::reference;

/// Prefix of the environment variables.
pub const ENV_PREFIX: &str = "MESOSCOPE_";

/// Why a configuration was refused. The text is for the person who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line is wrong; clap says how.
    #[error("{0}")]
    CommandLine(String),
    /// The file can't be read.
    #[error("can't read the configuration file {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: not valid TOML: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The file has a key that is no option.
    #[error("{path}:{line}: unknown key {key:?}{hint}", path = path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key as it was written.
        key: String,
        /// "; did you mean ...?", or where to find the known keys.
        hint: String,
    },
    /// A value from the environment or the file does not fit its option.
    #[error("{from}: {message}", from = source_of)]
    Value {
        /// Where the value stands.
        source_of: Source,
        /// What is wrong with it.
        message: String,
    },
    /// The values do not fit together, as the service's own check says.
    #[error("{0}")]
    Check(String),
}
