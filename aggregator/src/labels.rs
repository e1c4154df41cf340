//! Labels that people give to nodes of the map, beside those that engines have: kept in a redb file of
//! `--data-dir`, shown in the details, found by search.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

const NAME: &str = "labels.redb";
/// Node's id to its labels, as JSON.
const LABELS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("labels");
/// The file is small; redb would take up to 1 GiB.
const CACHE_BYTES: usize = 1 << 20;
/// Nodes with labels.
pub const NODES_MAX: usize = 10_000;
/// Labels of one node.
pub const OF_A_NODE_MAX: usize = 32;
const KEY_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 256;
const NODE_BYTES_MAX: usize = 512;

/// Labels of one node, by their keys.
pub type OfANode = BTreeMap<String, String>;

/// Labels that were not changed.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// They are not such.
    #[error("{0}")]
    Refused(String),
    /// The bound on nodes with labels.
    #[error("{NODES_MAX} nodes have labels already, the most that are kept")]
    TooMany,
    /// The file can't be used.
    #[error("{path}: {reason}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// All labels that people gave.
#[derive(Debug, Default)]
pub struct Labels {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    nodes: BTreeMap<String, OfANode>,
    /// `None`: in memory only.
    file: Option<(PathBuf, Database)>,
}

impl Labels {
    /// Reads those of `folder`; without one they live in memory.
    ///
    /// # Errors
    /// When the file can't be read or written: it is left as it is.
    pub fn open(folder: Option<&Path>) -> Result<Self, LabelsError> {
        let Some(folder) = folder else {
            return Ok(Self::default());
        };
        let path = folder.join(NAME);
        let (database, nodes) = read(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self {
            held: Mutex::new(Held {
                nodes,
                file: Some((path, database)),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of all nodes.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, OfANode> {
        self.lock().nodes.clone()
    }

    /// Those of one node.
    #[must_use]
    pub fn of(&self, node: &str) -> OfANode {
        self.lock().nodes.get(node).cloned().unwrap_or_default()
    }

    /// Nodes that have some.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Whether they survive a restart.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.lock().file.is_some()
    }

    /// Gives a node these labels and no others, and returns once they are on the disk. Where there is
    /// no room, those of nodes that are not `there` any more go first; gives which.
    ///
    /// # Errors
    /// [`LabelsError`]; then nothing was changed.
    pub fn set(
        &self,
        node: &str,
        labels: OfANode,
        there: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, LabelsError> {
        check(node, &labels)?;
        let mut held = self.lock();
        let mut gone = Vec::new();
        let new = !labels.is_empty() && !held.nodes.contains_key(node);
        if new && held.nodes.len() >= NODES_MAX {
            gone.extend(held.nodes.keys().filter(|id| !there(id)).cloned());
            if gone.is_empty() {
                return Err(LabelsError::TooMany);
            }
        }
        if let Some((path, database)) = &held.file {
            write(database, node, &labels, &gone).map_err(|error| failed(path, &error))?;
        }
        for id in &gone {
            held.nodes.remove(id);
        }
        if labels.is_empty() {
            held.nodes.remove(node);
        } else {
            held.nodes.insert(node.to_owned(), labels);
        }
        Ok(gone)
    }
}

fn check(node: &str, labels: &OfANode) -> Result<(), LabelsError> {
    let refused = |reason: String| Err(LabelsError::Refused(reason));
    if node.is_empty() || node.len() > NODE_BYTES_MAX {
        return refused(format!("a node's id has 1 to {NODE_BYTES_MAX} bytes"));
    }
    if labels.len() > OF_A_NODE_MAX {
        let count = labels.len();
        return refused(format!("{count} labels are more than {OF_A_NODE_MAX}"));
    }
    for (key, value) in labels {
        let fits = (1..=KEY_BYTES_MAX).contains(&key.len())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        if !fits {
            return refused(format!(
                "{key:?} is no key: 1 to {KEY_BYTES_MAX} letters, digits, -, _, . and /"
            ));
        }
        let fits = (1..=VALUE_BYTES_MAX).contains(&value.len());
        if !fits || value.chars().any(char::is_control) {
            return refused(format!(
                "the value of {key:?} is empty, longer than {VALUE_BYTES_MAX} bytes, or not in one line"
            ));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<(Database, BTreeMap<String, OfANode>), redb::Error> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    let database = opened?;
    let writing = database.begin_write()?;
    writing.open_table(LABELS)?;
    writing.commit()?;
    let table = database.begin_read()?.open_table(LABELS)?;
    let mut nodes = BTreeMap::new();
    for row in table.iter()? {
        let (node, json) = row?;
        let labels = serde_json::from_slice(json.value())
            .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        nodes.insert(node.value().to_owned(), labels);
    }
    Ok((database, nodes))
}

fn write(
    database: &Database,
    node: &str,
    labels: &OfANode,
    gone: &[String],
) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut table = writing.open_table(LABELS)?;
        for id in gone {
            table.remove(id.as_str())?;
        }
        if labels.is_empty() {
            table.remove(node)?;
        } else {
            let json = serde_json::to_vec(labels)
                .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            table.insert(node, json.as_slice())?;
        }
    }
    writing.commit()?;
    Ok(())
}

fn failed(path: &Path, error: &redb::Error) -> LabelsError {
    LabelsError::Store {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> OfANode {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn they_survive_a_restart_and_go_when_they_are_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let team = labels(&[("team", "shop"), ("tier/x", "1")]);
        {
            let kept = Labels::open(Some(folder.path())).expect("opened");
            assert!(kept.are_kept());
            kept.set("container;1", team.clone(), |_| true)
                .expect("set");
            kept.set("host;a", labels(&[("rack", "7")]), |_| true)
                .expect("set");
        }
        {
            let kept = Labels::open(Some(folder.path())).expect("opened again");
            assert_eq!((kept.of("container;1"), kept.nodes()), (team, 2));
            kept.set("container;1", OfANode::new(), |_| true)
                .expect("taken away");
        }
        let kept = Labels::open(Some(folder.path())).expect("opened again");
        assert_eq!(kept.all().keys().collect::<Vec<_>>(), ["host;a"]);
    }

    #[test]
    fn what_is_no_label_is_refused_and_changes_nothing() {
        let kept = Labels::default();
        let long = "x".repeat(257);
        let many: OfANode = (0..33).map(|i| (format!("k{i}"), "v".to_owned())).collect();
        for bad in [
            labels(&[("", "x")]),
            labels(&[("a b", "x")]),
            labels(&[("k=", "x")]),
            labels(&[("k", "")]),
            labels(&[("k", "two\nlines")]),
            labels(&[("k", &long)]),
            many,
        ] {
            let refused = kept.set("container;1", bad.clone(), |_| true);
            assert!(matches!(refused, Err(LabelsError::Refused(_))), "{bad:?}");
        }
        assert!(kept.set("", labels(&[("k", "v")]), |_| true).is_err());
        assert_eq!(kept.nodes(), 0);
    }

    #[test]
    fn where_there_is_no_room_what_is_gone_goes_first() {
        let kept = Labels::default();
        let one = labels(&[("k", "v")]);
        for node in 0..NODES_MAX {
            kept.set(&format!("container;{node}"), one.clone(), |_| true)
                .expect("room");
        }
        let full = kept.set("host;a", one.clone(), |_| true);
        assert!(matches!(full, Err(LabelsError::TooMany)), "{full:?}");
        kept.set("container;5", labels(&[("k", "w")]), |_| true)
            .expect("has some already");
        let gone = kept.set("host;a", one, |id| id != "container;7");
        assert_eq!(gone.expect("room"), ["container;7"]);
        assert_eq!(kept.nodes(), NODES_MAX);
    }
}
