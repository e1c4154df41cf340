//! Bearer tokens: kept as SHA-256 digests, compared in constant time, read from a file with one
//! token a line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};

/// Shortest token that is accepted, in bytes: shorter ones can be guessed.
pub const LENGTH_MIN: usize = 16;
/// Most tokens in a file.
pub const TOKENS_MAX: usize = 10_000;

/// Why a token file was refused. The text never holds a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read.
    #[error("can't read the token file {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No token in it.
    #[error("{path} holds no token: one a line, # begins a comment", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line that is no usable token.
    #[error("{path}:{line}: {message}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// The digest under which a token is kept.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tokens that a server accepts; follows its file.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    digests: RwLock<Vec<[u8; 32]>>,
}

impl Tokens {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TokenError`], naming file and line.
    pub fn load(path: &Path) -> Result<Arc<Self>, TokenError> {
        let digests = RwLock::new(digests(path)?);
        Ok(Arc::new(Self {
            path: path.to_owned(),
            digests,
        }))
    }

    /// Whether this token is one of them. Takes the same time whichever it is.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        let wanted = digest(token.as_bytes());
        self.any(|known| known.ct_eq(&wanted))
    }

    /// Whether `derive` of one of the digests is `wanted`, in the same constant time.
    #[must_use]
    pub fn contains_derived(
        &self,
        wanted: &[u8; 32],
        derive: impl Fn(&[u8; 32]) -> [u8; 32],
    ) -> bool {
        self.any(|known| derive(known).ct_eq(wanted))
    }

    fn any(&self, same: impl Fn(&[u8; 32]) -> subtle::Choice) -> bool {
        let digests = self.digests.read();
        let digests = digests.unwrap_or_else(std::sync::PoisonError::into_inner);
        digests
            .iter()
            .fold(subtle::Choice::from(0), |found, known| found | same(known))
            .into()
    }

    /// Reads the file again; on an error the old tokens stay.
    ///
    /// # Errors
    /// [`TokenError`], naming file and line.
    pub fn reload(&self) -> Result<bool, TokenError> {
        let fresh = digests(&self.path)?;
        let mut current = self
            .digests
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = *current != fresh;
        *current = fresh;
        Ok(changed)
    }

    /// Reloads every `period` until the drain.
    pub fn watch(self: &Arc<Self>, period: Duration, drain: CancellationToken) {
        let tokens = self.clone();
        tokio::spawn(async move {
            while drain
                .run_until_cancelled(tokio::time::sleep(period))
                .await
                .is_some()
            {
                match tokens.reload() {
                    Ok(true) => tracing::info!(file = %tokens.path.display(), "tokens changed"),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "token file changed and can't be used"),
                }
            }
        });
    }
}

fn digests(path: &Path) -> Result<Vec<[u8; 32]>, TokenError> {
    let tokens = lines(path)?;
    Ok(tokens
        .iter()
        .map(|token| digest(token.as_bytes()))
        .collect())
}

fn lines(path: &Path) -> Result<Vec<String>, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Read {
        path: path.to_owned(),
        source,
    })?;
    let refused = |line: usize, message: String| TokenError::Line {
        path: path.to_owned(),
        line,
        message,
    };
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let token = line
            .split_once(" #")
            .map_or(line, |(token, _)| token)
            .trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "a token is printable ASCII without blanks".to_owned();
            return Err(refused(index + 1, message));
        }
        if token.len() < LENGTH_MIN {
            let message = format!(
                "a token has at least {LENGTH_MIN} characters; make one with: head -c 32 /dev/urandom | base64"
            );
            return Err(refused(index + 1, message));
        }
        if tokens.len() == TOKENS_MAX {
            return Err(refused(index + 1, format!("more than {TOKENS_MAX} tokens")));
        }
        tokens.push(token.to_owned());
    }
    if tokens.is_empty() {
        return Err(TokenError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(tokens)
}

/// A client's token: added to every gRPC request as an interceptor, or by [`Bearer::header`].
#[derive(Clone)]
pub struct Bearer {
    value: MetadataValue<Ascii>,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Bearer(***)")
    }
}

impl Bearer {
    /// The first token of a file.
    ///
    /// # Errors
    /// [`TokenError`], naming file and line.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let token = lines(path)?.into_iter().next().unwrap_or_default();
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {token}")
                .parse()
                .map_err(|_| TokenError::Empty {
                    path: path.to_owned(),
                })?;
        value.set_sensitive(true);
        Ok(Self { value })
    }

    /// The value of the `authorization` header.
    #[must_use]
    pub fn header(&self) -> MetadataValue<Ascii> {
        self.value.clone()
    }
}

impl tonic::service::Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        request
            .metadata_mut()
            .insert("authorization", self.header());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("scratch file");
        std::fs::write(file.path(), text).expect("write");
        file
    }

    #[test]
    fn comments_and_blank_lines_are_no_tokens() {
        let file = file("# agents\n\n0123456789abcdef # first\n  fedcba9876543210\n");
        let tokens = Tokens::load(file.path()).expect("valid");
        assert!(tokens.contains("0123456789abcdef") && tokens.contains("fedcba9876543210"));
        for wrong in [
            "",
            "# agents",
            "0123456789abcde",
            "0123456789abcdef ",
            "first",
        ] {
            assert!(!tokens.contains(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_reload_takes_new_tokens_and_survives_a_broken_file() {
        let file = file("0123456789abcdef\n");
        let tokens = Tokens::load(file.path()).expect("valid");
        std::fs::write(file.path(), "short\n").expect("write");
        let error = tokens.reload().expect_err("too short").to_string();
        assert!(
            error.contains(":1:") && !error.contains("\"short\""),
            "{error}"
        );
        assert!(tokens.contains("0123456789abcdef"));
        std::fs::write(file.path(), "aaaaaaaaaaaaaaaaaaaa\n").expect("write");
        assert!(tokens.reload().expect("valid"));
        assert!(!tokens.contains("0123456789abcdef"));
    }

    #[test]
    fn useless_files_are_refused() {
        for text in ["", "# only\n", "short\n", "with blank inside it\n"] {
            assert!(Tokens::load(file(text).path()).is_err(), "{text:?}");
        }
        assert!(Bearer::load(Path::new("/nowhere")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn random_files_never_panic(text in "\\PC{0,80}") {
            let _ = Tokens::load(file(&text).path());
        }
    }
}
