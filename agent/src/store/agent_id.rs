//! The agent's id: configured, else the machine's, else one that is made up once and kept.

use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;

/// Where an id came from, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--agent-id`.
    Configuration,
    /// The machine id (machine-id(5)).
    MachineId,
    /// A state file that an earlier start wrote.
    StateFile(PathBuf),
    /// Made up now and kept in this file.
    Generated(PathBuf),
}

/// The agent's id must survive restarts and reboots.
#[derive(Debug, thiserror::Error)]
#[error(
    "no machine id in {machine_id}, and an id of our own could not be kept in {state}: {source}; set --agent-id"
)]
pub struct NoAgentId {
    machine_id: PathBuf,
    state: PathBuf,
    source: io::Error,
}

/// The id, and where it came from.
///
/// # Errors
/// When nothing is configured, the machine has no id, and none can be kept.
pub fn agent_id(
    configured: Option<&str>,
    machine_id: &Path,
    state: &Path,
) -> Result<(String, Source), NoAgentId> {
    if let Some(id) = configured {
        return Ok((id.to_owned(), Source::Configuration));
    }
    if let Some(id) = read(machine_id) {
        return Ok((id, Source::MachineId));
    }
    if let Some(id) = read(state) {
        return Ok((id, Source::StateFile(state.to_owned())));
    }
    let id = format!("{:032x}", rand::rng().random::<u128>());
    let kept = state.parent().map_or(Ok(()), std::fs::create_dir_all);
    kept.and_then(|()| std::fs::write(state, format!("{id}\n")))
        .map_err(|source| NoAgentId {
            machine_id: machine_id.to_owned(),
            state: state.to_owned(),
            source,
        })?;
    Ok((id, Source::Generated(state.to_owned())))
}

/// An agent's id as the aggregator takes it: what may stand in a path of the REST API.
#[must_use]
pub fn is_valid(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let id = text.trim();
    // A fresh image says "uninitialized" until its first boot.
    (is_valid(id) && id != "uninitialized").then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_id_stays() {
        let folder = tempfile::tempdir().expect("scratch folder");
        let (none, state) = (
            folder.path().join("none"),
            folder.path().join("lib/agent-id"),
        );
        let (first, source) = agent_id(None, &none, &state).expect("writable");
        assert_eq!(source, Source::Generated(state.clone()));
        assert!(is_valid(&first));
        let (second, source) = agent_id(None, &none, &state).expect("written");
        assert_eq!((second, source), (first, Source::StateFile(state.clone())));
        std::fs::write(&none, "uninitialized\n").expect("scratch file");
        assert_ne!(
            agent_id(None, &none, &state).expect("kept").1,
            Source::MachineId
        );
        assert_eq!(agent_id(Some("a"), &none, &state).expect("given").0, "a");
    }
}
