//! People with passwords: a file with `NAME:ROLE:HASH` a line, the hash as Argon2's PHC string.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use argon2::{Argon2, Params};

use crate::role::Role;
use crate::secret::SecretDigest;

/// Users in a file at most.
const USERS_MAX: usize = 10_000;
/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 64;
/// Memory that one verification may take, KiB: a hash that asks for more is refused.
const MEMORY_KIB_MAX: u32 = 256 << 10;
/// Passes over that memory.
const PASSES_MAX: u32 = 64;

/// Why a users file was refused. The text never holds a hash.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It can't be read.
    #[error("can't read the users file {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that names no user.
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

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The role.
    pub role: Role,
    hash: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "User({})", self.role)
    }
}

impl User {
    /// Whether this is the password. Takes tens of milliseconds of one core, on purpose.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let hash = PasswordHash::new(&self.hash);
        hash.is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    }

    /// Tells this password from a later one.
    #[must_use]
    pub fn hash_digest(&self) -> SecretDigest {
        SecretDigest::of(&self.hash)
    }
}

type ByName = BTreeMap<String, User>;

/// The users of a file; follows it.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    users: RwLock<Arc<ByName>>,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// [`UsersError`], naming file and line.
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        let users = RwLock::new(Arc::new(read(path)?));
        let path = path.to_owned();
        Ok(Self { path, users })
    }

    /// Reads it again, and whether it changed; on an error the old users stay.
    ///
    /// # Errors
    /// [`UsersError`], naming file and line.
    pub fn reload(&self) -> Result<bool, UsersError> {
        let fresh = read(&self.path)?;
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **users != fresh;
        *users = Arc::new(fresh);
        Ok(changed)
    }

    /// The user of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<User> {
        self.all().get(name).cloned()
    }

    /// Anyone: what a stranger's password is compared with, so that it takes as long.
    #[must_use]
    pub fn anyone(&self) -> Option<User> {
        self.all().values().next().cloned()
    }

    /// Whether one of them is admin.
    #[must_use]
    pub fn have_admin(&self) -> bool {
        self.all().values().any(|user| user.role == Role::Admin)
    }

    fn all(&self) -> Arc<ByName> {
        let users = self.users.read();
        users.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(path: &Path) -> Result<ByName, UsersError> {
    let text = std::fs::read_to_string(path).map_err(|source| UsersError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|(line, message)| UsersError::Line {
        path: path.to_owned(),
        line,
        message,
    })
}

fn parse(text: &str) -> Result<ByName, (usize, String)> {
    let mut users = ByName::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, user) = user(line).map_err(|message| (index + 1, message))?;
        if users.len() == USERS_MAX {
            return Err((index + 1, format!("at most {USERS_MAX} users")));
        }
        if users.insert(name.clone(), user).is_some() {
            return Err((index + 1, format!("{name:?} is there twice")));
        }
    }
    if users.is_empty() {
        let message = "no user in it: NAME:ROLE:HASH a line, # begins a comment";
        return Err((1, message.to_owned()));
    }
    Ok(users)
}

fn user(line: &str) -> Result<(String, User), String> {
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected NAME:ROLE:HASH".to_owned());
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    let role = role.parse::<Role>().map_err(|error| error.to_string())?;
    let parsed = PasswordHash::new(hash)
        .ok()
        .filter(|hash| hash.algorithm.as_str().starts_with("argon2") && hash.hash.is_some());
    let parameters = parsed.and_then(|hash| Params::try_from(&hash).ok());
    let parameters = parameters.ok_or(
        "the hash is no PHC string of Argon2 ($argon2id$v=19$m=...,t=...,p=...$SALT$HASH)",
    )?;
    if parameters.m_cost() > MEMORY_KIB_MAX || parameters.t_cost() > PASSES_MAX {
        return Err(format!(
            "the hash asks for more than {} MiB or {PASSES_MAX} passes",
            MEMORY_KIB_MAX >> 10
        ));
    }
    let hash = hash.to_owned();
    Ok((name.to_owned(), User { role, hash }))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, SaltString};
    use proptest::prelude::*;

    use super::*;

    fn hash(password: &str, kib: u32) -> String {
        let parameters = Params::new(kib, 1, 1, None).expect("valid");
        let salt = SaltString::encode_b64(b"eight by eight").expect("valid");
        Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            parameters,
        )
        .hash_password(password.as_bytes(), &salt)
        .expect("hashed")
        .to_string()
    }

    #[test]
    fn a_password_opens_and_no_other_does() {
        let file = tempfile::NamedTempFile::new().expect("scratch file");
        let text = format!("# people\nada:operator:{}\n", hash("correct horse", 8));
        std::fs::write(file.path(), &text).expect("write");
        let users = Users::load(file.path()).expect("valid");
        let ada = users.get("ada").expect("there");
        assert_eq!(ada.role, Role::Operator);
        assert!(ada.verify("correct horse"));
        for wrong in ["", "correct", "Correct horse", "correct horse "] {
            assert!(!ada.verify(wrong), "{wrong:?}");
        }
        assert_eq!(users.get("eve"), None);
        assert!(!users.have_admin());
        std::fs::write(file.path(), "nonsense").expect("write");
        let error = users.reload().expect_err("no user").to_string();
        assert!(error.contains(":1: expected NAME:ROLE:HASH"), "{error}");
        assert!(users.get("ada").is_some(), "the old ones stay");
        let text = text.replace("operator", "admin");
        std::fs::write(file.path(), text).expect("write");
        assert!(users.reload().expect("valid") && users.have_admin());
    }

    #[test]
    fn useless_lines_are_refused() {
        let good = hash("a", 8);
        let greedy = good.replace("m=8,", "m=4194304,");
        for bad in [
            String::new(),
            "ada".to_owned(),
            format!("ada:root:{good}"),
            format!(":viewer:{good}"),
            format!("{}:viewer:{good}", "a".repeat(65)),
            "ada:viewer:plain".to_owned(),
            "ada:viewer:$2y$05$abc".to_owned(),
            "ada:viewer:$argon2id$v=19$m=8,t=1,p=1".to_owned(),
            format!("ada:viewer:{greedy}"),
            format!("ada:viewer:{good}\nada:admin:{good}"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_parsed_or_refused(text in "\\PC{0,80}|ada:viewer:\\$argon2id\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
