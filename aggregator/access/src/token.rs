//! API tokens: `mesoscope_ID_SECRET`, the secret 256 random bits. Kept is the digest of the whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::role::Role;
use crate::secret::{self, SecretDigest};

const PREFIX: &str = "mesoscope_";
const ID_DIGITS: usize = 12;
const SECRET_DIGITS: usize = 64;
/// Bytes of a name at most.
pub const NAME_BYTES_MAX: usize = 64;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its id: 12 hex digits, part of the token's text.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made, milliseconds since 1970.
    pub created_unix_ms: u64,
    /// By whom.
    pub created_by: String,
    /// From when on it opens nothing, milliseconds since 1970.
    pub expires_unix_ms: u64,
}

impl Token {
    /// A new one, and its text, which nobody can tell again.
    #[must_use]
    pub fn make(
        name: &str,
        role: Role,
        created_by: &str,
        now_ms: u64,
        lives_ms: u64,
    ) -> (Self, String) {
        let id = secret::random_hex::<6>();
        let text = format!("{PREFIX}{id}_{}", secret::random_hex::<32>());
        let token = Self {
            id,
            name: name.to_owned(),
            role,
            created_unix_ms: now_ms,
            created_by: created_by.to_owned(),
            expires_unix_ms: now_ms.saturating_add(lives_ms),
        };
        (token, text)
    }

    /// Whether it still opens something.
    #[must_use]
    pub fn lives(&self, now_ms: u64) -> bool {
        now_ms < self.expires_unix_ms
    }
}

/// The id in a token's text, and the digest of the text; nothing for any other text.
#[must_use]
pub fn parse(text: &str) -> Option<(&str, SecretDigest)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let digits = |part: &str, count| part.len() == count && part.bytes().all(secret::is_lower_hex);
    (digits(id, ID_DIGITS) && digits(secret, SECRET_DIGITS)).then(|| (id, SecretDigest::of(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_its_text_and_no_other() {
        let (token, text) = Token::make("ci", Role::Viewer, "ada", 1_000, 500);
        let (id, digest) = parse(&text).expect("a token");
        assert_eq!(id, token.id);
        assert!(digest.is(&SecretDigest::of(&text)));
        let (_, other) = Token::make("ci", Role::Viewer, "ada", 1_000, 500);
        assert_ne!(text, other);
        assert!(token.lives(1_499) && !token.lives(1_500));
        let wrong = [
            text.to_uppercase(),
            format!("{text}0"),
            text.replace(PREFIX, ""),
            format!(" {text}"),
            text[..text.len() - 1].to_owned(),
        ];
        for wrong in wrong {
            assert!(parse(&wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_nothing(text in "\\PC{0,100}|mesoscope_[0-9a-f]{12}_[0-9a-g]{64}") {
            let parsed = parse(&text);
            if text.contains('g') {
                prop_assert!(parsed.is_none());
            }
            let _ = SecretDigest::from_hex(&text);
        }
    }
}
