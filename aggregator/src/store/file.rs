//! The file: redb, with whose it is and its format version inside.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageError, TableDefinition, TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::filters::Filter;
use super::settings::Entry;

const NAME: &str = "settings.redb";
/// Whose file it is, and its format.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
const OWNER: (&str, &str) = ("owner", "mesoscope-aggregator");
const FORMAT_KEY: &str = "format";
const FORMAT: u64 = 1;
/// Agent id to its entry, as JSON.
pub(super) const AGENTS: Table = TableDefinition::new("agents");
/// A filter's id to it, as JSON. Files of earlier versions don't have it.
pub(super) const FILTERS: Table = TableDefinition::new("filters");
/// The file is small; redb would take up to 1 GiB.
const CACHE_BYTES: usize = 1 << 20;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// What the file holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) agents: Vec<(String, Entry)>,
    pub(super) filters: Vec<(String, Filter)>,
}

/// The open file. Everything here blocks.
#[derive(Debug)]
pub(super) struct SettingsFile {
    path: PathBuf,
    /// Gone after a failed write: redb takes no more of them until it is opened again.
    database: Option<Database>,
}

impl SettingsFile {
    /// Opens the file in `folder`, making both if need be, and reads it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Contents), StoreError> {
        let path = folder.join(NAME);
        make_folder(folder).map_err(|error| io_error("making the folder", folder, error))?;
        let exists = path
            .try_exists()
            .map_err(|error| io_error("looking for", &path, error))?;
        if !exists {
            create(&path)?;
        }
        let (database, entries) = open(&path)?;
        let database = Some(database);
        Ok((Self { path, database }, entries))
    }

    /// What a file that can't be written to holds; nothing where there is none.
    pub(super) fn read_only(folder: &Path) -> Result<Contents, StoreError> {
        let path = folder.join(NAME);
        if !path.exists() {
            return Ok(Contents::default());
        }
        guarded(&path, || {
            let opened = Database::builder().open_read_only(&path);
            let database = opened.map_err(|error| open_error(&path, error))?;
            read(&path, &database.begin_read().map_err(storage(&path))?)
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes entries (`None`: removes them), all or none, and returns when they are on the disk.
    pub(super) fn write<T: Serialize>(
        &mut self,
        table: Table,
        entries: &[(&str, Option<&T>)],
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?.0,
        };
        guarded(&self.path, || put(&self.path, &database, table, entries))?;
        self.database = Some(database);
        Ok(())
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a file under another name first: a crash leaves no half of one.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("removing", &new, error));
        }
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(|error| io_error("making", &new, error))?;
    let initialise = || {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(&new);
        let database = opened.map_err(|error| open_error(&new, error))?;
        let writing = database.begin_write().map_err(storage(&new))?;
        describe(&writing).map_err(storage(&new))?;
        writing.commit().map_err(storage(&new))
    };
    let kept = initialise().and_then(|()| {
        fs::rename(&new, path).map_err(|error| io_error("naming", path, error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| io_error("syncing", folder, error))
    });
    if kept.is_err() {
        // The next start would remove it.
        let _ = fs::remove_file(&new);
    }
    kept
}

fn describe(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let mut about = writing.open_table(ABOUT)?;
    about.insert(OWNER.0, OWNER.1)?;
    about.insert(FORMAT_KEY, FORMAT.to_string().as_str())?;
    writing.open_table(AGENTS)?;
    Ok(())
}

fn open(path: &Path) -> Result<(Database, Contents), StoreError> {
    guarded(path, || {
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .open(path);
        let database = opened.map_err(|error| open_error(path, error))?;
        let entries = read(path, &database.begin_read().map_err(storage(path))?)?;
        Ok((database, entries))
    })
}

fn read(path: &Path, reading: &ReadTransaction) -> Result<Contents, StoreError> {
    let foreign = |found: &str| StoreError::Foreign {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    let damaged = |reason: String| StoreError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let about = match reading.open_table(ABOUT) {
        Ok(about) => about,
        Err(TableError::Storage(error)) => return Err(storage(path)(error)),
        Err(_) => return Err(foreign("another program's database")),
    };
    let told = |key| -> Result<Option<String>, StoreError> {
        let value = about.get(key).map_err(storage(path))?;
        Ok(value.map(|value| value.value().to_owned()))
    };
    if told(OWNER.0)?.as_deref() != Some(OWNER.1) {
        return Err(foreign("another program's database"));
    }
    let format = told(FORMAT_KEY)?.unwrap_or_default();
    match format.parse() {
        Ok(FORMAT) => {}
        Ok(format) => {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                format,
                known: FORMAT,
            });
        }
        Err(_) => return Err(damaged(format!("its format is {format:?}"))),
    }
    let agents = reading.open_table(AGENTS).map_err(storage(path))?;
    let filters = match reading.open_table(FILTERS) {
        Ok(filters) => rows(path, &filters, "the filter")?,
        Err(TableError::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => return Err(storage(path)(error)),
    };
    Ok(Contents {
        agents: rows(path, &agents, "the settings of agent")?,
        filters,
    })
}

fn rows<T: DeserializeOwned>(
    path: &Path,
    table: &ReadOnlyTable<&'static str, &'static [u8]>,
    what: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let mut rows = Vec::new();
    for row in table.iter().map_err(storage(path))? {
        let (id, json) = row.map_err(storage(path))?;
        let id = id.value().to_owned();
        let value = serde_json::from_slice(json.value()).map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            reason: format!("{what} {id:?}: {error}"),
        })?;
        rows.push((id, value));
    }
    Ok(rows)
}

fn put<T: Serialize>(
    path: &Path,
    database: &Database,
    table: Table,
    entries: &[(&str, Option<&T>)],
) -> Result<(), StoreError> {
    let writing = database.begin_write().map_err(storage(path))?;
    {
        let mut table = writing.open_table(table).map_err(storage(path))?;
        for (id, entry) in entries {
            match entry {
                Some(entry) => {
                    let json = serde_json::to_vec(entry).map_err(|error| StoreError::Io {
                        doing: "encoding for",
                        path: path.to_owned(),
                        reason: error.to_string(),
                    })?;
                    table.insert(*id, json.as_slice()).map_err(storage(path))?;
                }
                None => {
                    table.remove(*id).map_err(storage(path))?;
                }
            }
        }
    }
    writing.commit().map_err(storage(path))
}

/// redb's debug builds assert what no file of its own can hold; in a damaged file that is an error
/// like another.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: "the database gave up on it".to_owned(),
        })
    })
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Locked { path }
        }
        DatabaseError::UpgradeRequired(version) => StoreError::Foreign {
            path,
            found: format!("a database of redb's old format {version}"),
        },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            let found = error.to_string();
            StoreError::Foreign { path, found }
        }
        DatabaseError::Storage(error) => storage(&path)(error),
        other => StoreError::Damaged {
            path,
            reason: other.to_string(),
        },
    }
}

/// What an error of redb means for the file.
fn storage<E: Into<redb::Error>>(path: &Path) -> impl Fn(E) -> StoreError {
    let path = path.to_owned();
    move |error| match error.into() {
        redb::Error::Io(error) => io_error("reading or writing", &path, error),
        redb::Error::Corrupted(reason) => StoreError::Damaged {
            path: path.clone(),
            reason,
        },
        other @ (redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            StoreError::Damaged {
                path: path.clone(),
                reason: other.to_string(),
            }
        }
        other => StoreError::Io {
            doing: "reading or writing",
            path: path.clone(),
            reason: other.to_string(),
        },
    }
}

fn io_error(doing: &'static str, path: &Path, error: io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded => StoreError::Unwritable {
            path,
            source: error,
        },
        _ => StoreError::Io {
            doing,
            path,
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
