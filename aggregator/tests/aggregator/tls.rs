//! TLS, tokens and client certificates on both ports.

use std::path::PathBuf;
use std::sync::Arc;

use mesoscope_proto::v1::ListAgentsRequest;
use mesoscope_proto::v1::observe_client::ObserveClient;
use mesoscope_proto::v1::uplink_client::UplinkClient;
use mesoscope_service::tls;
use mesoscope_service::token::Bearer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Status};

use super::agent::{Agent, hello};
use super::binary::{Aggregator, Answer, exchange};

const AGENT_TOKEN: &str = "agents-token-0123456789";
const USER_TOKEN: &str = "users-token-0123456789";

/// A CA, a server's certificate, a client's, and token files.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("scratch folder");
        let keys = Self { folder };
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, ca_key).expect("a CA");
        keys.write("ca.crt", &ca.pem());
        for (name, subject) in [("server", "localhost"), ("client", "agent")] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![subject.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &ca).expect("signed");
            keys.write(&format!("{name}.crt"), &certificate.pem());
            keys.write(&format!("{name}.key"), &key.serialize_pem());
        }
        keys.write("agents.tokens", &format!("# agents\n{AGENT_TOKEN}\n"));
        keys.write("users.tokens", &format!("{USER_TOKEN}\n"));
        keys.write("wrong.tokens", "some-other-token-012345\n");
        keys
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("write");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path").to_owned()
    }

    fn start(&self, more: &[&str]) -> Aggregator {
        let (certificate, key) = (self.text("server.crt"), self.text("server.key"));
        let mut args = vec!["--tls-cert", &certificate, "--tls-key", &key];
        args.extend(more);
        Aggregator::start(&args)
    }

    fn trust(&self, ca: &Keys) -> ClientTlsConfig {
        tls::client(Some(&ca.path("ca.crt")), None).expect("a CA")
    }

    fn certified(&self, ca: &Keys) -> ClientTlsConfig {
        let identity = (self.path("client.crt"), self.path("client.key"));
        let identity = (identity.0.as_path(), identity.1.as_path());
        tls::client(Some(&ca.path("ca.crt")), Some(identity)).expect("files")
    }

    fn bearer(&self, name: &str) -> Bearer {
        Bearer::load(&self.path(name)).expect("a token")
    }
}

async fn agent(
    aggregator: &Aggregator,
    tls: ClientTlsConfig,
    bearer: Option<Bearer>,
) -> Result<(), Status> {
    let uri = format!("https://localhost:{}", aggregator.grpc.port());
    let endpoint = Channel::from_shared(uri)
        .expect("a URI")
        .tls_config(tls)
        .expect("TLS");
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| Status::unavailable(format!("{error:?}")))?;
    let opened = match bearer {
        Some(bearer) => {
            Agent::open(
                UplinkClient::with_interceptor(channel, bearer),
                hello("a", 1, 0),
            )
            .await
        }
        None => Agent::open(UplinkClient::new(channel), hello("a", 1, 0)).await,
    };
    opened.map(|_| ())
}

async fn get(aggregator: &Aggregator, ca: &Keys, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(aggregator, ca, "GET", path, headers, "").await
}

async fn request(
    aggregator: &Aggregator,
    ca: &Keys,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(ca.path("ca.crt")).expect("a CA");
    roots.add(ca).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(aggregator.http)
        .await
        .expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .expect("TLS");
    exchange(stream, method, path, headers, body).await
}

#[tokio::test]
async fn agents_show_a_token() {
    let keys = Keys::new();
    let tokens = keys.text("agents.tokens");
    let aggregator = keys.start(&["--host=0.0.0.0", "--agent-token-file", &tokens]);
    let good = agent(
        &aggregator,
        keys.trust(&keys),
        Some(keys.bearer("agents.tokens")),
    )
    .await;
    good.expect("the right token");
    let none = agent(&aggregator, keys.trust(&keys), None)
        .await
        .expect_err("no token");
    assert_eq!(none.code(), Code::Unauthenticated, "{none}");
    let wrong = agent(
        &aggregator,
        keys.trust(&keys),
        Some(keys.bearer("wrong.tokens")),
    )
    .await;
    assert_eq!(
        wrong.expect_err("a wrong token").code(),
        Code::Unauthenticated
    );
    // A server that can't prove itself gets no token either.
    let stranger = Keys::new();
    let refused = agent(
        &aggregator,
        keys.trust(&stranger),
        Some(keys.bearer("agents.tokens")),
    )
    .await;
    assert_eq!(refused.expect_err("another CA").code(), Code::Unavailable);
    let plain = Channel::from_shared(format!("http://localhost:{}", aggregator.grpc.port()));
    let plain = plain.expect("a URI").connect().await;
    if let Ok(channel) = plain {
        assert!(
            Agent::open(UplinkClient::new(channel), hello("a", 1, 0))
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn agents_show_a_certificate() {
    let keys = Keys::new();
    let ca = keys.text("ca.crt");
    let aggregator = keys.start(&["--host=0.0.0.0", "--tls-client-ca", &ca]);
    agent(&aggregator, keys.certified(&keys), None)
        .await
        .expect("the right certificate");
    let none = agent(&aggregator, keys.trust(&keys), None)
        .await
        .expect_err("no certificate");
    assert_eq!(none.code(), Code::Unauthenticated, "{none}");
    let stranger = Keys::new();
    let refused = agent(&aggregator, stranger.certified(&keys), None).await;
    assert!(refused.is_err(), "a certificate of another CA");
}

#[tokio::test]
async fn programs_show_a_users_token() {
    let keys = Keys::new();
    let (agents, users) = (keys.text("agents.tokens"), keys.text("users.tokens"));
    let more = ["--agent-token-file", &agents, "--user-token-file", &users];
    let aggregator = keys.start(&more);
    let uri = format!("https://localhost:{}", aggregator.grpc.port());
    let endpoint = Channel::from_shared(uri).expect("a URI");
    let channel = endpoint
        .tls_config(keys.trust(&keys))
        .expect("TLS")
        .connect()
        .await;
    let channel = channel.expect("it listens");
    for (file, allowed) in [
        ("users.tokens", true),
        ("agents.tokens", false),
        ("wrong.tokens", false),
    ] {
        let mut client = ObserveClient::with_interceptor(channel.clone(), keys.bearer(file));
        let code = client
            .list_agents(ListAgentsRequest {})
            .await
            .map_err(|status| status.code());
        assert_eq!(
            code.err(),
            (!allowed).then_some(Code::Unauthenticated),
            "{file}"
        );
    }
    let opened = agent(
        &aggregator,
        keys.trust(&keys),
        Some(keys.bearer("users.tokens")),
    )
    .await;
    assert_eq!(
        opened.expect_err("no agent's token").code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn people_show_a_token_and_stay_signed_in() {
    let keys = Keys::new();
    let (agents, users) = (keys.text("agents.tokens"), keys.text("users.tokens"));
    let more = ["--agent-token-file", &agents, "--user-token-file", &users];
    let aggregator = keys.start(&more);
    let health = get(&aggregator, &keys, "/health", &[]).await;
    assert_eq!(health.status, 200, "probes have no token");
    assert!(health.header("strict-transport-security").is_some());
    let page = get(&aggregator, &keys, "/", &[]).await;
    assert_eq!(page.status, 200, "the page has the dialog to sign in");
    for path in [
        "/metrics",
        "/api/topology",
        "/api/v1/agents/list",
        "/api/v1/ws",
    ] {
        let refused = get(&aggregator, &keys, path, &[]).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(
            refused
                .header("www-authenticate")
                .is_some_and(|how| how.starts_with("Basic"))
        );
        assert!(refused.json()["hint"].is_string());
    }
    let bearer = format!("Bearer {USER_TOKEN}");
    let list = get(
        &aggregator,
        &keys,
        "/api/v1/agents/list",
        &[("authorization", &bearer)],
    )
    .await;
    assert_eq!(list.status, 200);
    let agents_token = format!("Bearer {AGENT_TOKEN}");
    let list = "/api/v1/agents/list";
    let agents_header = [("authorization", agents_token.as_str())];
    let refused = get(&aggregator, &keys, list, &agents_header).await;
    assert_eq!(
        refused.status, 401,
        "an agent's token opens nothing here once people have their own"
    );
    let body = format!("{{\"token\": \"{USER_TOKEN}\"}}");
    let json = [("content-type", "application/json")];
    let session = request(&aggregator, &keys, "POST", "/api/v1/session", &json, &body).await;
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.json()["role"], "operator");
    let cookie = session.header("set-cookie").expect("a session").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("Secure"),
        "{cookie}"
    );
    let session = cookie.split(';').next().expect("a pair").to_owned();
    let again = get(&aggregator, &keys, list, &[("cookie", &session)]).await;
    assert_eq!(again.status, 200, "{again:?}");
    let forged = format!("{}0", &session[..session.len() - 1]);
    let forged = if forged == session {
        session.replace('0', "1")
    } else {
        forged
    };
    assert_eq!(
        get(&aggregator, &keys, list, &[("cookie", &forged)])
            .await
            .status,
        401
    );
}
