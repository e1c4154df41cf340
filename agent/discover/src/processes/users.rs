//! Names of user ids, by the host's `/etc/passwd`.

use std::path::PathBuf;
use std::time::SystemTime;

use rustc_hash::FxHashMap;

use crate::paths::Paths;

/// Users kept at most; a node with more shows numbers for the rest.
const USERS_MAX: usize = 16_384;

/// Names of user ids, by the host's `/etc/passwd`, read again when that file changes. A container
/// may know the same number by another name.
#[derive(Debug)]
pub struct UserNames {
    path: PathBuf,
    modified: Option<SystemTime>,
    names: FxHashMap<u32, String>,
}

impl UserNames {
    /// Knows nobody until [`refresh`](Self::refresh).
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            path: paths.in_host_root("/etc/passwd"),
            modified: None,
            names: FxHashMap::default(),
        }
    }

    /// Reads the file again if it has changed. One that cannot be read leaves what was known.
    pub fn refresh(&mut self) {
        let modified = std::fs::metadata(&self.path)
            .and_then(|metadata| metadata.modified())
            .ok();
        if modified.is_none() || modified == self.modified {
            return;
        }
        if let Ok(content) = std::fs::read(&self.path) {
            self.names = parse(&String::from_utf8_lossy(&content));
            self.modified = modified;
        }
    }

    /// The user's name, or empty.
    #[must_use]
    pub fn name(&self, uid: u32) -> &str {
        self.names.get(&uid).map_or("", String::as_str)
    }
}

/// `name:password:uid:...` a line; others are passed over. The first name of a number wins, as in
/// getpwuid(3).
fn parse(passwd: &str) -> FxHashMap<u32, String> {
    let mut names = FxHashMap::default();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let Ok(uid) = uid.parse() else { continue };
        if !name.is_empty() && names.len() < USERS_MAX {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_name_of_a_number_wins_and_bad_lines_are_passed_over() {
        let names =
            parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::\n+::::\nbad\nx:y:-1:\nwww:x:33:33");
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!(names.get(&33).map(String::as_str), Some("www"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn root_is_known_here() {
        let mut users = UserNames::new(&Paths::default());
        users.refresh();
        assert_eq!(users.name(0), "root");
        assert_eq!(users.name(u32::MAX - 7), "");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            parse(&text);
        }
    }
}
