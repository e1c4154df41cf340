//! Who may do what: tokens, roles, sessions, and the audit.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, SaltString};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::agent::{Agent, host};
use super::binary::{self, Aggregator, Answer};

const JSON: (&str, &str) = ("content-type", "application/json");
const TIER2: &str = "/api/v1/agents/a/tier2";
const SWITCH_ON: &str = "{\"enabled\": true}";
/// What the browser sends with what the page itself asks.
const OWN: (&str, &str) = ("origin", "http://localhost");

/// An aggregator where everyone has to sign in, with its first admin.
pub struct Guarded {
    pub aggregator: Aggregator,
    pub admin: String,
}

impl Guarded {
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let data = format!("--data-dir={}", folder.display());
        let mut args = vec!["--require-sign-in", &data];
        args.extend(more);
        let aggregator = Aggregator::start(&args);
        let file = folder.join("initial-admin-token");
        let mode = file.metadata().expect("a first token").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only this user reads it");
        let admin = std::fs::read_to_string(file).expect("readable");
        Self {
            aggregator,
            admin: admin.trim().to_owned(),
        }
    }

    pub async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), JSON];
        self.aggregator.request(method, path, &headers, body).await
    }

    async fn with_cookie(
        &self,
        cookie: &str,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut headers = vec![("cookie", cookie), JSON];
        headers.extend(more);
        let body = if method == "POST" { SWITCH_ON } else { "" };
        self.aggregator.request(method, path, &headers, body).await
    }

    /// A token made by the admin: its id and its text.
    pub async fn token(&self, role: &str, expires_in: &str) -> (String, String) {
        let body = json!({ "name": role, "role": role, "expires_in": expires_in }).to_string();
        let made = self.ask(&self.admin, "POST", "/api/v1/tokens", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let text = |key: &str| made.json()[key].as_str().expect("a text").to_owned();
        (text("id"), text("token"))
    }

    async fn session(&self, shown: &Value) -> Answer {
        let headers = [JSON, OWN];
        let body = shown.to_string();
        self.aggregator
            .post("/api/v1/session", &headers, &body)
            .await
    }

    pub async fn audit(&self) -> Vec<Value> {
        let answer = self.ask(&self.admin, "GET", "/api/v1/audit", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["entries"].as_array().expect("a list").clone()
    }
}

fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a session");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    cookie.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn who_shows_nothing_sees_nothing() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    for path in ["/metrics", "/api/topology", "/api/v1/audit", "/api/v1/ws"] {
        let refused = guarded.aggregator.get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.json()["hint"].is_string());
        assert!(
            refused
                .header("www-authenticate")
                .is_some_and(|how| how.starts_with("Basic"))
        );
    }
    let own_dialog = [
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ];
    let refused = guarded
        .aggregator
        .request("GET", "/api/topology", &own_dialog, "")
        .await;
    let challenge = refused.header("www-authenticate").expect("RFC 9110");
    assert!(challenge.starts_with("Bearer"), "no dialog of the browser");
    for header in ["Bearer x", "Basic !!", "Basic YTpi", "\u{e9}"] {
        let headers = [("authorization", header)];
        let refused = guarded
            .aggregator
            .request("GET", "/api/topology", &headers, "")
            .await;
        assert_eq!(refused.status, 401, "{header}");
    }
    assert_eq!(guarded.aggregator.get("/health").await.status, 200);
    assert_eq!(guarded.aggregator.get("/").await.status, 200);
    let text = binary::run(&["--require-sign-in"], &[]).stderr;
    assert!(String::from_utf8_lossy(&text).contains("--data-dir"));
}

#[tokio::test]
async fn a_viewer_looks_and_an_operator_acts_and_an_admin_reads_who_did() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    let snapshot = vec![host("a.example", "10.0.0.1")];
    let mut agent = Agent::with_snapshot(&guarded.aggregator, "a", snapshot).await;
    agent.acknowledged().await;
    let (_, viewer) = guarded.token("viewer", "1h").await;
    let (_, operator) = guarded.token("operator", "1h").await;
    let map = "/api/topology?view=hosts";
    assert_eq!(guarded.ask(&viewer, "GET", map, "").await.status, 200);
    let refused = guarded.ask(&viewer, "POST", TIER2, SWITCH_ON).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("needs the role operator"));
    let done = guarded.ask(&operator, "POST", TIER2, SWITCH_ON).await;
    assert_eq!(done.status, 204, "{done:?}");
    for path in ["/api/v1/audit", "/api/v1/audit/export", "/api/v1/tokens"] {
        assert_eq!(guarded.ask(&operator, "GET", path, "").await.status, 403);
    }
    let audit = guarded.audit().await;
    assert_eq!(audit[0]["outcome"], "done");
    assert_eq!(audit[1]["outcome"], "started");
    for entry in &audit[..2] {
        assert_eq!(entry["who"], "operator");
        assert_eq!(entry["how"], "api-token");
        assert_eq!(entry["from"], "127.0.0.1");
        assert_eq!(entry["action"], "agent.tier2");
        assert_eq!(entry["target"], "a");
        assert_eq!(entry["parameters"]["enabled"], true);
    }
    let first = guarded
        .ask(&guarded.admin, "GET", "/api/v1/audit?limit=2", "")
        .await
        .json();
    let cursor = first["cursor"].as_str().expect("more");
    let path = format!("/api/v1/audit?limit=1000&cursor={cursor}");
    let rest = guarded.ask(&guarded.admin, "GET", &path, "").await.json();
    assert_eq!(rest["entries"], Value::from(audit[2..].to_vec()));
    assert_eq!(rest["cursor"], Value::Null);
    let export = guarded
        .ask(&guarded.admin, "GET", "/api/v1/audit/export", "")
        .await;
    let lines: Vec<Value> = export
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .rev()
        .collect();
    assert_eq!(lines, audit, "oldest first");
}

#[tokio::test]
async fn tokens_end_when_they_expire_or_are_revoked_and_outlive_the_aggregator() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    let (_, short) = guarded.token("viewer", "1s").await;
    let (id, revoked) = guarded.token("viewer", "1h").await;
    let (kept_id, kept) = guarded.token("viewer", "1h").await;
    let session = guarded.session(&json!({ "token": revoked })).await;
    let session = cookie(&session);
    let map = "/api/topology?view=hosts";
    assert_eq!(guarded.ask(&revoked, "GET", map, "").await.status, 200);
    let path = format!("/api/v1/tokens/{id}");
    let gone = guarded.ask(&guarded.admin, "DELETE", &path, "").await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let again = guarded.ask(&guarded.admin, "DELETE", &path, "").await;
    assert_eq!(again.status, 404, "{again:?}");
    assert_eq!(guarded.ask(&revoked, "GET", map, "").await.status, 401);
    let ended = guarded.with_cookie(&session, "GET", map, &[]).await;
    assert_eq!(ended.status, 401, "its session ends with it");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(guarded.ask(&short, "GET", map, "").await.status, 401);
    for body in [
        "{\"name\": \"x\", \"role\": \"root\", \"expires_in\": \"1h\"}",
        "{\"name\": \"\", \"role\": \"viewer\", \"expires_in\": \"1h\"}",
        "{\"name\": \"x\", \"role\": \"viewer\", \"expires_in\": \"soon\"}",
        "{\"name\": \"x\", \"role\": \"viewer\", \"expires_in\": \"99y\"}",
        "{}",
    ] {
        let refused = guarded
            .ask(&guarded.admin, "POST", "/api/v1/tokens", body)
            .await;
        assert!((400..=422).contains(&refused.status), "{body}: {refused:?}");
    }
    let Guarded { aggregator, admin } = guarded;
    aggregator.kill();
    let guarded = Guarded::start(scratch.path(), &[]);
    assert_eq!(guarded.admin, admin, "no second admin is made");
    assert_eq!(guarded.ask(&kept, "GET", map, "").await.status, 200);
    assert_eq!(guarded.ask(&revoked, "GET", map, "").await.status, 401);
    let list = guarded.ask(&admin, "GET", "/api/v1/tokens", "").await;
    assert!(list.body.contains(&kept_id) && !list.body.contains(&id));
    let secret = kept.rsplit('_').next().expect("a secret");
    assert!(!list.body.contains(secret) && !list.body.contains("digest"));
    let actions: Vec<Value> = guarded
        .audit()
        .await
        .iter()
        .map(|entry| entry["action"].clone())
        .collect();
    assert!(actions.contains(&"token.revoke".into()) && actions.contains(&"token.create".into()));
}

#[tokio::test]
async fn a_socket_closes_when_its_token_is_revoked() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    let (id, token) = guarded.token("viewer", "1h").await;
    let mut request = "ws://localhost/api/v1/ws?view=hosts"
        .into_client_request()
        .expect("a request");
    let bearer = format!("Bearer {token}").parse().expect("a header");
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(guarded.aggregator.http).await;
    let opened = tokio_tungstenite::client_async(request, stream.expect("it listens")).await;
    let (mut socket, _) = opened.expect("a token opens it");
    let path = format!("/api/v1/tokens/{id}");
    let revoked = guarded.ask(&guarded.admin, "DELETE", &path, "").await;
    assert_eq!(revoked.status, 204);
    let closed = tokio::time::timeout(binary::PATIENCE, async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return frame;
            }
        }
        None
    });
    let frame = closed.await.expect("within seconds").expect("a reason");
    assert_eq!(frame.reason, "what was signed in with has ended");
}

#[tokio::test]
async fn a_session_acts_only_for_the_own_page() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &["--cors-origin=https://other.example"]);
    let session = guarded.session(&json!({ "token": guarded.admin })).await;
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.json()["role"], "admin");
    let session = cookie(&session);
    let who = guarded
        .with_cookie(&session, "GET", "/api/v1/session", &[])
        .await;
    assert_eq!(who.json()["name"], "initial admin");
    // No agent "a" is connected: 404 comes from the handler, behind all checks.
    let own = guarded.with_cookie(&session, "POST", TIER2, &[OWN]).await;
    assert_eq!(own.status, 404, "{own:?}");
    for more in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "https://other.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let refused = guarded.with_cookie(&session, "POST", TIER2, more).await;
        assert_eq!(refused.status, 403, "{more:?}: {refused:?}");
    }
    for (origin, opens) in [
        (Some("http://localhost"), true),
        (Some("http://evil.example"), false),
        (None, false),
    ] {
        let mut request = "ws://localhost/api/v1/ws?view=hosts"
            .into_client_request()
            .expect("a request");
        let headers = request.headers_mut();
        headers.insert("cookie", session.parse().expect("a cookie"));
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().expect("an origin"));
        }
        let stream = TcpStream::connect(guarded.aggregator.http).await;
        let opened = tokio_tungstenite::client_async(request, stream.expect("it listens")).await;
        assert_eq!(opened.is_ok(), opens, "{origin:?}");
    }
    let out = guarded
        .with_cookie(&session, "DELETE", "/api/v1/session", &[OWN])
        .await;
    assert_eq!(out.status, 204, "{out:?}");
    let after = guarded
        .with_cookie(&session, "GET", "/api/v1/session", &[])
        .await;
    assert_eq!(after.status, 401);
}

#[tokio::test]
async fn configured_origins_may_ask_with_a_token_and_no_others() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &["--cors-origin=https://other.example"]);
    let preflight = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        guarded
            .aggregator
            .request("OPTIONS", TIER2, &headers, "")
            .await
    };
    let allowed = preflight("https://other.example").await;
    assert_eq!(allowed.status, 204);
    let named = allowed.header("access-control-allow-origin");
    assert_eq!(named, Some("https://other.example"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let bearer = format!("Bearer {}", guarded.admin);
    let headers = [
        ("authorization", bearer.as_str()),
        ("origin", "https://other.example"),
        JSON,
    ];
    let asked = guarded.aggregator.post(TIER2, &headers, SWITCH_ON).await;
    assert_eq!(asked.status, 404, "no such agent, behind all checks");
    for bad in ["https://Other.example", "https://a/b", "*", "other.example"] {
        let output = binary::run(&["--cors-origin", bad], &[]);
        assert_eq!(output.status.code(), Some(64), "{bad}");
    }
}

#[tokio::test]
async fn users_sign_in_by_password_and_guessing_is_slow() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let users = scratch.path().join("users");
    let parameters = argon2::Params::new(8, 1, 1, None).expect("valid");
    let salt = SaltString::encode_b64(b"salt of a test").expect("valid");
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    let hash = argon2::Argon2::new(algorithm, version, parameters)
        .hash_password(b"correct horse", &salt)
        .expect("hashed");
    std::fs::write(&users, format!("ada:operator:{hash}\n")).expect("writable");
    let users = users.to_str().expect("a path");
    let guarded = Guarded::start(scratch.path(), &["--users-file", users]);
    let good = json!({ "name": "ada", "password": "correct horse" });
    let session = guarded.session(&good).await;
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.json()["role"], "operator");
    // ada:correct horse
    let basic = [("authorization", "Basic YWRhOmNvcnJlY3QgaG9yc2U=")];
    let asked = guarded
        .aggregator
        .request("GET", "/api/v1/session", &basic, "")
        .await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(asked.json()["how"], "password");
    let mut last = None;
    for number in 0..12 {
        let name = if number % 2 == 0 { "ada" } else { "eve" };
        let wrong = json!({ "name": name, "password": format!("guess {number}") });
        last = Some(guarded.session(&wrong).await);
    }
    let last = last.expect("twelve");
    assert_eq!(last.status, 429, "{last:?}");
    let wait_s: u64 = last
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .expect("seconds");
    assert!((1..=12).contains(&wait_s));
    assert_eq!(
        guarded.session(&good).await.status,
        429,
        "not even looked at"
    );
    let session = cookie(&session);
    let still = guarded
        .with_cookie(&session, "GET", "/api/v1/session", &[])
        .await;
    assert_eq!(still.status, 200, "who is in stays in");
    let map = "/api/topology?view=hosts";
    assert_eq!(
        guarded.ask(&guarded.admin, "GET", map, "").await.status,
        200
    );
}

#[tokio::test]
async fn what_can_not_be_recorded_is_not_done() {
    let scratch = tempfile::tempdir().expect("scratch folder");
    let guarded = Guarded::start(scratch.path(), &[]);
    let (id, token) = guarded.token("viewer", "1h").await;
    let folder = scratch.path().join("audit");
    std::fs::rename(&folder, scratch.path().join("away")).expect("ours");
    std::fs::write(&folder, "in the way").expect("writable");
    let path = format!("/api/v1/tokens/{id}");
    let refused = guarded.ask(&guarded.admin, "DELETE", &path, "").await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.body.contains("audit can't be written"));
    let map = "/api/topology?view=hosts";
    let still = guarded.ask(&token, "GET", map, "").await;
    assert_eq!(still.status, 200, "it was not revoked");
    let errors = async {
        let metrics = guarded.ask(&guarded.admin, "GET", "/metrics", "").await;
        let line = metrics
            .body
            .lines()
            .find_map(|line| line.strip_prefix("mesoscope_audit_errors_total "));
        line.and_then(|value| value.parse::<u64>().ok())
    };
    assert_eq!(errors.await, Some(1));
    std::fs::remove_file(&folder).expect("ours");
    let done = guarded.ask(&guarded.admin, "DELETE", &path, "").await;
    assert_eq!(done.status, 204, "{done:?}");
}

#[tokio::test]
async fn without_a_sign_in_loopback_may_everything_and_others_may_look() {
    let near = Aggregator::start(&[]);
    let who = near.json("/api/v1/session").await;
    assert_eq!(who["role"], "admin");
    assert_eq!(who["how"], "loopback");
    let refused = near
        .post("/api/v1/session", &[JSON], "{\"token\": \"x\"}")
        .await;
    assert_eq!(refused.status, 409);
    let far = Aggregator::start(&["--host=0.0.0.0", "--insecure-listen"]);
    let who = far.json("/api/v1/session").await;
    assert_eq!(who["role"], "viewer");
    let refused = far.post(TIER2, &[JSON], SWITCH_ON).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("configure one"), "{refused:?}");
}
