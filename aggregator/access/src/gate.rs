//! Everything that somebody can sign in with here.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::book::TokenBook;
use crate::identity::How;
use crate::secret::SecretDigest;
use crate::sessions::{Credential, Sessions, SignedIn};
use crate::throttle::Throttle;
use crate::users::{User, Users};

/// API tokens, users, sessions, and failed sign-ins. Time is an argument.
#[derive(Debug)]
pub struct Gate {
    /// The API tokens.
    pub tokens: TokenBook,
    /// The users file.
    pub users: Option<Arc<Users>>,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
}

impl Gate {
    /// With these.
    #[must_use]
    pub fn new(tokens: TokenBook, users: Option<Arc<Users>>) -> Self {
        Self {
            tokens,
            users,
            sessions: Mutex::default(),
            throttle: Mutex::default(),
        }
    }

    /// Who has this API token.
    #[must_use]
    pub fn token(&self, text: &str, now_ms: u64) -> Option<SignedIn> {
        let token = self.tokens.find(text, now_ms)?;
        Some(SignedIn {
            name: token.name,
            role: token.role,
            how: How::ApiToken,
            credential: Credential::ApiToken(token.id),
        })
    }

    /// Who has this name and password. Takes tens of milliseconds, whether or not there is such a
    /// user.
    #[must_use]
    pub fn password(&self, name: &str, password: &str) -> Option<SignedIn> {
        let users = self.users.as_ref()?;
        let Some(user) = users.get(name) else {
            let _ = users.anyone().map(|user| user.verify(password));
            return None;
        };
        user.verify(password).then(|| Self::signed_in(name, &user))
    }

    fn signed_in(name: &str, user: &User) -> SignedIn {
        SignedIn {
            name: name.to_owned(),
            role: user.role,
            how: How::Password,
            credential: Credential::Password {
                name: name.to_owned(),
                hash: user.hash_digest(),
            },
        }
    }

    /// Begins a session; the secret is for its cookie.
    #[must_use]
    pub fn begin_session(&self, who: SignedIn, now_ms: u64) -> String {
        lock(&self.sessions).begin(who, now_ms)
    }

    /// Who has this session. What was signed in with must be good still, with the role that it has
    /// now; `in_token_file` tells it of tokens in files.
    #[must_use]
    pub fn session(
        &self,
        secret: &str,
        now_ms: u64,
        in_token_file: impl Fn(&SecretDigest) -> bool,
    ) -> Option<SignedIn> {
        let who = lock(&self.sessions).find(secret, now_ms)?;
        let now = match &who.credential {
            Credential::ApiToken(id) => {
                let token = self.tokens.get(id, now_ms)?;
                Some(SignedIn {
                    role: token.role,
                    ..who
                })
            }
            Credential::TokenFile(digest) => in_token_file(digest).then_some(who),
            Credential::Provider => Some(who),
            Credential::Password { name, hash } => {
                let user = self.users.as_ref()?.get(name)?;
                let same = user.hash_digest().is(hash);
                same.then(|| Self::signed_in(name, &user))
            }
        };
        if now.is_none() {
            lock(&self.sessions).end(secret);
        }
        now
    }

    /// Ends a session; whose it was.
    pub fn end_session(&self, secret: &str) -> Option<SignedIn> {
        lock(&self.sessions).end(secret)
    }

    /// How long this address has to wait before it may try a password, milliseconds.
    #[must_use]
    pub fn wait_ms(&self, from: IpAddr, now_ms: u64) -> Option<u64> {
        lock(&self.throttle).wait_ms(from, now_ms)
    }

    /// A sign-in from this address failed.
    pub fn failed(&self, from: IpAddr, now_ms: u64) {
        lock(&self.throttle).failed(from, now_ms);
    }

    /// What is bounded here: name, how much is used, how much there is at most.
    #[must_use]
    pub fn fill(&self) -> [(&'static str, usize, usize); 3] {
        let sessions = lock(&self.sessions);
        let throttle = lock(&self.throttle);
        [
            ("api_tokens", self.tokens.used(), self.tokens.limit()),
            ("sessions", sessions.used(), sessions.limit()),
            (
                "failed_sign_in_addresses",
                throttle.used(),
                throttle.limit(),
            ),
        ]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Wanted;
    use crate::role::Role;

    #[test]
    fn a_session_ends_with_what_it_was_begun_with() {
        let scratch = tempfile::tempdir().expect("scratch folder");
        let book = TokenBook::open(scratch.path()).expect("a new file");
        let gate = Gate::new(book, None);
        let wanted = Wanted {
            name: "ci",
            role: Role::Viewer,
            created_by: "ada",
            lives_ms: 5_000,
        };
        let (token, text) = gate.tokens.create(wanted, 0).expect("made");
        let none = |_: &SecretDigest| false;
        let who = gate.token(&text, 1).expect("it lives");
        let session = gate.begin_session(who.clone(), 1);
        assert_eq!(gate.session(&session, 2, none), Some(who.clone()));
        assert_eq!(
            gate.session(&session, 5_000, none),
            None,
            "the token expired"
        );
        let session = gate.begin_session(who, 1);
        gate.tokens.revoke(&token.id).expect("there");
        assert_eq!(
            gate.session(&session, 2, none),
            None,
            "the token is revoked"
        );
        let digest = SecretDigest::of("a token of a file");
        let of_file = SignedIn {
            name: "token file".to_owned(),
            role: Role::Operator,
            how: How::TokenFile,
            credential: Credential::TokenFile(digest),
        };
        let session = gate.begin_session(of_file.clone(), 1);
        assert_eq!(
            gate.session(&session, 2, |known| known.is(&digest)),
            Some(of_file)
        );
        assert_eq!(
            gate.session(&session, 2, none),
            None,
            "taken out of the file"
        );
        assert_eq!(gate.session(&session, 2, |_| true), None, "for good");
    }
}
