//! The file that names the webhooks, in TOML: `[[webhook]]` with `name`, `url`, `secret` or
//! `secret_file`, `kinds`, `ca_file` and `insecure`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::notice::Kind;
use crate::outward::{Target, UrlError};

/// Webhooks in a file.
const HOOKS_MAX: usize = 16;
/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a secret: shorter ones can be guessed.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 1_024;
/// Bytes of a name, which is a label of metrics.
const NAME_BYTES_MAX: usize = 64;

/// Why the webhooks can't be used. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// A file can't be read.
    #[error("can't read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not the TOML that it should be.
    #[error("{path}:{line}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A webhook in it makes no sense.
    #[error("{path}: webhook {name:?}: {message}", path = path.display())]
    Hook {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// There are none, or too many.
    #[error("{path} names {count} webhooks: it can name from 1 to {HOOKS_MAX}", path = path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
}

/// A receiver of notices.
#[derive(Clone)]
pub struct Hook {
    /// What it is called in metrics and logs.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// What its requests are signed with.
    pub(super) secret: Arc<[u8]>,
    /// What it wants.
    pub kinds: HashSet<Kind>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({:?})", self.name, self.target)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhook: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    url: String,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    kinds: Option<Vec<Kind>>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    insecure: bool,
}

/// Reads the file, and those that it names. Paths in it are relative to its folder.
///
/// # Errors
/// [`HooksError`], naming file and webhook.
pub fn load(path: &Path) -> Result<Vec<Hook>, HooksError> {
    let text = read(path)?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        HooksError::Syntax {
            path: path.to_owned(),
            line: before.unwrap_or_default().matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })?;
    let count = file.webhook.len();
    if !(1..=HOOKS_MAX).contains(&count) {
        let path = path.to_owned();
        return Err(HooksError::Count { path, count });
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names = HashSet::new();
    let mut hooks = Vec::with_capacity(count);
    for written in file.webhook {
        let name = written.name.clone();
        let hook = hook(written, folder).and_then(|hook| {
            let first = names.insert(hook.name.clone());
            first
                .then_some(hook)
                .ok_or("there are two of this name".into())
        });
        hooks.push(hook.map_err(|message| HooksError::Hook {
            path: path.to_owned(),
            name,
            message,
        })?);
    }
    Ok(hooks)
}

fn hook(written: Written, folder: &Path) -> Result<Hook, String> {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    let name = written.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err("a name has 1 to 64 letters, digits, - and _".to_owned());
    }
    let secret = match (written.secret, written.secret_file) {
        (Some(secret), None) => secret,
        (None, Some(file)) => read(&folder.join(file))
            .map_err(|error| error.to_string())?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        _ => return Err("give either secret or secret_file".to_owned()),
    };
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
        return Err(format!(
            "its secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes: `openssl rand -hex 32` makes one"
        ));
    }
    let kinds: HashSet<Kind> = match written.kinds {
        None => Kind::ALL.into(),
        Some(kinds) if kinds.is_empty() => {
            return Err("its list of kinds is empty: without one it gets all".to_owned());
        }
        Some(kinds) => kinds.into_iter().collect(),
    };
    let ca = written.ca_file.map(|file| folder.join(file));
    let target = Target::new(&written.url, ca.as_deref(), written.insecure);
    let target = target.map_err(|error| match error {
        UrlError::Insecure(_) => format!("{error} (insecure = true)"),
        other => other.to_string(),
    })?;
    Ok(Hook {
        name,
        target,
        secret: secret.into_bytes().into(),
        kinds,
    })
}

fn read(path: &Path) -> Result<String, HooksError> {
    let failed = |source| HooksError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("it is larger than 1 MiB")));
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loaded(text: &str) -> Result<Vec<Hook>, String> {
        let folder = tempfile::tempdir().expect("scratch folder");
        fs::write(folder.path().join("key"), "a secret in a file\n").expect("write");
        let file = folder.path().join("webhooks.toml");
        fs::write(&file, text).expect("write");
        load(&file).map_err(|error| error.to_string())
    }

    const GOOD: &str = "[[webhook]]\nname = \"pager\"\nurl = \"http://127.0.0.1:1/x\"\n";

    #[test]
    fn secrets_stand_in_the_file_or_in_one_of_their_own() {
        let hooks = loaded(&format!(
            "{GOOD}secret = \"0123456789abcdef\"\nkinds = [\"agent.offline\", \"container.oom\"]\n\
             [[webhook]]\nname = \"chat\"\nurl = \"https://chat.example/\"\nsecret_file = \"key\"\n"
        ))
        .expect("valid");
        assert_eq!(hooks.len(), 2);
        assert_eq!(hooks[0].kinds.len(), 2);
        assert_eq!(&*hooks[1].secret, b"a secret in a file");
        assert_eq!(hooks[1].kinds.len(), Kind::ALL.len());
        assert!(!format!("{hooks:?}").contains("secret"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let secret = "secret = \"0123456789abcdef\"\n";
        for (text, said) in [
            (String::new(), "names 0 webhooks"),
            (GOOD.to_owned(), "either secret or secret_file"),
            (format!("{GOOD}secret = \"short\"\n"), "openssl rand"),
            (format!("{GOOD}{secret}kind = []\n"), ":5: unknown field"),
            (format!("{GOOD}{secret}kinds = []\n"), "gets all"),
            (
                format!("{GOOD}{secret}kinds = [\"all\"]\n"),
                "unknown variant",
            ),
            (format!("{GOOD}{secret}{GOOD}{secret}"), "two of this name"),
            (
                format!("{GOOD}{secret}").replace("127.0.0.1", "hooks.example"),
                "insecure = true",
            ),
            (format!("{GOOD}{secret}").replace("pager", "p g"), "letters"),
            (format!("{GOOD}secret_file = \"nowhere\"\n"), "nowhere"),
            (
                format!("{GOOD}{secret}ca_file = \"key\"\n").replace("http:", "https:"),
                "no certificate",
            ),
            (format!("{GOOD}{secret}").repeat(17), "names 17"),
        ] {
            let refused = loaded(&text).expect_err(said);
            assert!(refused.contains(said), "{refused}");
            assert!(!refused.contains("0123456789abcdef"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,300}") {
            let folder = tempfile::tempdir().expect("scratch folder");
            let file = folder.path().join("webhooks.toml");
            fs::write(&file, format!("{GOOD}{text}")).expect("write");
            let _ = load(&file);
        }
    }
}
