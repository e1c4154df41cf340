//! Who may come in: a bearer token or a verified client certificate, for gRPC and HTTP alike.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;

use crate::listen::Peer;
use crate::token::{self, Tokens};

/// Name of the cookie that keeps a browser signed in (a WebSocket sends no password).
pub const COOKIE: &str = "mesoscope_session";

/// What a request must show. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    tokens: Option<Arc<Tokens>>,
    certificates: bool,
    // Made at the start: sessions end with the process.
    salt: [u8; 32],
}

/// By what a request was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// Nothing is asked for.
    Open,
    /// A token.
    Token,
    /// A client certificate, by its SHA-256 in hex.
    Certificate(String),
}

/// Not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error("authentication is needed: a bearer token or a client certificate")]
    Missing,
    /// A token that is not known.
    #[error("the token is not known here")]
    Unknown,
}

impl Access {
    /// Lets in who shows one of `tokens` or, when `certificates`, a client certificate that the
    /// TLS layer verified. With neither configured it lets in everyone.
    #[must_use]
    pub fn new(tokens: Option<Arc<Tokens>>, certificates: bool) -> Self {
        Self {
            tokens,
            certificates,
            salt: rand::random(),
        }
    }

    /// Whether anything is asked for.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.tokens.is_some() || self.certificates
    }

    /// Decides on one request by its `authorization` header and its connection.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn admit(
        &self,
        authorization: Option<&str>,
        peer: Option<&Peer>,
    ) -> Result<Admitted, Denied> {
        if !self.is_required() {
            return Ok(Admitted::Open);
        }
        if self.certificates
            && let Some(certificate) = peer.and_then(|peer| peer.certificate.clone())
        {
            return Ok(Admitted::Certificate(certificate));
        }
        let token = authorization.and_then(presented).ok_or(Denied::Missing)?;
        match &self.tokens {
            Some(tokens) if tokens.contains(&token) => Ok(Admitted::Token),
            _ => Err(Denied::Unknown),
        }
    }

    /// Whether the token with this SHA-256 digest is one of the tokens.
    #[must_use]
    pub fn knows(&self, token_digest: &[u8; 32]) -> bool {
        let tokens = self.tokens.as_ref();
        tokens.is_some_and(|tokens| tokens.contains_derived(token_digest, |known| *known))
    }

    fn admit_http(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Admitted, Denied> {
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        self.admit(authorization, peer).or_else(|denied| {
            let session = cookie(headers).and_then(unhex).ok_or(denied)?;
            let tokens = self.tokens.as_ref().ok_or(denied)?;
            tokens
                .contains_derived(&session, |known| self.session(known))
                .then_some(Admitted::Token)
                .ok_or(denied)
        })
    }

    fn session(&self, token_digest: &[u8; 32]) -> [u8; 32] {
        token::digest(&[self.salt, *token_digest].concat())
    }

    /// A gRPC interceptor that refuses with UNAUTHENTICATED and leaves an [`Admitted`] in the
    /// request's extensions.
    pub fn interceptor(&self) -> impl tonic::service::Interceptor + Clone + use<> {
        let access = self.clone();
        move |mut request: tonic::Request<()>| {
            let authorization = request.metadata().get("authorization");
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let admitted = access
                .admit(authorization, request.extensions().get::<Peer>())
                .map_err(|denied| tonic::Status::unauthenticated(denied.to_string()))?;
            request.extensions_mut().insert(admitted);
            Ok(request)
        }
    }
}

/// An axum middleware (`axum::middleware::from_fn_with_state(access, access::http)`): refuses with
/// 401, and keeps a browser signed in with a cookie.
pub async fn http(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let peer = peer.map(|info| info.0.clone());
    let admitted = match access.admit_http(request.headers(), peer.as_ref()) {
        Ok(admitted) => admitted,
        Err(denied) => return refuse(denied),
    };
    let set_cookie = (admitted == Admitted::Token && cookie(request.headers()).is_none())
        .then(|| request.headers().get(header::AUTHORIZATION)?.to_str().ok())
        .flatten()
        .and_then(presented)
        .map(|token| {
            let session = access.session(&token::digest(token.as_bytes()));
            let secure = if peer.is_some_and(|peer| peer.tls) {
                "; Secure"
            } else {
                ""
            };
            let session = token::hex(&session);
            format!("{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/{secure}")
        });
    request.extensions_mut().insert(admitted);
    let mut response = next.run(request).await;
    if let Some(value) = set_cookie.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

fn refuse(denied: Denied) -> Response {
    let body = serde_json::json!({
        "error": denied.to_string(),
        "hint": "send `Authorization: Bearer TOKEN`, or sign in with any user name and the token as password",
    });
    let challenge = [
        (
            header::WWW_AUTHENTICATE,
            "Basic realm=\"mesoscope\", charset=\"UTF-8\"",
        ),
        (header::CONTENT_TYPE, "application/json"),
    ];
    (StatusCode::UNAUTHORIZED, challenge, body.to_string()).into_response()
}

/// The token of a Bearer header, or the password of a Basic one (RFC 7617).
fn presented(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = base64::engine::general_purpose::STANDARD
        .decode(rest)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(certificates: bool) -> Access {
        let file = tempfile::NamedTempFile::new().expect("scratch file");
        std::fs::write(file.path(), TOKEN).expect("write");
        let tokens = Tokens::load(file.path()).expect("valid");
        Access::new(Some(tokens), certificates)
    }

    fn peer(certificate: Option<&str>) -> Peer {
        Peer {
            address: "10.0.0.1:1".parse().expect("literal"),
            tls: true,
            certificate: certificate.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_or_a_certificate_opens_and_nothing_else() {
        let both = access(true);
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("any:{TOKEN}"));
        for good in [
            format!("Bearer {TOKEN}"),
            format!("bearer  {TOKEN}"),
            format!("Basic {basic}"),
        ] {
            assert_eq!(both.admit(Some(&good), None), Ok(Admitted::Token), "{good}");
        }
        let shown = both.admit(None, Some(&peer(Some("ab"))));
        assert_eq!(shown, Ok(Admitted::Certificate("ab".to_owned())));
        assert_eq!(both.admit(None, Some(&peer(None))), Err(Denied::Missing));
        assert!(both.knows(&token::digest(TOKEN.as_bytes())));
        assert!(!both.knows(&token::digest(b"x")));
        for bad in ["Bearer x", "Bearer", "Basic !!!", "Digest a", ""] {
            assert!(both.admit(Some(bad), None).is_err(), "{bad}");
        }
        // A certificate counts only where a client CA is configured.
        assert!(access(false).admit(None, Some(&peer(Some("ab")))).is_err());
        assert_eq!(
            Access::new(None, false).admit(None, None),
            Ok(Admitted::Open)
        );
    }

    #[test]
    fn a_session_cookie_opens_only_in_the_process_that_made_it() {
        let access = access(false);
        let session = token::hex(&access.session(&token::digest(TOKEN.as_bytes())));
        let mut headers = HeaderMap::new();
        let value = format!("a=b; {COOKIE}={session}");
        headers.insert(header::COOKIE, value.parse().expect("a header"));
        assert_eq!(access.admit_http(&headers, None), Ok(Admitted::Token));
        let other = Access {
            salt: [0; 32],
            ..access
        };
        assert_eq!(other.admit_http(&headers, None), Err(Denied::Missing));
    }

    proptest::proptest! {
        #[test]
        fn random_headers_never_panic_nor_open(text in "\\PC{0,80}", hex in "\\PC{64}") {
            proptest::prop_assert!(access(false).admit(Some(&text), None).is_err());
            let _ = unhex(&hex);
        }
    }
}
