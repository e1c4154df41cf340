//! A terminal in a container, over the WebSocket of the runtime's streaming server: the first byte of
//! a message says what it is of (`v4.channel.k8s.io`).

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::body::Bytes;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::control::ControlError;

const PROTOCOL: &str = "v4.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// How long the streaming server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Its messages have 32 KiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const WAITING_MAX: usize = 4;

/// A terminal under way, in its three parts. Dropping them closes it.
#[derive(Debug)]
pub struct CriTerminal {
    /// What it writes. What is not read makes the process wait.
    pub output: CriOutput,
    /// Where what is typed goes.
    pub input: CriInput,
    /// How it ends.
    pub process: CriProcess,
}

/// What a terminal writes.
#[derive(Debug)]
pub struct CriOutput(mpsc::Receiver<Result<Bytes, ControlError>>);

/// Where what is typed goes.
#[derive(Debug)]
pub struct CriInput(mpsc::Sender<Message>);

/// The size of its window, and what it ended with.
#[derive(Debug)]
pub struct CriProcess {
    sender: mpsc::Sender<Message>,
    tty: bool,
    ended: Option<oneshot::Receiver<i32>>,
}

impl CriTerminal {
    pub(super) async fn open(url: &str, tty: bool) -> Result<Self, ControlError> {
        let socket = timeout(PATIENCE, connect(url)).await;
        let socket = socket
            .map_err(|_| unreachable_server(url, &"it does not answer"))?
            .map_err(|error| unreachable_server(url, &error))?;
        let (output, written) = mpsc::channel(WAITING_MAX);
        let (sender, typed) = mpsc::channel(WAITING_MAX);
        let (end, ended) = oneshot::channel();
        tokio::spawn(carry(socket, output, typed, end));
        Ok(Self {
            output: CriOutput(written),
            input: CriInput(sender.clone()),
            process: CriProcess {
                sender,
                tty,
                ended: Some(ended),
            },
        })
    }
}

fn unreachable_server(url: &str, error: &dyn std::fmt::Display) -> ControlError {
    ControlError::Unavailable(format!(
        "the runtime's streaming server {url}: {error}; it listens on the node's loopback, which this agent \
         reaches in the node's network only (hostNetwork)"
    ))
}

async fn connect(
    url: &str,
) -> Result<WebSocketStream<TcpStream>, Box<dyn std::error::Error + Send + Sync>> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("it is not reached by plain HTTP, which is all that this agent speaks with it")?;
    let mut request = format!("ws://{rest}").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
    headers.insert("origin", HeaderValue::from_static("http://localhost"));
    let authority = rest.split('/').next().unwrap_or(rest);
    let stream = TcpStream::connect(authority).await?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok(opened.0)
}

/// Until either side goes. What is read waits for its reader, and with it the process.
async fn carry(
    socket: WebSocketStream<TcpStream>,
    output: mpsc::Sender<Result<Bytes, ControlError>>,
    mut typed: mpsc::Receiver<Message>,
    end: oneshot::Sender<i32>,
) {
    let (mut to, mut from) = socket.split();
    let reads = async {
        while let Some(received) = from.next().await {
            let message = match received {
                Ok(Message::Binary(message)) => message,
                Ok(Message::Close(_)) => break,
                Ok(_) => continue,
                Err(error) => {
                    let error = format!("the runtime closed the terminal: {error}");
                    // Whoever reads may be gone.
                    let _ = output.send(Err(ControlError::Unavailable(error))).await;
                    break;
                }
            };
            let Some((channel, bytes)) = message.split_first() else {
                continue;
            };
            match *channel {
                STDOUT | STDERR if !bytes.is_empty() => {
                    let bytes = Bytes::copy_from_slice(bytes);
                    if output.send(Ok(bytes)).await.is_err() {
                        break;
                    }
                }
                ERROR if !bytes.is_empty() => match ended_with(bytes) {
                    Ok(code) => {
                        let _ = end.send(code);
                        break;
                    }
                    Err(error) => {
                        let _ = output.send(Err(ControlError::Failed(error))).await;
                        break;
                    }
                },
                _ => {}
            }
        }
    };
    let writes = async {
        while let Some(message) = typed.recv().await {
            if to.send(message).await.is_err() {
                break;
            }
        }
        let _ = to.close().await;
    };
    tokio::select! {
        () = reads => {}
        // All who could type are gone.
        () = writes => {}
        () = output.closed() => {}
    }
}

/// The runtime's word on how a process ended.
fn ended_with(status: &[u8]) -> Result<i32, String> {
    let status: Value = serde_json::from_slice(status).unwrap_or_default();
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array();
    let code = causes.into_iter().flatten().find_map(|cause| {
        let code = (cause["reason"] == "ExitCode").then(|| cause["message"].as_str())??;
        code.parse().ok()
    });
    code.ok_or_else(|| {
        let said = status["message"].as_str();
        said.unwrap_or("the runtime does not say how it ended")
            .to_owned()
    })
}

impl CriOutput {
    /// The next bytes of both outputs, cut anywhere; `None` at the end. May be dropped and asked again.
    ///
    /// # Errors
    /// When the runtime goes away, or the process can't be run.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        self.0.recv().await.transpose()
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.into())
}

impl CriInput {
    /// Types; waits until there is room for it.
    ///
    /// # Errors
    /// When nothing is taken any more.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let sent = self.0.send(message(STDIN, bytes)).await;
        sent.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl CriProcess {
    /// Tells the size of the window, in characters.
    pub async fn resize(&self, columns: u16, rows: u16) {
        if self.tty {
            let size = serde_json::json!({ "Width": columns, "Height": rows }).to_string();
            // It may have ended.
            let _ = self.sender.send(message(RESIZE, size.as_bytes())).await;
        }
    }

    /// What it ended with, once its output has; `None` where that is not known.
    pub async fn exit_code(&mut self) -> Option<i32> {
        self.ended.take()?.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_process_ended_is_understood() {
        let success = br#"{"metadata":{},"status":"Success"}"#;
        assert_eq!(ended_with(success), Ok(0));
        let seven = br#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
        assert_eq!(ended_with(seven), Ok(7));
        let failed = br#"{"status":"Failure","message":"no such file"}"#;
        assert_eq!(ended_with(failed), Err("no such file".to_owned()));
        assert!(ended_with(b"\xff{").is_err());
    }
}
