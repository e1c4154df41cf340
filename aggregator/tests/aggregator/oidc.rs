//! Sign-in by a real OpenID Connect provider on loopback (`tests/oidc/provider.mjs`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::binary::{self, Aggregator, Answer, eventually, exchange};

const REDIRECT: &str = "http://localhost/api/v1/session/oidc/callback";
const SECRET: &str = "what the client and the provider know";
const OWN: (&str, &str) = ("origin", "http://localhost");

/// Killed when dropped.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    /// With its defaults, changed by `more`.
    fn start(more: &Value) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        let has_modules = folder.join("node_modules/oidc-provider").is_dir();
        assert!(
            has_modules,
            "run `cargo xtask setup test` first: it installs the provider"
        );
        let mut asked = json!({
            "redirectUrl": REDIRECT,
            "secret": SECRET,
            "people": { "ada": { "groups": ["staff", "ops"] }, "eve": { "groups": ["other"] } },
        });
        let more = more.as_object().expect("an object").clone();
        asked.as_object_mut().expect("an object").extend(more);
        let mut child = Command::new(node())
            .arg(folder.join("provider.mjs"))
            .arg(asked.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says where");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let issuer = told["issuer"].as_str().expect("an issuer").to_owned();
        Self { child, issuer }
    }

    fn port(&self) -> u16 {
        let port = self.issuer.rsplit(':').next().expect("a port");
        port.parse().expect("a port")
    }

    fn stop(mut self) -> u16 {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
        self.port()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one that `cargo xtask` fetched, else the system's.
fn node() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/node/bin/node");
    if fetched.is_file() {
        fetched
    } else {
        PathBuf::from("node")
    }
}

/// An aggregator whose people sign in by the provider.
struct Guarded {
    aggregator: Aggregator,
    folder: TempDir,
}

impl Guarded {
    fn start(issuer: &str) -> Self {
        let folder = tempfile::tempdir().expect("scratch folder");
        let file = folder.path().join("oidc.toml");
        let text = format!(
            "name = \"Example\"\nissuer = {issuer:?}\nclient_id = \"mesoscope\"\n\
             client_secret_file = \"client-secret\"\nredirect_url = {REDIRECT:?}\n\
             scopes = [\"profile\", \"groups\"]\n[roles]\nstaff = \"viewer\"\nops = \"operator\"\n"
        );
        std::fs::write(&file, text).expect("write");
        std::fs::write(folder.path().join("client-secret"), SECRET).expect("write");
        let file = file.to_str().expect("a path").to_owned();
        let data = format!("--data-dir={}", folder.path().join("data").display());
        std::fs::create_dir(folder.path().join("data")).expect("a folder");
        let aggregator = Aggregator::start(&["--oidc-file", &file, &data]);
        Self { aggregator, folder }
    }

    fn admin(&self) -> String {
        let file = self.folder.path().join("data/initial-admin-token");
        let token = std::fs::read_to_string(file).expect("no group is admin");
        format!("Bearer {}", token.trim())
    }

    async fn begin(&self) -> Answer {
        let path = "/api/v1/session/oidc";
        self.aggregator.post(path, &[OWN], "").await
    }

    /// Signs in at the provider: the address that it sends the browser back to, and the cookie that
    /// the browser has kept.
    async fn at_provider(&self, name: &str) -> (String, String) {
        let begun = self.begin().await;
        assert_eq!(begun.status, 200, "{begun:?}");
        let location = begun.json()["location"].as_str().expect("a URL").to_owned();
        (browse(&location, name).await, cookie(&begun))
    }

    async fn back(&self, address: &str, cookie: &str) -> Answer {
        let path = address.strip_prefix("http://localhost").expect("back here");
        let headers = [("cookie", cookie), ("sec-fetch-site", "cross-site")];
        self.aggregator.request("GET", path, &headers, "").await
    }

    /// The whole way: where the page is then, and the session.
    async fn sign_in(&self, name: &str) -> (String, Option<String>) {
        let (address, kept) = self.at_provider(name).await;
        let answer = self.back(&address, &kept).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let page = answer.header("location").expect("the page").to_owned();
        let session = answer.head.lines().find_map(|line| {
            let (_, cookie) = line.split_once("mesoscope_session=")?;
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
            Some(format!("mesoscope_session={}", cookie.split(';').next()?))
        });
        (page, session)
    }

    async fn with_session(&self, session: &str, method: &str) -> Answer {
        let headers = [("cookie", session), OWN];
        let path = "/api/v1/session";
        self.aggregator.request(method, path, &headers, "").await
    }
}

fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    cookie.split(';').next().expect("a pair").to_owned()
}

/// A browser at the provider: follows it, fills in its forms, and stops where it is sent back.
async fn browse(location: &str, name: &str) -> String {
    let mut address = location.to_owned();
    let mut cookies = BTreeMap::new();
    let mut form: Option<String> = None;
    for _ in 0..20 {
        if address.starts_with(REDIRECT) {
            return address;
        }
        let rest = address.strip_prefix("http://").expect("loopback");
        let (host, path) = rest.split_once('/').expect("a path");
        let stream = TcpStream::connect(host)
            .await
            .expect("the provider listens");
        let shown: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let shown = shown.join("; ");
        let encoded = "application/x-www-form-urlencoded";
        let headers = [
            ("host", host),
            ("cookie", &shown),
            ("content-type", encoded),
        ];
        let (method, body) = match &form {
            Some(body) => ("POST", body.as_str()),
            None => ("GET", ""),
        };
        let answer = exchange(stream, method, &format!("/{path}"), &headers, body).await;
        for line in answer.head.lines() {
            let Some((key, cookie)) = line.split_once(": ") else {
                continue;
            };
            if key.eq_ignore_ascii_case("set-cookie") {
                let pair = cookie.split(';').next().expect("a pair");
                let (name, value) = pair.split_once('=').expect("a pair");
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(next) = answer.header("location") {
            address = if next.starts_with('/') {
                format!("http://{host}{next}")
            } else {
                next.to_owned()
            };
            form = None;
        } else {
            let (_, rest) = answer
                .body
                .split_once("action=\"")
                .unwrap_or_else(|| panic!("{answer:?}"));
            let (action, rest) = rest.split_once('"').expect("an action");
            let consent = rest.contains("value=\"consent\"");
            address = action.to_owned();
            form = Some(if consent {
                "prompt=consent".to_owned()
            } else {
                format!("prompt=login&login={name}&password=any")
            });
        }
    }
    panic!("the provider leads in circles: {address}");
}

#[tokio::test]
async fn somebody_signs_in_by_the_provider_with_the_role_of_their_groups() {
    let provider = Provider::start(&json!({}));
    let guarded = Guarded::start(&provider.issuer);
    assert_eq!(guarded.aggregator.get("/api/topology").await.status, 401);
    let ways = guarded.aggregator.json("/api/v1/session/ways").await;
    assert_eq!(
        ways,
        json!({"required": true, "passwords": false, "provider": "Example"})
    );
    let (page, session) = guarded.sign_in("ada").await;
    assert_eq!(page, "/");
    let session = session.expect("signed in");
    let who = guarded.with_session(&session, "GET").await.json();
    let told = (&who["name"], &who["role"], &who["how"], &who["session"]);
    let expected = (
        "ada".into(),
        "operator".into(),
        "openid-connect".into(),
        true.into(),
    );
    assert_eq!(told, (&expected.0, &expected.1, &expected.2, &expected.3));
    let admin = guarded.admin();
    let headers = [("authorization", admin.as_str())];
    let audit = guarded
        .aggregator
        .request("GET", "/api/v1/audit", &headers, "")
        .await
        .json();
    let begun = &audit["entries"][0];
    assert_eq!(
        (&begun["action"], &begun["who"]),
        (&"session.begin".into(), &"ada".into())
    );
    assert_eq!(
        begun["parameters"],
        json!({"issuer": provider.issuer, "subject": "ada"})
    );
    assert_eq!(guarded.with_session(&session, "DELETE").await.status, 204);
    assert_eq!(guarded.with_session(&session, "GET").await.status, 401);
}

#[tokio::test]
async fn nothing_that_opens_anything_is_in_the_log() {
    let provider = Provider::start(&json!({}));
    let guarded = Guarded::start(&provider.issuer);
    let (address, kept) = guarded.at_provider("ada").await;
    let signed_in = guarded.back(&address, &kept).await;
    assert_eq!(signed_in.header("location"), Some("/"));
    // The code is good once.
    let again = guarded.back(&address, &kept).await;
    assert_eq!(again.header("location"), Some("/?sign-in=refused"));
    assert!(!again.head.contains("mesoscope_session="));
    let (query, session) = (address.split_once('?').expect("a query").1, &signed_in.head);
    let code = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("code="))
        .expect("a code");
    let session = session
        .split_once("mesoscope_session=")
        .expect("a session")
        .1;
    let log = eventually("the refusal is in the log", async || {
        let log = guarded.aggregator.log();
        log.contains("invalid_grant").then_some(log)
    })
    .await;
    for secret in [
        code,
        SECRET,
        &kept[20..60],
        &session[..40],
        "eyJ",
        "access_token",
        "id_token",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn who_is_in_no_group_that_has_a_role_stays_outside() {
    let provider = Provider::start(&json!({}));
    let guarded = Guarded::start(&provider.issuer);
    let (page, session) = guarded.sign_in("eve").await;
    assert_eq!((page.as_str(), session), ("/?sign-in=no-role", None));
}

#[tokio::test]
async fn claims_that_are_not_in_the_id_token_are_asked_for() {
    let provider = Provider::start(&json!({"inIdToken": false}));
    let guarded = Guarded::start(&provider.issuer);
    let (page, session) = guarded.sign_in("ada").await;
    assert_eq!(page, "/", "{}", guarded.aggregator.log());
    let who = guarded
        .with_session(&session.expect("signed in"), "GET")
        .await;
    assert_eq!(
        (&who.json()["name"], &who.json()["role"]),
        (&"ada".into(), &"operator".into())
    );
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_else_out_and_its_new_keys_are_learnt() {
    let provider = Provider::start(&json!({}));
    let issuer = provider.issuer.clone();
    let port = provider.stop();
    let guarded = Guarded::start(&issuer);
    let refused = guarded.begin().await;
    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(
        refused.json()["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("another way"))
    );
    let admin = guarded.admin();
    let shown = json!({"token": admin.strip_prefix("Bearer ")}).to_string();
    let headers = [("content-type", "application/json"), OWN];
    let signed_in = guarded
        .aggregator
        .post("/api/v1/session", &headers, &shown)
        .await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let provider = Provider::start(&json!({"port": port}));
    eventually("it is asked again", async || {
        (guarded.begin().await.status == 200).then_some(())
    })
    .await;
    let (page, _) = guarded.sign_in("ada").await;
    assert_eq!(page, "/");
    provider.stop();
    // Other keys, which no document that was read names.
    let _provider = Provider::start(&json!({"port": port}));
    let page = eventually("the new keys are learnt", async || {
        let (page, _) = guarded.sign_in("ada").await;
        (page == "/").then_some(page)
    })
    .await;
    assert_eq!(page, "/");
}

#[tokio::test]
async fn what_another_browser_began_or_another_issuer_says_is_not_taken() {
    let provider = Provider::start(&json!({}));
    let guarded = Guarded::start(&provider.issuer);
    let (address, kept) = guarded.at_provider("ada").await;
    let (_, of_another) = guarded.at_provider("eve").await;
    let (start, _) = address.split_once('?').expect("a query");
    let (_, state) = address.split_once("state=").expect("a state");
    let state = state.split('&').next().expect("a state");
    let denied = format!("{start}?error=access_denied&state={state}");
    let elsewhere = format!("{start}?code=1&state={state}&iss=http%3A%2F%2F127.0.0.1%3A1");
    let guessed = address.replace(state, &"0".repeat(64));
    for (address, cookie, why) in [
        (&address, "", "expired"),
        (&address, of_another.as_str(), "expired"),
        (&guessed, kept.as_str(), "expired"),
        (&format!("{start}?code=1"), kept.as_str(), "expired"),
        (&denied, kept.as_str(), "refused"),
        (&elsewhere, kept.as_str(), "invalid"),
        (&format!("{start}?state={state}"), kept.as_str(), "refused"),
    ] {
        let answer = guarded.back(address, cookie).await;
        assert_eq!(
            answer.header("location"),
            Some(format!("/?sign-in={why}").as_str()),
            "{address}"
        );
        assert!(!answer.head.contains("mesoscope_session="), "{answer:?}");
    }
    // None of it has used up the code.
    let answer = guarded.back(&address, &kept).await;
    assert_eq!(
        answer.header("location"),
        Some("/"),
        "{}",
        guarded.aggregator.log()
    );
    for _ in 0..4 {
        guarded.back(&address, "").await;
    }
    let answer = guarded.back(&address, "").await;
    assert_eq!(answer.header("location"), Some("/?sign-in=throttled"));
    assert_eq!(guarded.begin().await.status, 429);
    let twice = guarded.back(&format!("{start}?code=1&code=2"), "").await;
    assert_eq!(twice.status, 400, "{twice:?}");
    let other_page = [("origin", "http://evil.example")];
    let begun = guarded
        .aggregator
        .post("/api/v1/session/oidc", &other_page, "")
        .await;
    assert_eq!(begun.status, 403);
}

#[tokio::test]
async fn the_two_clocks_may_be_a_minute_apart() {
    for (shift_s, good_s, page) in [
        (50, 600, "/"),
        (90, 600, "/?sign-in=invalid"),
        (-80, 60, "/"),
        (-140, 60, "/?sign-in=invalid"),
    ] {
        let provider = Provider::start(&json!({"shiftSeconds": shift_s, "idTokenSeconds": good_s}));
        let guarded = Guarded::start(&provider.issuer);
        let (found, _) = guarded.sign_in("ada").await;
        assert_eq!(found, page, "{shift_s}: {}", guarded.aggregator.log());
    }
}

#[tokio::test]
async fn without_a_provider_there_is_nothing_to_begin() {
    let aggregator = Aggregator::start(&[]);
    let begun = aggregator.post("/api/v1/session/oidc", &[OWN], "").await;
    assert_eq!(begun.status, 409);
    assert!(
        begun.json()["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--oidc-file"))
    );
    assert_eq!(
        aggregator.get("/api/v1/session/oidc/callback").await.status,
        409
    );
    let ways = aggregator.json("/api/v1/session/ways").await;
    assert_eq!(ways["provider"], Value::Null);
    let folder = tempfile::tempdir().expect("scratch folder");
    let file = folder.path().join("oidc.toml");
    std::fs::write(
        &file,
        "issuer = \"http://sso.example\"\nclient_id = \"a\"\nredirect_url = \"x\"\n",
    )
    .expect("write");
    let output = binary::run(&["--oidc-file", file.to_str().expect("a path")], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("oidc.toml: issuer: "));
}
