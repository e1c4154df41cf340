//! The binary under test, and HTTP/1.1 to it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running aggregator; killed when dropped.
pub struct Aggregator {
    child: Child,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    log: Arc<Mutex<String>>,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesoscope-aggregator"));
    command.args(args);
    for (name, _) in std::env::vars() {
        let ours = ["MESOSCOPE_", "APP_", "STATE_DIRECTORY"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end, for configurations that it refuses.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command(args)
        .envs(env.iter().copied())
        .output()
        .expect("the binary runs")
}

impl Aggregator {
    /// Starts it on ports of the system's choice.
    pub fn start(args: &[&str]) -> Self {
        Self::start_on(0, 0, args)
    }

    pub fn start_on(port: u16, grpc_port: u16, args: &[&str]) -> Self {
        let (port, grpc_port) = (port.to_string(), grpc_port.to_string());
        let all = [
            "--port",
            &port,
            "--grpc-port",
            &grpc_port,
            "--log-format",
            "json",
        ];
        let all: Vec<&str> = all.iter().chain(args).copied().collect();
        let mut child = command(&all)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, receiver) = mpsc::channel();
        let written = Arc::new(Mutex::new(String::new()));
        let kept = written.clone();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let fields = serde_json::from_str::<Value>(&line).unwrap_or_default();
                if fields["fields"]["message"] == "listening" {
                    let port = |name: &str| -> SocketAddr {
                        fields["fields"][name].as_str().unwrap().parse().unwrap()
                    };
                    let _ = sender.send(Ok((port("http"), port("grpc"))));
                }
                kept.lock().expect("no panic").push_str(&line);
                if std::env::var_os("TEST_LOG").is_some() {
                    eprintln!("{line}");
                }
            }
            let _ = sender.send(Err(kept.lock().expect("no panic").clone()));
        });
        match receiver
            .recv_timeout(PATIENCE)
            .expect("it says where it listens")
        {
            Ok((http, grpc)) => Self {
                child,
                http,
                grpc,
                log: written,
            },
            Err(log) => panic!("it did not start: {log}"),
        }
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> (u16, u16) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
        (self.http.port(), self.grpc.port())
    }

    /// SIGTERM; gives the exit code and how long it took.
    pub fn terminate(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        let status = self.child.wait().expect("it has ended");
        (status.code(), begun.elapsed())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.request("POST", path, headers, body).await
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let stream = TcpStream::connect(self.http).await.expect("it listens");
        exchange(stream, method, path, headers, body).await
    }

    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// A figure of `/metrics`; 0 when it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").await;
        let line = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One request and its answer over any stream.
pub async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it takes the request");
    let mut bytes = Vec::new();
    // A TLS peer may close without its goodbye.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let lower = head.to_lowercase();
    // Compressed bytes are not looked at further.
    let packed = lower.contains("content-encoding: gzip");
    let chunked = lower.contains("transfer-encoding: chunked") && !packed;
    Answer {
        status: status.unwrap_or_else(|| panic!("no HTTP answer: {text:?}")),
        head: head.to_owned(),
        body: if chunked {
            dechunk(body)
        } else {
            body.to_owned()
        },
    }
}

fn dechunk(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk length");
        body.push_str(&rest[..length]);
        text = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    body
}

/// Waits until `check` gives something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
