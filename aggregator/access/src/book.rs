//! The API tokens: in memory for looking up, in `access.redb` so that they survive a restart.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::role::Role;
use crate::secret::SecretDigest;
use crate::token::{self, NAME_BYTES_MAX, Token};

const FILE_NAME: &str = "access.redb";
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
const FORMAT: (&str, &str) = ("format", "mesoscope-access 1");
/// Token id to its row, as JSON.
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
/// The file is small; redb would take up to 1 GiB.
const CACHE_BYTES: usize = 1 << 20;
/// Tokens at most, expired ones included.
const TOKENS_MAX: usize = 1_000;
/// Expired tokens are listed for so long.
const LISTED_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Longest life of a token.
pub const LIFE_MS_MAX: u64 = 10 * 365 * 24 * 60 * 60 * 1_000;

/// Why tokens can't be read or changed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// There is no folder for them.
    #[error("API tokens need --data-dir: without it they would be forgotten")]
    NoFolder,
    /// A name that can't be.
    #[error("a token's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    /// A life that can't be.
    #[error("a token lives from one second to ten years")]
    Life,
    /// The bound.
    #[error("there are {TOKENS_MAX} tokens already, the most that are kept")]
    TooMany,
    /// No such token.
    #[error("there is no token {0:?}")]
    Unknown(String),
    /// Its folder or the file can't be written to.
    #[error("{path} can't be written to: {source}", path = path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else that is wrong with the file.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A token that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What it is for.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// Who makes it.
    pub created_by: &'a str,
    /// How long it opens something.
    pub lives_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    token: Token,
    digest: String,
}

type Rows = BTreeMap<String, (Token, SecretDigest)>;

/// The API tokens. Making and revoking blocks for the disk.
#[derive(Debug)]
pub struct TokenBook {
    rows: RwLock<Rows>,
    file: Option<Mutex<TokenFile>>,
}

#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    /// Gone after a failed write: redb takes no more of them until it is opened again.
    database: Option<Database>,
}

impl TokenBook {
    /// No tokens, and none can be made.
    #[must_use]
    pub fn without_folder() -> Self {
        Self {
            rows: RwLock::default(),
            file: None,
        }
    }

    /// Those of the file in this folder; both are made if need be.
    ///
    /// # Errors
    /// When the file can't be read or is not ours; it is left as it is.
    pub fn open(folder: &Path) -> Result<Self, TokensError> {
        let path = folder.join(FILE_NAME);
        let unwritable = |source| TokensError::Unwritable {
            path: path.clone(),
            source,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(unwritable)?;
        // Others could guess nothing from digests, but need not see who has tokens.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(unwritable)?;
        let (database, rows) = open(&path)?;
        let database = Some(database);
        Ok(Self {
            rows: RwLock::new(rows),
            file: Some(Mutex::new(TokenFile { path, database })),
        })
    }

    /// The token that this text is, while it lives.
    #[must_use]
    pub fn find(&self, text: &str, now_ms: u64) -> Option<Token> {
        let (id, shown) = token::parse(text)?;
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let (token, digest) = rows.get(id)?;
        (digest.is(&shown) && token.lives(now_ms)).then(|| token.clone())
    }

    /// The token of this id, while it lives.
    #[must_use]
    pub fn get(&self, id: &str, now_ms: u64) -> Option<Token> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let (token, _) = rows.get(id)?;
        token.lives(now_ms).then(|| token.clone())
    }

    /// All tokens by id, those that expired within the last 30 days included.
    #[must_use]
    pub fn list(&self) -> Vec<Token> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.values().map(|(token, _)| token.clone()).collect()
    }

    /// Makes a token; its text is told here and never again.
    ///
    /// # Errors
    /// [`TokensError`]
    pub fn create(&self, wanted: Wanted<'_>, now_ms: u64) -> Result<(Token, String), TokensError> {
        let name = wanted.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(TokensError::Name);
        }
        if !(1_000..=LIFE_MS_MAX).contains(&wanted.lives_ms) {
            return Err(TokensError::Life);
        }
        let (token, text) = Token::make(
            name,
            wanted.role,
            wanted.created_by,
            now_ms,
            wanted.lives_ms,
        );
        let digest = SecretDigest::of(&text);
        let made = token.clone();
        self.change(|rows| {
            rows.retain(|_, (token, _)| token.expires_unix_ms.saturating_add(LISTED_MS) > now_ms);
            if rows.len() >= TOKENS_MAX {
                return Err(TokensError::TooMany);
            }
            rows.insert(made.id.clone(), (made, digest));
            Ok(())
        })?;
        Ok((token, text))
    }

    /// Takes a token away: from now on it opens nothing.
    ///
    /// # Errors
    /// [`TokensError`]
    pub fn revoke(&self, id: &str) -> Result<Token, TokensError> {
        let mut revoked = None;
        self.change(|rows| {
            revoked = rows.remove(id);
            Ok(())
        })?;
        let unknown = || TokensError::Unknown(id.chars().take(64).collect());
        revoked.map(|(token, _)| token).ok_or_else(unknown)
    }

    /// Tokens kept.
    #[must_use]
    pub fn used(&self) -> usize {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.len()
    }

    /// Tokens kept at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        TOKENS_MAX
    }

    /// Changes the file, then the memory; on an error neither.
    fn change(
        &self,
        edit: impl FnOnce(&mut Rows) -> Result<(), TokensError>,
    ) -> Result<(), TokensError> {
        let file = self.file.as_ref().ok_or(TokensError::NoFolder)?;
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            rows.clone()
        };
        edit(&mut rows)?;
        file.write(&rows)?;
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = rows;
        Ok(())
    }
}

impl TokenFile {
    /// All rows in place of those before; on the disk when it returns.
    fn write(&mut self, rows: &Rows) -> Result<(), TokensError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?.0,
        };
        guarded(&self.path, || Ok(put(&database, rows)?))?;
        self.database = Some(database);
        Ok(())
    }
}

fn put(database: &Database, rows: &Rows) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut table = writing.open_table(TOKENS)?;
        table.retain(|id, _| rows.contains_key(id))?;
        for (id, (token, digest)) in rows {
            let row = Row {
                token: token.clone(),
                digest: digest.hex(),
            };
            let json = serde_json::to_vec(&row)
                .map_err(|error| redb::Error::Io(std::io::Error::other(error)))?;
            table.insert(id.as_str(), json.as_slice())?;
        }
    }
    writing.commit()?;
    Ok(())
}

fn open(path: &Path) -> Result<(Database, Rows), TokensError> {
    guarded(path, || {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(redb::Error::from)?;
        let rows = read(&database)?;
        Ok((database, rows))
    })
}

fn read(database: &Database) -> Result<Rows, Unusable> {
    let writing = database.begin_write()?;
    {
        let mut about = writing.open_table(ABOUT)?;
        let known = about.get(FORMAT.0)?.map(|value| value.value().to_owned());
        match known.as_deref() {
            Some(format) if format == FORMAT.1 => {}
            None if writing.list_tables()?.count() == 1 => {
                about.insert(FORMAT.0, FORMAT.1)?;
                writing.open_table(TOKENS)?;
            }
            other => {
                return Err(Unusable(format!(
                    "it is no file of this version's API tokens ({other:?}): move it away to begin without tokens"
                )));
            }
        }
    }
    writing.commit()?;
    let mut rows = Rows::new();
    let reading = database.begin_read()?;
    for row in reading.open_table(TOKENS)?.iter()? {
        let (id, json) = row?;
        let row: Row = serde_json::from_slice(json.value())
            .map_err(|error| Unusable(format!("the token {:?}: {error}", id.value())))?;
        let digest = SecretDigest::from_hex(&row.digest)
            .ok_or_else(|| Unusable(format!("the token {:?} has no digest", id.value())))?;
        rows.insert(id.value().to_owned(), (row.token, digest));
    }
    Ok(rows)
}

/// What is wrong with the file.
struct Unusable(String);

impl<E: Into<redb::Error>> From<E> for Unusable {
    fn from(error: E) -> Self {
        Self(match error.into() {
            redb::Error::DatabaseAlreadyOpen => {
                "it is in use by another aggregator: end that one, or give this one a --data-dir of its own"
                    .to_owned()
            }
            other => other.to_string(),
        })
    }
}

/// redb's debug builds assert what no file of its own can hold; in a damaged file that is an error
/// like another.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, Unusable>) -> Result<T, TokensError> {
    let done = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Unusable("the database gave up on it".to_owned())));
    done.map_err(|Unusable(reason)| failed(path)(reason))
}

fn failed(path: &Path) -> impl Fn(String) -> TokensError + use<> {
    let path = path.to_owned();
    move |reason| TokensError::File {
        path: path.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str) -> Wanted<'_> {
        Wanted {
            name,
            role: Role::Operator,
            created_by: "ada",
            lives_ms: 10_000,
        }
    }

    #[test]
    fn tokens_survive_a_restart_and_the_file_holds_no_secret() {
        let scratch = tempfile::tempdir().expect("scratch folder");
        let book = TokenBook::open(scratch.path()).expect("a new file");
        let (token, text) = book.create(wanted("ci"), 0).expect("made");
        let (gone, gone_text) = book.create(wanted("old"), 0).expect("made");
        book.revoke(&gone.id).expect("there");
        assert!(book.find(&gone_text, 1).is_none());
        let in_use = TokenBook::open(scratch.path())
            .expect_err("in use")
            .to_string();
        assert!(in_use.contains("in use by another"), "{in_use}");
        drop(book);
        let bytes = std::fs::read(scratch.path().join(FILE_NAME)).expect("readable");
        let secret = &text.as_bytes()[text.len() - 64..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        let book = TokenBook::open(scratch.path()).expect("ours");
        assert_eq!(book.list(), std::slice::from_ref(&token));
        assert_eq!(book.find(&text, 9_999), Some(token.clone()));
        assert_eq!(book.find(&text, 10_000), None, "expired");
        let other = format!("mesoscope_{}_{}", token.id, "0".repeat(64));
        assert_eq!(book.find(&other, 1), None, "the id alone opens nothing");
        assert!(matches!(book.revoke("none"), Err(TokensError::Unknown(_))));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let none = TokenBook::without_folder();
        assert!(matches!(
            none.create(wanted("a"), 0),
            Err(TokensError::NoFolder)
        ));
        let scratch = tempfile::tempdir().expect("scratch folder");
        let book = TokenBook::open(scratch.path()).expect("a new file");
        let long = "a".repeat(65);
        for name in ["", "a\nb", &long] {
            assert!(matches!(
                book.create(wanted(name), 0),
                Err(TokensError::Name)
            ));
        }
        let forever = Wanted {
            lives_ms: u64::MAX,
            ..wanted("a")
        };
        assert!(matches!(book.create(forever, 0), Err(TokensError::Life)));
        assert_eq!(book.used(), 0);
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch folder");
        let path = scratch.path().join(FILE_NAME);
        std::fs::write(&path, "precious").expect("writable");
        assert!(TokenBook::open(scratch.path()).is_err());
        assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    }

    #[test]
    fn long_expired_tokens_are_forgotten() {
        let scratch = tempfile::tempdir().expect("scratch folder");
        let book = TokenBook::open(scratch.path()).expect("a new file");
        book.create(wanted("old"), 0).expect("made");
        book.create(wanted("new"), LISTED_MS).expect("made");
        assert_eq!(book.used(), 2);
        book.create(wanted("newer"), LISTED_MS + 10_000)
            .expect("made");
        assert_eq!(book.used(), 2);
    }
}
