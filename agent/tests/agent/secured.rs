//! The uplink with TLS: the aggregator is known by its CA, the agent by its token or certificate.

use std::path::Path;

use super::support::{Agent, Aggregator};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

struct Pki {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("made for this test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("made for this test"))
                .expect("made for this test");
        let folder = tempfile::tempdir().expect("made for this test");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("made for this test");
        Self { folder, authority }
    }

    /// Certificate and key in PEM, also as files NAME.pem and NAME.key.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned()]).expect("made for this test");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("made for this test");
        let certificate = params
            .signed_by(&key, &self.authority)
            .expect("made for this test")
            .pem();
        std::fs::write(self.path(&format!("{name}.pem")), &certificate)
            .expect("made for this test");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem())
            .expect("made for this test");
        (certificate, key.serialize_pem())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_and_a_token() {
    let pki = Pki::new();
    let (certificate, key) = pki.issue("server", ExtendedKeyUsagePurpose::ServerAuth);
    pki.issue("agent", ExtendedKeyUsagePurpose::ClientAuth);
    let token_file = pki.path("token");
    std::fs::write(&token_file, "0123456789abcdef0123\n").expect("made for this test");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(pki.authority.pem()));
    let (aggregator, port, _server) = Aggregator::start(Some(tls)).await;
    let (ca, own, own_key) = (
        pki.path("ca.pem"),
        pki.path("agent.pem"),
        pki.path("agent.key"),
    );
    let url = format!("https://localhost:{port}");
    // Without a certificate of its own it is not let in.
    let stranger = Agent::start(&url, &["--rung", "none", "--tls-ca", text(&ca)]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(aggregator.look(|heard| heard.hellos.len()), 0);
    drop(stranger);
    let args = [
        "--rung",
        "none",
        "--tls-ca",
        text(&ca),
        "--tls-cert",
        text(&own),
        "--tls-key",
        text(&own_key),
        "--token-file",
        text(&token_file),
    ];
    let agent = Agent::start(&url, &args);
    aggregator
        .wait("itself", |heard| (heard.snapshots > 0).then_some(()))
        .await;
    let authorization = aggregator.look(|heard| heard.authorization.clone());
    assert_eq!(
        authorization.as_deref(),
        Some("Bearer 0123456789abcdef0123")
    );
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_of_another_ca_gets_nothing() {
    let (theirs, ours) = (Pki::new(), Pki::new());
    let (certificate, key) = theirs.issue("server", ExtendedKeyUsagePurpose::ServerAuth);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    let (aggregator, port, _server) = Aggregator::start(Some(tls)).await;
    let ca = ours.path("ca.pem");
    let agent = Agent::start(
        &format!("https://localhost:{port}"),
        &["--rung", "none", "--tls-ca", text(&ca)],
    );
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(aggregator.look(|heard| heard.hellos.len()), 0);
    drop(agent);
}
