//! Who a request comes from: the middleware that lets in or refuses, for HTTP and gRPC.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mesoscope_access::credentials::{self, Authorization};
use mesoscope_access::secret::SecretDigest;
use mesoscope_access::sessions::{Credential, SignedIn};
use mesoscope_access::{Gate, How, Identity, Role};
use mesoscope_service::access::{Access, Admitted};
use mesoscope_service::listen::{Peer, Posture};
use tokio::sync::Semaphore;

use super::Api;
use super::error::ApiError;
use super::security;
use crate::core::Core;
use crate::oidc::Provider;

/// Passwords that are verified at the same time: each takes a core and some memory.
const VERIFYING_MAX: usize = 2;

/// All that somebody may sign in with, and who everyone is where nothing is configured.
#[derive(Debug)]
pub struct SignIn {
    /// API tokens, users, sessions.
    pub gate: Gate,
    provider: Option<Provider>,
    files: Access,
    file_role: Role,
    required: bool,
    posture: Posture,
    verifying: Semaphore,
}

/// Not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing was shown.
    Missing,
    /// It opens nothing.
    Wrong,
    /// Too many that opened nothing came from there; so long to wait.
    TooOften { wait_ms: u64 },
    /// A session's cookie, in a request that the page did not make.
    OtherOrigin,
}

impl SignIn {
    /// `files`: token files and client certificates; `file_role` is what those tokens may do.
    /// Everyone has to sign in where `required`, or where `files` asks for something.
    #[must_use]
    pub fn new(
        gate: Gate,
        files: Access,
        file_role: Role,
        required: bool,
        posture: Posture,
    ) -> Self {
        Self {
            required: required || files.is_required(),
            gate,
            provider: None,
            files,
            file_role,
            posture,
            verifying: Semaphore::new(VERIFYING_MAX),
        }
    }

    /// With a provider whose people may sign in; everyone then has to.
    #[must_use]
    pub fn with_provider(self, provider: Provider) -> Self {
        Self {
            provider: Some(provider),
            required: true,
            ..self
        }
    }

    /// The provider, where there is one.
    #[must_use]
    pub fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    /// Whether everyone has to sign in.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Who everyone is where nobody has to sign in.
    fn everyone(&self, from: IpAddr) -> Identity {
        match self.posture {
            Posture::Loopback => Identity::loopback(Some(from)),
            Posture::Secured | Posture::Insecure => Identity::open(Some(from)),
        }
    }

    /// Who has this token, of whichever kind.
    fn token(&self, token: &str, now_ms: u64) -> Option<SignedIn> {
        self.gate.token(token, now_ms).or_else(|| {
            let digest = SecretDigest::of(token);
            self.files.knows(digest.bytes()).then(|| SignedIn {
                name: "token file".to_owned(),
                role: self.file_role,
                how: How::TokenFile,
                credential: Credential::TokenFile(digest),
            })
        })
    }

    /// Who shows this; wrong ones are counted.
    pub(super) async fn shown(
        self: &Arc<Self>,
        authorization: Authorization,
        from: IpAddr,
        now_ms: u64,
    ) -> Result<SignedIn, Refused> {
        let found = match &authorization {
            Authorization::Token(token) => self.token(token, now_ms),
            // A token may stand in place of the password.
            Authorization::Password { password, .. } => self.token(password, now_ms),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        // Guessing goes on slowly: what is shown is not even looked at before.
        if let Some(wait_ms) = self.gate.wait_ms(from, now_ms) {
            return Err(Refused::TooOften { wait_ms });
        }
        if let Authorization::Password { name, password } = authorization
            && self.gate.users.is_some()
        {
            let _turn = self.verifying.acquire().await;
            let sign_in = self.clone();
            let verified =
                tokio::task::spawn_blocking(move || sign_in.gate.password(&name, &password)).await;
            if let Ok(Some(found)) = verified {
                return Ok(found);
            }
        }
        self.gate.failed(from, now_ms);
        tracing::warn!(%from, "a sign-in failed");
        Err(Refused::Wrong)
    }

    async fn identify(
        self: &Arc<Self>,
        request: &RequestHead,
        peer: &Peer,
        now_ms: u64,
    ) -> Result<Identity, Refused> {
        let from = peer.address.ip().to_canonical();
        if !self.required {
            return Ok(self.everyone(from));
        }
        if let Some(header) = &request.authorization {
            let authorization = Authorization::parse(header).ok_or(Refused::Wrong)?;
            let who = self.shown(authorization, from, now_ms).await?;
            return Ok(identity(who, from));
        }
        if let Some(secret) = &request.session {
            let known = |digest: &SecretDigest| self.files.knows(digest.bytes());
            if let Some(who) = self.gate.session(secret, now_ms, known) {
                // The browser sends the cookie by itself: that the page asked must be seen.
                if request.acts && !request.by_own_page {
                    return Err(Refused::OtherOrigin);
                }
                return Ok(identity(who, from));
            }
        }
        self.certificate(peer).ok_or(Refused::Missing)
    }

    /// Agents have certificates of the same CA: they open the map and control nothing.
    fn certificate(&self, peer: &Peer) -> Option<Identity> {
        match self.files.admit(None, Some(peer)) {
            Ok(Admitted::Certificate(digest)) => Some(Identity {
                name: format!("certificate {}", digest.get(..16).unwrap_or(&digest)),
                role: Role::Viewer,
                how: How::Certificate,
                from: Some(peer.address.ip().to_canonical()),
            }),
            _ => None,
        }
    }

    /// A gRPC interceptor that refuses with UNAUTHENTICATED and leaves an [`Identity`] in the
    /// request's extensions. Takes tokens and certificates, no passwords.
    pub fn interceptor(
        self: &Arc<Self>,
        core: Arc<Core>,
    ) -> impl tonic::service::Interceptor + Clone + use<> {
        let sign_in = self.clone();
        move |mut request: tonic::Request<()>| {
            let header = request.metadata().get("authorization");
            let shown = header.and_then(|value| Authorization::parse(value.to_str().ok()?));
            let peer = request.extensions().get::<Peer>().cloned();
            let from = peer.as_ref().map(|peer| peer.address.ip().to_canonical());
            let token = match &shown {
                Some(
                    Authorization::Token(token)
                    | Authorization::Password {
                        password: token, ..
                    },
                ) => sign_in.token(token, core.now_ms()),
                None => None,
            };
            let found = match (token, peer) {
                (Some(who), _) => Some(Identity {
                    from,
                    ..Identity::from(who)
                }),
                (None, Some(peer)) if !sign_in.required => {
                    Some(sign_in.everyone(peer.address.ip().to_canonical()))
                }
                (None, Some(peer)) => sign_in.certificate(&peer),
                (None, None) => None,
            };
            let refused = || {
                tonic::Status::unauthenticated(
                    "authentication is needed: a bearer token or a client certificate",
                )
            };
            request.extensions_mut().insert(found.ok_or_else(refused)?);
            Ok(request)
        }
    }
}

fn identity(who: SignedIn, from: IpAddr) -> Identity {
    Identity {
        from: Some(from),
        ..Identity::from(who)
    }
}

/// What let a request in: asked again while it lives long.
#[derive(Clone)]
pub(super) struct LetInBy {
    head: RequestHead,
    peer: Peer,
}

impl LetInBy {
    /// Whether it would still let in: tokens expire and are revoked, sessions end.
    pub(super) async fn still_holds(&self, api: &Api) -> bool {
        let now_ms = api.core.now_ms();
        let identified = api.sign_in.identify(&self.head, &self.peer, now_ms).await;
        identified.is_ok()
    }

    /// Whether it would still let in somebody who may act so.
    pub(super) async fn still_has(&self, role: Role, api: &Api) -> bool {
        let now_ms = api.core.now_ms();
        let identified = api.sign_in.identify(&self.head, &self.peer, now_ms).await;
        identified.is_ok_and(|identity| identity.require(role).is_ok())
    }
}

/// What of a request tells who it comes from.
#[derive(Clone)]
struct RequestHead {
    authorization: Option<String>,
    session: Option<String>,
    /// It may change something.
    acts: bool,
    by_own_page: bool,
}

impl RequestHead {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        let text = |name| headers.get(name).map(|value| value.to_str());
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let told = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        let host = security::host(request);
        Self {
            // What can't be read is no credential, and not nothing either.
            authorization: text(header::AUTHORIZATION)
                .map(|text| text.unwrap_or_default().to_owned()),
            session: session(headers),
            acts: !reads || headers.contains_key(header::UPGRADE),
            by_own_page: told && security::is_same_origin(headers, host.as_deref()),
        }
    }
}

/// The secret of the session that a request shows.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|value| credentials::session_cookie(value.to_str().ok()?))
        .next()
        .map(str::to_owned)
}

/// The middleware: leaves an [`Identity`] in the request's extensions, or refuses.
pub(super) async fn identify(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let head = RequestHead::of(&request);
    match api.sign_in.identify(&head, &peer, api.core.now_ms()).await {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            request.extensions_mut().insert(LetInBy { head, peer });
            next.run(request).await
        }
        Err(refused) => answer(&api, refused, request.headers()),
    }
}

/// 401, 403 or 429 as JSON.
pub(super) fn answer(api: &Api, refused: Refused, headers: &HeaderMap) -> Response {
    let how = "sign in at the page, or send `Authorization: Bearer TOKEN`";
    let (reason, status, error, hint) = match refused {
        Refused::Missing => (
            "unauthenticated",
            StatusCode::UNAUTHORIZED,
            "authentication is needed",
            how,
        ),
        Refused::Wrong => (
            "unauthenticated",
            StatusCode::UNAUTHORIZED,
            "what was shown opens nothing here: it is unknown, has expired or was revoked",
            how,
        ),
        Refused::TooOften { .. } => (
            "throttled",
            StatusCode::TOO_MANY_REQUESTS,
            "too many failed sign-ins from this address",
            "wait as long as Retry-After says, in seconds",
        ),
        Refused::OtherOrigin => (
            "origin",
            StatusCode::FORBIDDEN,
            "a session acts only for this aggregator's own page",
            "programs send a token in place of the cookie",
        ),
    };
    let refusals = &api.metrics.refused_requests;
    refusals.with_label_values(&[reason]).inc();
    let mut response = ApiError::new(status, error, hint).into_response();
    let answered = response.headers_mut();
    match refused {
        Refused::Missing | Refused::Wrong => {
            // The page has its own dialog: browsers are asked to show theirs only where somebody
            // opens an address by hand.
            let mode = headers.get("sec-fetch-mode");
            let challenge = if mode.is_none_or(|mode| mode == "navigate") {
                "Basic realm=\"mesoscope\", charset=\"UTF-8\""
            } else {
                "Bearer realm=\"mesoscope\""
            };
            answered.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        Refused::TooOften { wait_ms } => {
            answered.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait_ms.div_ceil(1_000)),
            );
        }
        Refused::OtherOrigin => {}
    }
    response
}
