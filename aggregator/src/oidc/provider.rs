//! The provider's documents, the exchange of a code, the ID token.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AdditionalClaims, AsyncHttpClient, AuthType, AuthenticationFlow,
    AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields,
    IdTokenVerifier, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};

use super::attempt::{Attempt, Attempts};
use super::claims::Person;
use super::file::Options;
use crate::outward::{SendError, Target, UrlError};

/// The provider's documents are read again after so long.
const DOCUMENTS_MS_MAX: u64 = 60 * 60 * 1_000;
/// For so long they are good while the provider does not answer.
const DOCUMENTS_MS_LAST: u64 = 24 * 60 * 60 * 1_000;
/// A provider that did not answer is not asked again before this.
const RETRY_MS_MIN: u64 = 5_000;
/// For a key that is not among the known ones they are read again, but not more often than this.
const ROTATION_MS_MIN: u64 = 1_000;
/// How far the two clocks may be apart.
const SKEW: Duration = Duration::from_secs(60);
/// How long one request to the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer of the provider.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Codes that are exchanged at the same time.
const EXCHANGES_MAX: usize = 8;
/// Bytes of a code that is passed on.
const CODE_BYTES_MAX: usize = 4 << 10;

/// Why a sign-in came to nothing. Holds nothing that opens anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It can't be asked, or its documents are none.
    #[error("the provider can't be asked: {0}")]
    Unreachable(String),
    /// It does not take the code, or not this client.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// What it says of the person can't be trusted.
    #[error("the provider's answer is not valid: {0}")]
    Invalid(String),
    /// The person is in no group that may sign in.
    #[error("{name} is in no group that has a role here")]
    NoRole {
        /// Whom the provider named.
        name: String,
    },
    /// It took too long, or another browser began it.
    #[error("this sign-in was not begun in this browser, or too long ago")]
    Expired,
    /// Too many at the same time.
    #[error("too many are signing in at this moment")]
    Busy,
}

/// Everything that is said of a person beside the standard claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Further(BTreeMap<String, Value>);

impl AdditionalClaims for Further {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Further,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type OidcClient = Client<
    Further,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that people sign in with.
#[derive(Debug)]
pub struct Provider {
    options: Options,
    redirect: RedirectUrl,
    issuer: IssuerUrl,
    attempts: Attempts,
    documents: Mutex<Documents>,
    exchanges: Semaphore,
    http: Http,
}

/// What the provider publishes, with its keys, as it was last read.
#[derive(Debug, Default)]
struct Documents {
    read: Option<(u64, Arc<CoreProviderMetadata>)>,
    failed: Option<(u64, ProviderError)>,
}

/// Our own client under the library. Redirects are not followed, so that nothing goes elsewhere than
/// where the provider says.
#[derive(Debug)]
struct Http {
    ca: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let target = Target::new(&head.uri.to_string(), self.ca.as_deref(), false)?;
            let body = Bytes::from(body);
            let asking = target.fetch(head.method, head.headers, body, ANSWER_BYTES_MAX, PATIENCE);
            let received = asking.await?;
            let mut answer = Response::new(received.body.to_vec());
            *answer.status_mut() = received.status;
            *answer.headers_mut() = received.headers;
            Ok(answer)
        })
    }
}

impl Provider {
    /// Nothing is asked yet: a provider that is away does not keep the aggregator from starting.
    ///
    /// # Errors
    /// When a URL can't be used, or there are no random bytes.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        Ok(Self {
            redirect: RedirectUrl::new(options.redirect_url.clone())?,
            issuer: IssuerUrl::new(options.issuer.clone())?,
            attempts: Attempts::new().map_err(|_| anyhow::anyhow!("no random bytes"))?,
            documents: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES_MAX),
            http: Http {
                ca: options.ca.clone(),
            },
            options,
        })
    }

    /// What the page calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// Whether somebody could be admin by it.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.options.mapping.has_admin()
    }

    /// Whether browsers come back by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.options.redirect_url.starts_with("https://")
    }

    /// Begins a sign-in: where the browser is to go, and what it is to keep.
    ///
    /// # Errors
    /// When the provider's documents can't be had.
    pub async fn begin(&self, now_ms: u64) -> Result<(String, Attempt), ProviderError> {
        let documents = self.documents(now_ms, None).await?;
        let attempt = self.attempts.begin(now_ms);
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let client = self.client(&documents);
        let scopes = self.options.scopes.iter().cloned().map(Scope::new);
        let (url, _, _) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        // A provider that names another kind of address must not get it opened.
        Target::new(url.as_str(), None, false)
            .map_err(|error| ProviderError::Unreachable(error.to_string()))?;
        Ok((url.into(), attempt))
    }

    /// The attempt that this browser began.
    ///
    /// # Errors
    /// [`ProviderError::Expired`].
    pub fn attempt(
        &self,
        cookie: &str,
        state: &str,
        now_ms: u64,
    ) -> Result<Attempt, ProviderError> {
        let found = self.attempts.find(cookie, state, now_ms);
        found.ok_or(ProviderError::Expired)
    }

    /// Who it is that the provider gave this code for.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn finish(
        &self,
        attempt: &Attempt,
        code: &str,
        now_ms: u64,
    ) -> Result<Person, ProviderError> {
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(ProviderError::Refused("it gave no code".to_owned()));
        }
        let _turn = self
            .exchanges
            .try_acquire()
            .map_err(|_| ProviderError::Busy)?;
        let documents = self.documents(now_ms, None).await?;
        let client = self.client(&documents);
        let exchange = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| ProviderError::Unreachable("it names no token endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()));
        let tokens = exchange
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                // The texts of the others may repeat what was answered.
                RequestTokenError::ServerResponse(said) => {
                    ProviderError::Refused(short(said.error().as_ref()))
                }
                RequestTokenError::Request(error) => ProviderError::Unreachable(error.to_string()),
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    ProviderError::Invalid("its tokens make no sense".to_owned())
                }
            })?;
        let (subject, mut claims) = self.identity(&documents, &tokens, attempt, now_ms).await?;
        if !self.options.mapping.is_told(&claims) {
            let more = self.user_info(&client, tokens.access_token(), &subject);
            for (name, value) in more.await? {
                claims.entry(name).or_insert(value);
            }
        }
        let person = self.options.mapping.person(&subject, &claims);
        person.map_err(|name| ProviderError::NoRole { name })
    }

    /// Subject and claims of the ID token. Keys change: for one that is not known the documents are
    /// read again.
    async fn identity(
        &self,
        documents: &CoreProviderMetadata,
        tokens: &Tokens,
        attempt: &Attempt,
        now_ms: u64,
    ) -> Result<(String, Map<String, Value>), ProviderError> {
        let invalid = |said: &str| ProviderError::Invalid(said.to_owned());
        let token = tokens.id_token();
        let token = token.ok_or_else(|| invalid("there is no ID token"))?;
        let nonce = Nonce::new(attempt.nonce.clone());
        let mut verified = token.claims(&self.verifier(documents, now_ms), &nonce);
        let fresh;
        if let Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
        )) = verified
        {
            fresh = self.documents(now_ms, Some(ROTATION_MS_MIN)).await?;
            verified = token.claims(&self.verifier(&fresh, now_ms), &nonce);
        }
        let claims = verified.map_err(|error| invalid(&short(&causes(&error))))?;
        Ok((claims.subject().to_string(), object(claims)))
    }

    /// What the provider tells of its own accord only where it is asked: the person must be the same.
    async fn user_info(
        &self,
        client: &OidcClient,
        token: &AccessToken,
        subject: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let subject = SubjectIdentifier::new(subject.to_owned());
        let Ok(request) = client.user_info(token.clone(), Some(subject)) else {
            return Ok(Map::new());
        };
        let claims: UserInfoClaims<Further, CoreGenderClaim> =
            request.request_async(&self.http).await.map_err(|error| {
                ProviderError::Invalid(format!("user info: {}", short(&causes(&error))))
            })?;
        Ok(object(&claims))
    }

    fn client(&self, documents: &CoreProviderMetadata) -> OidcClient {
        let secret = self.options.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.options.client_id.clone());
        let client = OidcClient::from_provider_metadata(documents.clone(), id, secret);
        let methods = documents.token_endpoint_auth_methods_supported();
        let in_the_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let shown = if in_the_body {
            AuthType::RequestBody
        } else {
            AuthType::BasicAuth
        };
        client
            .set_auth_type(shown)
            .set_redirect_uri(self.redirect.clone())
    }

    /// Takes signatures of the provider's published keys, and nothing that is made with a shared
    /// secret or not signed at all.
    fn verifier(
        &self,
        documents: &CoreProviderMetadata,
        now_ms: u64,
    ) -> IdTokenVerifier<'static, CoreJsonWebKey> {
        let id = ClientId::new(self.options.client_id.clone());
        let keys = documents.jwks().clone();
        let (earliest, latest) = (at(now_ms, -1), at(now_ms, 1));
        IdTokenVerifier::new_public_client(id, self.issuer.clone(), keys)
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha384,
                CoreJwsSigningAlgorithm::RsaSsaPssSha512,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .set_time_fn(move || earliest)
            .set_issue_time_verifier_fn(move |issued| {
                let ahead = format!("it was issued in the future, at {issued}: compare the clocks");
                (issued <= latest).then_some(()).ok_or(ahead)
            })
    }

    /// The provider's documents: those of before while they are good, and younger than
    /// `younger_ms` where it is given.
    async fn documents(
        &self,
        now_ms: u64,
        younger_ms: Option<u64>,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        // One asks; the others wait for what it finds.
        let mut documents = self.documents.lock().await;
        let age_ms = |then_ms: u64| now_ms.saturating_sub(then_ms);
        let good_ms = younger_ms.unwrap_or(DOCUMENTS_MS_MAX);
        let last = documents.read.clone();
        if let Some((_, known)) = last
            .as_ref()
            .filter(|(read_ms, _)| age_ms(*read_ms) < good_ms)
        {
            return Ok(known.clone());
        }
        let lasting = last.filter(|(read_ms, _)| age_ms(*read_ms) < DOCUMENTS_MS_LAST);
        let failed = documents.failed.clone();
        let failed = failed.filter(|(failed_ms, _)| age_ms(*failed_ms) < RETRY_MS_MIN);
        let error = match failed {
            Some((_, error)) => error,
            None => match self.discover().await {
                Ok(read) => {
                    let read = Arc::new(read);
                    documents.read = Some((now_ms, read.clone()));
                    documents.failed = None;
                    return Ok(read);
                }
                Err(error) => {
                    tracing::warn!(%error, issuer = self.options.issuer, "no sign-in by the provider");
                    documents.failed = Some((now_ms, error.clone()));
                    error
                }
            },
        };
        lasting.map(|(_, known)| known).ok_or(error)
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, ProviderError> {
        let read = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        read.map_err(|error| ProviderError::Unreachable(short(&causes(&error))))
    }
}

/// So many times the skew away from now.
fn at(now_ms: u64, times: i64) -> DateTime<Utc> {
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let skew_ms = i64::try_from(SKEW.as_millis()).unwrap_or(i64::MAX);
    let moved_ms = now_ms.saturating_add(times.saturating_mul(skew_ms));
    DateTime::from_timestamp_millis(moved_ms).unwrap_or(DateTime::UNIX_EPOCH)
}

fn object(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(claims)) => claims,
        _ => Map::new(),
    }
}

/// An error with what caused it, in one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What others wrote, for a log.
fn short(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(300).collect()
}
