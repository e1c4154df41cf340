//! TLS from PEM files: rustls (ring) for what listens, tonic's configuration for what dials.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::token;

/// Why TLS could not be set up. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file can't be read.
    #[error("can't read the {what} {path}: {source}", path = path.display())]
    Read {
        /// "certificate", "private key", "client CA", "CA".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds nothing of the kind.
    #[error("{path} holds no {what} in PEM form ({message})", path = path.display())]
    Pem {
        /// As above.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// rustls refuses it, e.g. because key and certificate do not belong together.
    #[error("can't use {path}: {source}", path = path.display())]
    Rejected {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The client CA can't verify anyone.
    #[error("can't verify clients by {path}: {message}", path = path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        message: String,
    },
    /// Only one of two options that need each other.
    #[error("{0}")]
    Incomplete(String),
}

/// Files of a server.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// Certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// CA of client certificates; with it, clients may show one.
    pub client_ca: Option<PathBuf>,
    /// Refuse clients that show none (when nothing else authenticates them).
    pub client_required: bool,
}

impl ServerFiles {
    /// From the options `--tls-cert`, `--tls-key` and `--tls-client-ca`; `None` when none is set.
    ///
    /// # Errors
    /// When one is set without those that it needs.
    pub fn from_options(
        certificate: Option<&Path>,
        key: Option<&Path>,
        client_ca: Option<&Path>,
        client_required: bool,
    ) -> Result<Option<Self>, TlsError> {
        match (certificate, key, client_ca) {
            (Some(certificate), Some(key), client_ca) => Ok(Some(Self {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                client_ca: client_ca.map(Path::to_owned),
                client_required: client_required && client_ca.is_some(),
            })),
            (None, None, None) => Ok(None),
            (None, None, Some(_)) => Err(TlsError::Incomplete(
                "--tls-client-ca needs --tls-cert and --tls-key".to_owned(),
            )),
            _ => Err(TlsError::Incomplete(
                "--tls-cert and --tls-key need each other".to_owned(),
            )),
        }
    }
}

/// A server's TLS that follows its files, so that certificates are renewed without a restart.
#[derive(Debug)]
pub struct Server {
    files: ServerFiles,
    protocols: Vec<Vec<u8>>,
    current: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
}

impl Server {
    /// Reads the files. `protocols` are the ALPN names: `["h2"]` for gRPC, `["http/1.1"]` for a
    /// page.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn load(files: ServerFiles, protocols: &[&str]) -> Result<Arc<Self>, TlsError> {
        let protocols: Vec<Vec<u8>> = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let current = RwLock::new(build(&files, &protocols)?);
        Ok(Arc::new(Self {
            files,
            protocols,
            current,
        }))
    }

    /// The configuration as the files were last read.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.read();
        current
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .config
            .clone()
    }

    /// Reads the files again. New connections use what they hold now; on an error everything
    /// stays as it is.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let loaded = build(&self.files, &self.protocols)?;
        let mut current = self
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = loaded.digest != current.digest;
        if changed {
            *current = loaded;
        }
        Ok(changed)
    }

    /// Reloads every `period` until the drain.
    pub fn watch(self: &Arc<Self>, period: Duration, drain: CancellationToken) {
        let server = self.clone();
        tokio::spawn(async move {
            while drain
                .run_until_cancelled(tokio::time::sleep(period))
                .await
                .is_some()
            {
                match server.reload() {
                    Ok(true) => tracing::info!("TLS certificates were renewed"),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "TLS files changed and can't be used"),
                }
            }
        });
    }
}

fn build(files: &ServerFiles, protocols: &[Vec<u8>]) -> Result<Loaded, TlsError> {
    let certificate_pem = read("certificate", &files.certificate)?;
    let key_pem = read("private key", &files.key)?;
    let mut all = certificate_pem.clone();
    all.extend_from_slice(&key_pem);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let rejected = |source| TlsError::Rejected {
        path: files.certificate.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(rejected)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let pem = read("client CA", path)?;
            all.extend_from_slice(&pem);
            let mut roots = RootCertStore::empty();
            for certificate in certificates("client CA", path, &pem)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::Rejected {
                        path: path.clone(),
                        source,
                    })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if files.client_required {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            let verifier = verifier.build().map_err(|error| TlsError::Verifier {
                path: path.clone(),
                message: error.to_string(),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("certificate", &files.certificate, &certificate_pem)?;
    let key = private_key(&files.key, &key_pem)?;
    let mut config = builder.with_single_cert(chain, key).map_err(rejected)?;
    config.alpn_protocols = protocols.to_vec();
    Ok(Loaded {
        config: Arc::new(config),
        digest: token::digest(&all),
    })
}

/// What an agent or another client needs to dial a server with TLS.
///
/// Without `ca` the system's roots decide. `identity` is the client's certificate and key, for
/// servers that ask for one.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn client(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientTlsConfig, TlsError> {
    let mut config = ClientTlsConfig::new();
    config = match ca {
        None => config.with_native_roots(),
        Some(path) => {
            let pem = read("CA", path)?;
            certificates("CA", path, &pem)?;
            config.ca_certificate(Certificate::from_pem(pem))
        }
    };
    if let Some((certificate, key)) = identity {
        let certificate_pem = read("certificate", certificate)?;
        certificates("certificate", certificate, &certificate_pem)?;
        let key_pem = read("private key", key)?;
        private_key(key, &key_pem)?;
        config = config.identity(Identity::from_pem(certificate_pem, key_pem));
    }
    Ok(config)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

fn certificates(
    what: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |message: String| TlsError::Pem {
        what,
        path: path.to_owned(),
        message,
    };
    let list = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(error.to_string()))?;
    if list.is_empty() {
        return Err(malformed("no CERTIFICATE section".to_owned()));
    }
    Ok(list)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::Pem {
        what: "private key",
        path: path.to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("scratch folder");
            let files = Self { folder };
            files.renew();
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn renew(&self) {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])
                .expect("a certificate");
            std::fs::write(self.path("cert"), pair.cert.pem()).expect("write");
            std::fs::write(self.path("key"), pair.signing_key.serialize_pem()).expect("write");
        }

        fn server(&self) -> ServerFiles {
            ServerFiles {
                certificate: self.path("cert"),
                key: self.path("key"),
                client_ca: None,
                client_required: false,
            }
        }
    }

    fn refusal(files: ServerFiles) -> String {
        Server::load(files, &["h2"])
            .expect_err("must be refused")
            .to_string()
    }

    #[test]
    fn renewed_files_are_taken_and_broken_ones_are_not() {
        let files = Files::new();
        let server = Server::load(files.server(), &["h2"]).expect("valid files");
        assert!(!server.reload().expect("unchanged"));
        let before = server.config();
        files.renew();
        assert!(server.reload().expect("renewed"));
        assert!(!Arc::ptr_eq(&before, &server.config()));
        let good = server.config();
        std::fs::write(files.path("key"), "nonsense").expect("write");
        assert!(server.reload().is_err());
        assert!(Arc::ptr_eq(&good, &server.config()));
    }

    #[test]
    fn each_refusal_names_its_file() {
        let files = Files::new();
        let mut missing = files.server();
        missing.certificate = files.path("nowhere");
        assert!(refusal(missing).contains("nowhere"));
        let mut swapped = files.server();
        swapped.certificate = files.path("key");
        assert!(refusal(swapped).contains("holds no certificate"));
        let other = Files::new();
        let mut mixed = files.server();
        mixed.key = other.path("key");
        assert!(refusal(mixed).contains("can't use"));
        let error = client(Some(&files.path("key")), None)
            .expect_err("no CA")
            .to_string();
        assert!(error.contains("holds no CA"), "{error}");
    }

    #[test]
    fn half_given_options_are_refused() {
        let some = Some(Path::new("x"));
        assert!(ServerFiles::from_options(some, None, None, true).is_err());
        assert!(ServerFiles::from_options(None, None, some, true).is_err());
        assert!(matches!(
            ServerFiles::from_options(None, None, None, true),
            Ok(None)
        ));
    }
}
