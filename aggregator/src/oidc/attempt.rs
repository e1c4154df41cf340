//! What ties the provider's answer to the browser that asked.
//!
//! The browser keeps one random secret in a cookie. State, nonce and PKCE verifier are made of it
//! with a key that only this process has, so that nothing is kept for a sign-in under way, and
//! nobody can fill a table by beginning many.

use std::fmt::Write;

use mesoscope_access::secret::SecretDigest;
use ring::hmac;
use ring::rand::SystemRandom;

/// How long somebody may take at the provider, milliseconds.
pub const ATTEMPT_MS_MAX: u64 = 10 * 60 * 1_000;
/// Bytes of a cookie that is looked at.
const COOKIE_BYTES_MAX: usize = 100;

/// One sign-in under way.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What the browser keeps.
    pub cookie: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Attempt(***)")
    }
}

/// Makes attempts, and finds them again.
#[derive(Debug)]
pub(super) struct Attempts {
    key: hmac::Key,
}

impl Attempts {
    /// With a key of its own: attempts of another process are unknown.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { key })
    }

    pub(super) fn begin(&self, now_ms: u64) -> Attempt {
        let secret: [u8; 32] = rand::random();
        self.of(format!("{}.{now_ms}", hex(&secret)))
    }

    /// The attempt of this cookie, if the state is its own and it has not been too long.
    pub(super) fn find(&self, cookie: &str, state: &str, now_ms: u64) -> Option<Attempt> {
        if cookie.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let (_, begun_ms) = cookie.split_once('.')?;
        let age_ms = now_ms.checked_sub(begun_ms.parse().ok()?)?;
        let attempt = self.of(cookie.to_owned());
        let is_its_own = SecretDigest::of(&attempt.state).is(&SecretDigest::of(state));
        (is_its_own && age_ms < ATTEMPT_MS_MAX).then_some(attempt)
    }

    fn of(&self, cookie: String) -> Attempt {
        let derived = |what: &str| {
            let mut context = hmac::Context::with_key(&self.key);
            context.update(what.as_bytes());
            context.update(&[0]);
            context.update(cookie.as_bytes());
            hex(context.sign().as_ref())
        };
        Attempt {
            state: derived("state"),
            nonce: derived("nonce"),
            verifier: derived("verifier"),
            cookie,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_attempt_is_found_by_its_cookie_and_state_for_ten_minutes() {
        let attempts = Attempts::new().expect("random bytes");
        let (one, other) = (attempts.begin(1_000), attempts.begin(1_000));
        assert_ne!(one, other);
        let parts = [&one.state, &one.nonce, &one.verifier];
        assert!(
            parts.iter().all(|part| part.len() == 64),
            "RFC 7636: 43 to 128"
        );
        assert!(parts.iter().all(|part| !one.cookie.contains(*part)));
        assert_ne!(one.state, one.nonce);
        assert_ne!(one.nonce, one.verifier);
        let found = |now_ms| attempts.find(&one.cookie, &one.state, now_ms);
        assert_eq!(found(1_000), Some(one.clone()));
        assert_eq!(found(999 + ATTEMPT_MS_MAX), Some(one.clone()));
        assert_eq!(found(1_000 + ATTEMPT_MS_MAX), None);
        assert_eq!(found(999), None, "from the future");
        assert_eq!(attempts.find(&one.cookie, &other.state, 1_000), None);
        let later = one.cookie.replace(".1000", ".999999");
        assert_eq!(attempts.find(&later, &one.state, 1_000_000), None);
        let elsewhere = Attempts::new().expect("random bytes");
        assert_eq!(elsewhere.find(&one.cookie, &one.state, 1_000), None);
        assert!(!format!("{one:?}").contains(&one.cookie));
    }

    proptest! {
        #[test]
        fn any_cookie_and_state_are_nothing(cookie in "\\PC{0,120}|[0-9a-f]{64}\\.[0-9]{1,20}", state in "\\PC{0,80}") {
            let attempts = Attempts::new().expect("random bytes");
            prop_assert_eq!(attempts.find(&cookie, &state, 1_763_756_400_000), None);
        }
    }
}
