//! One HTTP/1.1 request to a server of somebody else: `https`, or `http` to loopback. Redirects are
//! answers like any other and are not followed, so that what is sent arrives where it was configured
//! to go, or nowhere.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Request, Uri, response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Why a URL can't be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is none.
    #[error("{0:?} is no URL (https://hooks.example/path)")]
    NotAUrl(String),
    /// Its scheme is another.
    #[error("{0:?} is neither https:// nor http://")]
    Scheme(String),
    /// A name and password, which would stand in logs.
    #[error("a URL can't hold a name and password here")]
    UserInfo,
    /// Others could read it on its way.
    #[error(
        "{0:?} is not https and not on this machine, so that anyone on the way can read what is sent: \
         use https, or say that it may be insecure"
    )]
    Insecure(String),
    /// Its certificates can't be read.
    #[error("can't use the CA {path}: {message}", path = path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// TLS can't be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server can't be reached.
    #[error("can't connect: {0}")]
    Connect(#[from] std::io::Error),
    /// A name that ought to be of this machine leads elsewhere.
    #[error("the name leads to no address of this machine")]
    NotLoopback,
    /// What it answers is no HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// It takes too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The answer was cut off, or there is more of it than is read.
    #[error("the answer breaks off or is longer than {0} bytes")]
    Body(usize),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When the server wants to be asked again.
    pub retry_after_ms: Option<u64>,
    /// Its beginning.
    pub text: String,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Received {
    /// Its status.
    pub status: axum::http::StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

/// A server and a path there.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    /// As the header has it.
    authority: HeaderValue,
    path: String,
    tls: Option<Arc<ClientConfig>>,
    /// Only addresses of this machine.
    loopback: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path may hold a secret of the receiver.
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

impl Target {
    /// Reads a URL. Plain `http` to another machine needs `insecure`. `ca` takes the place of the
    /// system's roots.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(url: &str, ca: Option<&Path>, insecure: bool) -> Result<Self, UrlError> {
        let bad = || UrlError::NotAUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().ok_or_else(bad)?;
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(bad());
        }
        let is_here = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if !is_tls && !is_here && !insecure {
            return Err(UrlError::Insecure(url.to_owned()));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            path: path.to_owned(),
            tls: is_tls.then(|| client_config(ca)).transpose()?,
            loopback: !is_tls && !insecure,
        })
    }

    /// Sends a body, and reads the beginning of the answer.
    ///
    /// # Errors
    /// [`SendError`], also when it takes longer than `patience` in all.
    pub async fn post(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, SendError> {
        let headers = headers.iter().cloned().collect();
        let asking = self.ask(Method::POST, headers, body, ANSWER_BYTES_MAX);
        let (head, text) = within(patience, asking).await?;
        // Only for a log: the status is what counts.
        let text = text.unwrap_or_default();
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after_ms: retry_after_ms(&head.headers),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Asks, and reads all of an answer of at most so many bytes.
    ///
    /// # Errors
    /// [`SendError`], also when it takes longer than `patience` in all.
    pub async fn fetch(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Received, SendError> {
        let asking = self.ask(method, headers, body, bytes_max);
        let (head, body) = within(patience, asking).await?;
        Ok(Received {
            status: head.status,
            headers: head.headers,
            body: body.ok_or(SendError::Body(bytes_max))?,
        })
    }

    async fn ask(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<(response::Parts, Option<Bytes>), SendError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // Parsed once already.
        *request.uri_mut() = self.path.parse().unwrap_or_default();
        *request.headers_mut() = headers;
        let fields = request.headers_mut();
        fields.insert(header::HOST, self.authority.clone());
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let agent = concat!("mesoscope-aggregator/", env!("CARGO_PKG_VERSION"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let stream = self.connect().await?;
        match &self.tls {
            None => exchange(stream, request, bytes_max).await,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone());
                let name = name.map_err(std::io::Error::other)?;
                let connector = TlsConnector::from(config.clone());
                exchange(connector.connect(name, stream).await?, request, bytes_max).await
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, SendError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let allowed = |address: &SocketAddr| !self.loopback || address.ip().is_loopback();
        let addresses: Vec<_> = found.filter(allowed).collect();
        if addresses.is_empty() {
            return Err(SendError::NotLoopback);
        }
        Ok(TcpStream::connect(&*addresses).await?)
    }
}

async fn within<T>(
    patience: Duration,
    asking: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    let asked = tokio::time::timeout(patience, asking).await;
    asked.map_err(|_| SendError::Late(patience))?
}

/// The answer; its body is none where it can't be read.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<(response::Parts, Option<Bytes>), SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    // Ends with this request, however that ends.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await?;
    let (head, body) = answer.into_parts();
    let read = Limited::new(body, bytes_max).collect().await;
    Ok((head, read.ok().map(|read| read.to_bytes())))
}

/// `Retry-After` in seconds; the form with a date is left to the usual waits.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, UrlError> {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    let roots = match ca {
        None => SYSTEM.get_or_init(system_roots).clone(),
        Some(path) => {
            let failed = |message: String| UrlError::Ca {
                path: path.to_owned(),
                message,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate in PEM form".to_owned()));
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's certificates can't be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_reads_on_the_way_is_taken_unless_it_is_said() {
        for good in [
            "http://127.0.0.1:9000/hook?a=1",
            "http://localhost/hook",
            "http://[::1]:9000",
            "https://hooks.example/mesoscope",
        ] {
            assert!(Target::new(good, None, false).is_ok(), "{good}");
        }
        let plain = "http://hooks.example/";
        assert!(matches!(
            Target::new(plain, None, false),
            Err(UrlError::Insecure(_))
        ));
        let named = Target::new(plain, None, true).expect("named insecure");
        assert!(!named.loopback);
        for bad in [
            "",
            "hooks.example",
            "/hook",
            "ftp://127.0.0.1/",
            "http://ada:secret@127.0.0.1/",
            "http:///hook",
            "http://127.0.0.1.example/",
        ] {
            assert!(Target::new(bad, None, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_the_path_is_printed() {
        let target = Target::new("http://127.0.0.1:9000/secret", None, false).expect("a URL");
        assert_eq!(format!("{target:?}"), "127.0.0.1:9000");
    }

    #[test]
    fn a_server_says_when_to_come_back_in_seconds() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after_ms(&headers), None);
        for (text, expected) in [
            ("120", Some(120_000)),
            ("-1", None),
            ("99999999999999999999", None),
            ("18446744073709551615", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ] {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after_ms(&headers), expected, "{text}");
        }
    }
}
