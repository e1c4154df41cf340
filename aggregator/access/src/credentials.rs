//! What a request shows: its `authorization` header and its session cookie.

use base64::Engine;

/// Longest header that is looked at.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// Name of the session's cookie.
pub const COOKIE: &str = "mesoscope_session";

/// What an `authorization` header holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// `Bearer TOKEN`.
    Token(String),
    /// `Basic ...` (RFC 7617).
    Password {
        /// The name, without a colon.
        name: String,
        /// The password, or a token.
        password: String,
    },
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => to.write_str("Token(***)"),
            Self::Password { name, .. } => write!(to, "Password({name:?}, ***)"),
        }
    }
}

impl Authorization {
    /// Nothing when it is neither of the two, or malformed.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > HEADER_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = header.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return (!rest.is_empty()).then(|| Self::Token(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = base64::engine::general_purpose::STANDARD.decode(rest);
        let pair = String::from_utf8(pair.ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        Some(Self::Password {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// The value of the session's cookie in a `cookie` header.
#[must_use]
pub fn session_cookie(header: &str) -> Option<&str> {
    cookie(header, COOKIE)
}

/// The value of the cookie of this name in a `cookie` header.
#[must_use]
pub fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn basic(pair: &str) -> String {
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Basic {pair}")
    }

    #[test]
    fn malformed_headers_are_nothing() {
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic",
            "Basic !!!",
            "Digest a",
            "Basic YQ==",
        ] {
            assert_eq!(Authorization::parse(bad), None, "{bad}");
        }
        let long = format!("Bearer {}", "a".repeat(9_000));
        assert_eq!(Authorization::parse(&long), None);
        let token = Authorization::parse("bearer  secret ");
        assert_eq!(token, Some(Authorization::Token("secret".to_owned())));
        assert!(!format!("{token:?}").contains("secret"));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let header = format!("a=b; {COOKIE}=abc;c");
        assert_eq!(session_cookie(&header), Some("abc"));
        assert_eq!(session_cookie(&format!("x{COOKIE}=abc")), None);
    }

    proptest! {
        #[test]
        fn a_password_may_hold_anything(name in "[^:\\x00]{0,20}", password in "\\PC{0,40}") {
            let parsed = Authorization::parse(&basic(&format!("{name}:{password}")));
            prop_assert_eq!(parsed, Some(Authorization::Password { name, password }));
        }

        #[test]
        fn any_header_is_parsed_or_nothing(header in "\\PC{0,80}|(Basic|Bearer) \\PC{0,40}") {
            let _ = Authorization::parse(&header);
            let _ = session_cookie(&header);
        }
    }
}
