//! Browsers that are signed in: in memory, bounded in number and time.

use std::collections::HashMap;

use crate::identity::How;
use crate::role::Role;
use crate::secret::{self, SecretDigest};

/// Sessions at most; the one that was not used for the longest time makes room.
const SESSIONS_MAX: usize = 1_000;
/// A session ends so long after the sign-in.
pub const SESSION_MS_MAX: u64 = 12 * 60 * 60 * 1_000;
/// A session ends when it was not used for so long.
const IDLE_MS_MAX: u64 = 2 * 60 * 60 * 1_000;

/// What somebody signed in with; the session ends when it is no longer good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API token, by its id.
    ApiToken(String),
    /// A token of a token file.
    TokenFile(SecretDigest),
    /// A user of the users file, by name and hash.
    Password {
        /// The name.
        name: String,
        /// The hash as it was at the sign-in.
        hash: SecretDigest,
    },
    /// What an OpenID Connect provider said then; it is not asked again.
    Provider,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The name of the identity.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// By what it was let in.
    pub how: How,
    /// What it showed.
    pub credential: Credential,
}

#[derive(Debug)]
struct Session {
    who: SignedIn,
    ends_ms: u64,
    used_ms: u64,
}

/// The sessions, by the digest of their secret.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: HashMap<SecretDigest, Session>,
}

impl Sessions {
    /// Begins one, and gives the secret for its cookie.
    pub fn begin(&mut self, who: SignedIn, now_ms: u64) -> String {
        self.sessions.retain(|_, session| session.lives(now_ms));
        if self.sessions.len() >= SESSIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, one)| one.used_ms);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                self.sessions.remove(&oldest);
            }
        }
        let secret = secret::random_hex::<32>();
        let session = Session {
            who,
            ends_ms: now_ms + SESSION_MS_MAX,
            used_ms: now_ms,
        };
        self.sessions.insert(SecretDigest::of(&secret), session);
        secret
    }

    /// Who has this secret.
    pub fn find(&mut self, secret: &str, now_ms: u64) -> Option<SignedIn> {
        // Looked up by digest: how long it takes tells nothing of a secret.
        let session = self.sessions.get_mut(&SecretDigest::of(secret))?;
        if !session.lives(now_ms) {
            return None;
        }
        session.used_ms = now_ms;
        Some(session.who.clone())
    }

    /// Ends one; whose it was.
    pub fn end(&mut self, secret: &str) -> Option<SignedIn> {
        let session = self.sessions.remove(&SecretDigest::of(secret));
        session.map(|session| session.who)
    }

    /// Sessions, ended ones that are still to be removed included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        SESSIONS_MAX
    }
}

impl Session {
    fn lives(&self, now_ms: u64) -> bool {
        now_ms < self.ends_ms && now_ms.saturating_sub(self.used_ms) < IDLE_MS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody() -> SignedIn {
        SignedIn {
            name: "ada".to_owned(),
            role: Role::Operator,
            how: How::ApiToken,
            credential: Credential::ApiToken("1".to_owned()),
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_old_or_ended() {
        let mut sessions = Sessions::default();
        let secret = sessions.begin(somebody(), 0);
        assert_eq!(sessions.find(&secret, 1), Some(somebody()));
        assert_eq!(sessions.find(&format!("{secret}0"), 1), None);
        let idle = sessions.begin(somebody(), 0);
        assert_eq!(sessions.find(&idle, IDLE_MS_MAX), None);
        let mut now_ms = 0;
        let used = sessions.begin(somebody(), 0);
        while sessions.find(&used, now_ms).is_some() {
            now_ms += IDLE_MS_MAX / 2;
        }
        assert_eq!(now_ms, SESSION_MS_MAX, "however much it is used");
        let ended = sessions.begin(somebody(), 0);
        assert_eq!(sessions.end(&ended), Some(somebody()));
        assert_eq!(sessions.find(&ended, 0), None);
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut sessions = Sessions::default();
        let first = sessions.begin(somebody(), 0);
        let second = sessions.begin(somebody(), 1);
        for now_ms in 2..SESSIONS_MAX as u64 {
            sessions.begin(somebody(), now_ms);
        }
        assert!(sessions.find(&first, 2_000).is_some());
        sessions.begin(somebody(), 2_001);
        assert_eq!(sessions.used(), sessions.limit());
        assert!(sessions.find(&first, 2_002).is_some());
        assert_eq!(sessions.find(&second, 2_002), None);
    }
}
