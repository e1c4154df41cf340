//! A terminal in a container: a command that is run there, or the container's own process.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    InspectContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions,
};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::upgrade::Upgraded;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;

use super::control::explain;
use super::frames::Frames;
use super::raw;
use crate::control::ControlError;

/// Read at once.
const READ_BYTES: usize = 16 << 10;
/// Keys on which the engine leaves a process alone. Its own default begins with Ctrl-P, which it
/// would keep back from every shell until the next key.
const DETACH_KEYS: &str = "ctrl-^,ctrl-],ctrl-^";
const DETACH_KEYS_IN_QUERY: &str = "ctrl-%5E%2Cctrl-%5D%2Cctrl-%5E";
/// The engine closes the output a moment before it knows how the process ended.
const EXIT_LOOKS: u32 = 20;
const EXIT_PAUSE: Duration = Duration::from_millis(100);
/// Podman resizes nothing that has not started yet.
const RESIZE_TRIES: u32 = 5;
const RESIZE_PAUSE: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TerminalAsked {
    /// Program and arguments; none: the container's own process.
    pub command: Vec<String>,
    /// With a terminal; of the container's own process, the container says it.
    pub tty: bool,
    /// Takes input.
    pub interactive: bool,
}

/// A terminal under way, in its three parts.
#[derive(Debug)]
pub struct Terminal {
    /// What it writes.
    pub output: TerminalOutput,
    /// What is typed.
    pub input: TerminalInput,
    /// The process behind it.
    pub process: TerminalProcess,
}

/// What a terminal writes. What is not read makes the process wait.
#[derive(Debug)]
pub struct TerminalOutput {
    stream: ReadHalf<TokioIo<Upgraded>>,
    frames: Option<Frames>,
    buffer: Vec<u8>,
}

/// Where what is typed goes.
#[derive(Debug)]
pub struct TerminalInput(WriteHalf<TokioIo<Upgraded>>);

/// The process of a terminal. Dropped before it has ended, a command that was run for it is hung up,
/// as by a terminal that is closed.
#[derive(Debug)]
pub struct TerminalProcess {
    docker: Docker,
    container: String,
    /// `None`: the container's own process.
    exec: Option<String>,
    ended: bool,
}

impl Terminal {
    pub(super) async fn open(
        docker: Docker,
        socket: &Path,
        id: &str,
        asked: TerminalAsked,
    ) -> Result<Self, ControlError> {
        let version = docker.client_version();
        let root = format!("/v{}.{}", version.major_version, version.minor_version);
        let (tty, exec, path, body) = if asked.command.is_empty() {
            let inspected = docker
                .inspect_container(id, None::<InspectContainerOptions>)
                .await;
            let inspected = inspected.map_err(|error| explain(id, &error))?;
            let config = inspected.config.unwrap_or_default();
            let path = format!(
                "{root}/containers/{id}/attach?stream=true&stdin={}&stdout=true&stderr=true&detachKeys={DETACH_KEYS_IN_QUERY}",
                asked.interactive
            );
            (config.tty == Some(true), None, path, String::new())
        } else {
            let exec = create(&docker, id, &asked).await?;
            let path = format!("{root}/exec/{exec}/start");
            let body = serde_json::json!({ "Detach": false, "Tty": asked.tty }).to_string();
            (asked.tty, Some(exec), path, body)
        };
        let process = TerminalProcess {
            docker,
            container: id.to_owned(),
            exec,
            ended: false,
        };
        let request = Request::post(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp")
            .body(Full::from(body))
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let (answer, _connection) = raw::ask(socket, id, request).await?;
        let stream = hyper::upgrade::on(answer).await.map_err(|error| {
            ControlError::Failed(format!("the engine does not open a terminal: {error}"))
        })?;
        let (output, input) = tokio::io::split(TokioIo::new(stream));
        Ok(Self {
            output: TerminalOutput {
                stream: output,
                frames: (!tty).then(Frames::default),
                buffer: vec![0; READ_BYTES],
            },
            input: TerminalInput(input),
            process,
        })
    }
}

async fn create(docker: &Docker, id: &str, asked: &TerminalAsked) -> Result<String, ControlError> {
    let config = ExecConfig {
        attach_stdin: Some(asked.interactive),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        detach_keys: Some(DETACH_KEYS.to_owned()),
        tty: Some(asked.tty),
        env: asked.tty.then(|| vec!["TERM=xterm-256color".to_owned()]),
        cmd: Some(asked.command.clone()),
        ..ExecConfig::default()
    };
    let created = docker.create_exec(id, config).await;
    Ok(created.map_err(|error| explain(id, &error))?.id)
}

impl TerminalOutput {
    /// The next bytes of both outputs, cut anywhere; `None` at the end. May be dropped and asked
    /// again.
    ///
    /// # Errors
    /// When the engine goes away, or sends what is no output.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        loop {
            let read = self.stream.read(&mut self.buffer).await.map_err(|error| {
                ControlError::Unavailable(format!("the engine went away: {error}"))
            })?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(None);
            }
            let Some(frames) = &mut self.frames else {
                return Ok(Some(Bytes::copy_from_slice(bytes)));
            };
            let text = frames.take(bytes)?;
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
    }
}

impl TerminalInput {
    /// Types; waits until the process has room for it.
    ///
    /// # Errors
    /// When nothing is taken any more.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}

impl TerminalProcess {
    /// Tells the size of the window, in characters. What can't be resized stays as it is.
    pub async fn resize(&self, columns: u16, rows: u16) {
        let (w, h) = (columns.into(), rows.into());
        for _ in 0..RESIZE_TRIES {
            let resized = match &self.exec {
                Some(exec) => {
                    let size = ResizeExecOptions { h, w };
                    self.docker.resize_exec(exec, size).await
                }
                None => {
                    let size = ResizeContainerTTYOptions { h, w };
                    self.docker
                        .resize_container_tty(&self.container, size)
                        .await
                }
            };
            let Err(error) = resized else { return };
            tracing::debug!(%error, "a terminal is not resized");
            tokio::time::sleep(RESIZE_PAUSE).await;
        }
    }

    /// What it ended with, once its output has; `None` where it goes on without the terminal.
    pub async fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..EXIT_LOOKS {
            if let Some(code) = self.ended_with().await {
                self.ended = true;
                return i32::try_from(code).ok();
            }
            tokio::time::sleep(EXIT_PAUSE).await;
        }
        None
    }

    async fn ended_with(&self) -> Option<i64> {
        if let Some(exec) = &self.exec {
            let told = self.docker.inspect_exec(exec).await.ok()?;
            return told.exit_code.filter(|_| told.running == Some(false));
        }
        let inspected = self
            .docker
            .inspect_container(&self.container, None::<InspectContainerOptions>);
        let state = inspected.await.ok()?.state?;
        state.exit_code.filter(|_| state.running == Some(false))
    }
}

impl Drop for TerminalProcess {
    fn drop(&mut self) {
        let exec = self.exec.take().filter(|_| !self.ended);
        if let (Some(exec), Ok(runtime)) = (exec, Handle::try_current()) {
            let (docker, container) = (self.docker.clone(), std::mem::take(&mut self.container));
            runtime.spawn(async move { hang_up(&docker, &exec, &container).await });
        }
    }
}

/// Ends a process that nobody sits before any more: the engine leaves it alone for ever.
async fn hang_up(docker: &Docker, exec: &str, container: &str) {
    let Some(pid) = running(docker, exec).await else {
        return;
    };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    // Where this agent numbers processes otherwise than the engine, the number is of another one.
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero()));
    let is_there = cgroup.is_ok_and(|cgroup| cgroup.contains(container));
    // It runs on, so that its number was not given again before it was opened.
    if !is_there || running(docker, exec).await != Some(pid) {
        tracing::debug!(container, "the process of a closed terminal is left alone");
        return;
    }
    if let Err(error) = pidfd_send_signal(process, Signal::HUP) {
        tracing::info!(container, %error, "the process of a closed terminal goes on");
    }
}

async fn running(docker: &Docker, exec: &str) -> Option<Pid> {
    let told = docker.inspect_exec(exec).await.ok()?;
    let pid = told.pid.filter(|_| told.running == Some(true))?;
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncBufReadExt;
    use tokio::net::{UnixListener, UnixStream};

    use super::super::DockerControl;
    use super::*;

    const ID: &str = "4f1c4f1c4f1c";

    /// Answers as an engine does: a command named `shout` writes in frames, any other one gives back
    /// what is typed.
    async fn engine(mut stream: tokio::io::BufReader<UnixStream>) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().expect("a length"))
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.expect("a body");
        let body = String::from_utf8(body).expect("UTF-8");
        let path = head.split(' ').nth(1).expect("a path");
        let json = |status: &str, json: &str| {
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\napi-version: 1.41\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{json}",
                json.len()
            )
        };
        let upgraded = "HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n";
        let answer = if path.ends_with("/version") {
            json(
                "200 OK",
                "{\"ApiVersion\": \"1.41\", \"Version\": \"20.10\"}",
            )
        } else if path.ends_with(&format!("/containers/{ID}/exec")) {
            if body.contains("\"shout\"") {
                json("201 Created", "{\"Id\": \"shout\"}")
            } else if body.contains("\"late\"") {
                json("201 Created", "{\"Id\": \"late\"}")
            } else {
                assert!(body.contains("\"Tty\":true"), "{body}");
                json("201 Created", "{\"Id\": \"echo\"}")
            }
        } else if path.ends_with("/exec/late/start") {
            json("409 Conflict", "{\"message\": \"container is paused\"}")
        } else if path.ends_with("/exec/shout/start") {
            // Both outputs.
            format!("{upgraded}\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x03two")
        } else if path.ends_with("/start") {
            assert!(body.contains("\"Tty\":true"), "{body}");
            // What a terminal writes first may look like a frame.
            format!("{upgraded}\x01\0\0\0\x7f")
        } else if path.contains("/json") {
            json(
                "200 OK",
                "{\"Running\": false, \"ExitCode\": 3, \"Pid\": 0}",
            )
        } else {
            json("404 Not Found", "{\"message\": \"no such thing\"}")
        };
        stream.write_all(answer.as_bytes()).await.expect("taken");
        if path.ends_with("/exec/echo/start") {
            let mut typed = [0; 5];
            stream.read_exact(&mut typed).await.expect("typed");
            stream.write_all(&typed).await.expect("taken");
        }
    }

    fn control() -> (DockerControl, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(engine(tokio::io::BufReader::new(stream)));
            }
        });
        (DockerControl::new(socket), folder)
    }

    fn command(name: &str, tty: bool) -> TerminalAsked {
        TerminalAsked {
            command: vec![name.to_owned()],
            tty,
            interactive: tty,
        }
    }

    async fn rest(output: &mut TerminalOutput) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(more) = output.next().await.expect("an output") {
            all.extend_from_slice(&more);
        }
        all
    }

    #[tokio::test]
    async fn a_terminal_gives_back_what_it_writes_byte_by_byte() {
        let (control, _folder) = control();
        let opened = control.terminal(ID, command("sh", true)).await;
        let mut terminal = opened.expect("opened");
        terminal.input.write(b"hello").await.expect("typed");
        assert_eq!(rest(&mut terminal.output).await, b"\x01\0\0\0\x7fhello");
        assert_eq!(terminal.process.exit_code().await, Some(3));
    }

    #[tokio::test]
    async fn without_a_terminal_the_outputs_come_apart_from_their_frames() {
        let (control, _folder) = control();
        let opened = control.terminal(ID, command("shout", false)).await;
        let mut terminal = opened.expect("opened");
        assert_eq!(rest(&mut terminal.output).await, b"onetwo");
    }

    #[tokio::test]
    async fn what_the_engine_refuses_is_said_in_its_words() {
        let (control, _folder) = control();
        let paused = control.terminal(ID, command("late", true)).await;
        let Err(ControlError::Conflict(said)) = paused else {
            panic!("{paused:?}");
        };
        assert_eq!(said, "container is paused");
        let missing = control.terminal("abc", command("sh", true)).await;
        assert!(
            matches!(missing, Err(ControlError::NotFound(_))),
            "{missing:?}"
        );
    }
}
