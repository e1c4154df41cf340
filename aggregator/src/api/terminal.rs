//! Terminals in containers, over WebSockets: binary messages are what is typed and what is written, texts
//! are JSON. Opening one is recorded before, and how it ended after.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use mesoscope_access::{Identity, Outcome, Role};
use mesoscope_proto::v1::{ControlOutcome, TerminalOpen, TerminalSize};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use super::Api;
use super::access::LetInBy;
use super::answers::OfATerminal;
use super::control::{Target, flag, unknown};
use super::error::ApiError;
use super::exec::{Command, Record, default_shell, failure};
use super::websocket::{CHECK_PERIOD, PING_PERIOD, SEND_DEADLINE, SILENCE_MAX};
use crate::control::Terminal;

/// Largest message of a client, and what waits for the process before no more is read.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// A window that is pulled tells its size no more often.
const RESIZE_PERIOD: Duration = Duration::from_millis(100);
/// Columns or rows at most.
const SIDE_MAX: u32 = 1_000;
const HINT: &str = "command=LINE, or command=PROGRAM&command=ARGUMENT...; tty=true|false, columns and rows \
                    from 1 to 1000";
const RESIZE_HINT: &str =
    "{\"resize\": {\"columns\": 80, \"rows\": 24}}; what is typed is sent as binary messages";

type Pairs = Query<Vec<(String, String)>>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// What a client says as text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    resize: Side,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    columns: u32,
    rows: u32,
}

/// A command in a container, in a terminal: a WebSocket.
///
/// Needs the role operator. Binary messages are what is typed and what is written;
/// `{"resize": {"columns": 80, "rows": 24}}` tells the size of the window. The server says
/// `{"opened": true}` first and `{"ended": {"exit_code": 0, "reason": ""}}` last.
#[utoipa::path(get, path = "/api/containers/{id}/exec", tag = "containers",
    operation_id = "exec_in_container",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("command" = Option<Vec<String>>, Query,
            description = "One: a line for its shell; several: program and arguments; none: a shell"),
        ("tty" = Option<bool>, Query, description = "With a terminal (true)"),
        ("columns" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Of the window (80)"),
        ("rows" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Of the window (24)"),
    ),
    responses(OfATerminal))]
pub(super) async fn exec(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    let (command, open) = asked(&pairs)?;
    let command = command.words()?.unwrap_or_else(default_shell);
    let open = TerminalOpen { command, ..open };
    api.sit(&id, open, identity, let_in_by, upgrade)
}

/// The own process of a container, in a terminal: a WebSocket.
///
/// Needs the role operator. As with a command; closing it leaves the process alone.
#[utoipa::path(get, path = "/api/containers/{id}/attach", tag = "containers",
    operation_id = "attach_to_container",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("columns" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Of the window (80)"),
        ("rows" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Of the window (24)"),
    ),
    responses(OfATerminal))]
pub(super) async fn attach(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    if let Some((key, value)) = pairs
        .iter()
        .find(|(key, _)| key == "command" || key == "tty")
    {
        let hint = "columns and rows; a command is run by /exec, and whether there is a terminal is the container's";
        return Err(unknown(key, value, hint));
    }
    let (_, open) = asked(&pairs)?;
    api.sit(&id, open, identity, let_in_by, upgrade)
}

fn asked(pairs: &[(String, String)]) -> Result<(Command, TerminalOpen), ApiError> {
    let mut words = Vec::new();
    let mut size = TerminalSize {
        columns: 80,
        rows: 24,
    };
    let mut tty = true;
    for (key, value) in pairs {
        let refused = || unknown(key, value, HINT);
        match key.as_str() {
            "command" => words.push(value.clone()),
            "tty" => tty = flag(value).ok_or_else(refused)?,
            "columns" => size.columns = side(value.parse().ok()).ok_or_else(refused)?,
            "rows" => size.rows = side(value.parse().ok()).ok_or_else(refused)?,
            _ => return Err(refused()),
        }
    }
    let open = TerminalOpen {
        tty,
        interactive: true,
        size: Some(size),
        ..TerminalOpen::default()
    };
    Ok((Command::of(words), open))
}

fn side(side: Option<u32>) -> Option<u32> {
    side.filter(|side| (1..=SIDE_MAX).contains(side))
}

impl Api {
    fn sit(
        &self,
        id: &str,
        open: TerminalOpen,
        identity: Identity,
        let_in_by: LetInBy,
        upgrade: Upgrade,
    ) -> Result<Response, ApiError> {
        let target = self.target(id)?;
        let upgrade = upgrade.map_err(|refused| {
            let hint =
                "open it as a WebSocket; POST .../exec runs one command and waits for its end";
            ApiError::new(refused.status(), refused.body_text(), hint)
        })?;
        let upgrade = upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            .write_buffer_size(0)
            .max_write_buffer_size(usize::MAX);
        let api = self.clone();
        let open = TerminalOpen {
            container_id: target.id.clone(),
            ..open
        };
        Ok(upgrade.on_upgrade(move |socket| async move {
            let sitting = Sitting {
                api,
                let_in_by,
                socket,
            };
            sitting.serve(&identity, &target, open).await;
        }))
    }
}

/// Why a terminal closed.
#[derive(Debug)]
enum Gone {
    /// The process, or the way to it.
    Ended(ControlOutcome),
    /// Whoever sat before it, and how.
    Left(&'static str),
    /// This aggregator, with the code and the reason that it gives.
    Closed(u16, &'static str),
}

struct Sitting {
    api: Api,
    let_in_by: LetInBy,
    socket: WebSocket,
}

impl Sitting {
    /// Goes on to its end when the client goes away, so that the end is recorded.
    async fn serve(mut self, identity: &Identity, target: &Target, open: TerminalOpen) {
        let record = match Record::begin(&self.api, identity, target, &open).await {
            Ok(record) => record,
            Err(error) => return self.refuse(&error).await,
        };
        let control = self.api.control.clone();
        let opened = control.open_terminal(&target.agent_id, target.generation, open);
        let terminal = match opened.await {
            Ok(terminal) => terminal,
            Err(error) => {
                let outcome = Outcome::Failed(error.to_string());
                record.end(&self.api, None, None, outcome).await;
                return self.refuse(&error.into()).await;
            }
        };
        let gone = self.carry(&terminal).await;
        // What was run there ends with it.
        drop(terminal);
        tracing::debug!(?gone, "a terminal closed");
        let (exit_code, closed, outcome) = match &gone {
            Gone::Ended(outcome) => match failure(outcome) {
                None => (outcome.exit_code, None, Outcome::Done),
                Some(reason) => (None, None, Outcome::Failed(reason)),
            },
            Gone::Left(why) | Gone::Closed(_, why) => (None, Some(*why), Outcome::Done),
        };
        record.end(&self.api, exit_code, closed, outcome).await;
        self.say_goodbye(gone).await;
    }

    /// Until somebody goes.
    async fn carry(&mut self, terminal: &Terminal) -> Gone {
        let opened = json!({ "opened": true }).to_string();
        if let Err(gone) = self.send(Message::Text(opened.into())).await {
            return gone;
        }
        let drain = self.api.drain.clone();
        let ticks = |period| {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut pings, mut checks) = (ticks(PING_PERIOD), ticks(CHECK_PERIOD));
        let mut resizes = ticks(RESIZE_PERIOD);
        let (mut heard, mut active) = (Instant::now(), Instant::now());
        let mut typed = Vec::new();
        let mut size = None;
        loop {
            let step = tokio::select! {
                output = terminal.next() => match output {
                    Ok(bytes) => {
                        active = Instant::now();
                        self.send(Message::Binary(bytes)).await
                    }
                    Err(outcome) => Err(Gone::Ended(outcome)),
                },
                () = terminal.write(&mut typed), if !typed.is_empty() => Ok(()),
                _ = resizes.tick(), if size.is_some() => {
                    if let Some(size) = size.take() {
                        terminal.resize(size);
                    }
                    Ok(())
                }
                received = self.socket.recv(), if typed.len() < MESSAGE_BYTES_MAX => {
                    heard = Instant::now();
                    match received {
                        Some(Ok(Message::Binary(bytes))) => {
                            active = heard;
                            typed.extend_from_slice(&bytes);
                            Ok(())
                        }
                        Some(Ok(Message::Text(text))) => match resized(&text) {
                            Ok(told) => {
                                size = Some(told);
                                Ok(())
                            }
                            Err(error) => self.send(Message::Text(error.json().into())).await,
                        },
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone::Left("by whoever sat before it")),
                    }
                }
                _ = pings.tick() => {
                    let listens = typed.len() < MESSAGE_BYTES_MAX;
                    if listens && heard.elapsed() > SILENCE_MAX {
                        Err(Gone::Left("nobody answers"))
                    } else {
                        self.send(Message::Ping(Bytes::new())).await
                    }
                }
                () = tokio::time::sleep_until(active + self.api.terminal_idle) => {
                    Err(Gone::Closed(close_code::POLICY, "nothing was typed or written for a while (--terminal-idle)"))
                }
                _ = checks.tick() => {
                    if self.let_in_by.still_has(Role::Operator, &self.api).await {
                        Ok(())
                    } else {
                        Err(Gone::Closed(close_code::POLICY, "what was signed in with has ended"))
                    }
                }
                () = drain.cancelled() => {
                    Err(Gone::Closed(close_code::AWAY, "the aggregator is shutting down"))
                }
            };
            if let Err(gone) = step {
                return gone;
            }
        }
    }

    async fn say_goodbye(&mut self, gone: Gone) {
        let (code, exit_code, reason) = match gone {
            Gone::Left(_) => return,
            Gone::Closed(code, reason) => (code, None, reason.to_owned()),
            Gone::Ended(outcome) => {
                let reason = failure(&outcome).unwrap_or_default();
                (close_code::NORMAL, outcome.exit_code, reason)
            }
        };
        let ended = json!({ "ended": { "exit_code": exit_code, "reason": reason } }).to_string();
        let _ = self.send(Message::Text(ended.into())).await;
        self.close(code).await;
    }

    async fn refuse(&mut self, error: &ApiError) {
        let _ = self.send(Message::Text(error.json().into())).await;
        self.close(close_code::POLICY).await;
    }

    async fn close(&mut self, code: u16) {
        // The reason was said: a frame has room for 123 bytes only.
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(""),
        };
        let _ = self.send(Message::Close(Some(frame))).await;
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone::Left("by whoever sat before it")),
            Err(_) => Err(Gone::Left("nobody takes what is written")),
        }
    }
}

fn resized(text: &str) -> Result<TerminalSize, ApiError> {
    let said = serde_json::from_str::<Said>(text).map_err(|error| error.to_string());
    let told = said.and_then(|Said { resize }| {
        let sides = side(Some(resize.columns)).zip(side(Some(resize.rows)));
        let (columns, rows) = sides.ok_or("columns and rows are from 1 to 1000")?;
        Ok(TerminalSize { columns, rows })
    });
    told.map_err(|error| ApiError::bad_request(error, RESIZE_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Result<(Command, TerminalOpen), ApiError> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        asked(&pairs)
    }

    #[test]
    fn a_terminal_is_asked_for_by_its_command_and_size() {
        let (command, open) = query(&[]).expect("valid");
        assert_eq!(command.words().expect("valid"), None);
        assert!(open.tty && open.interactive);
        let (command, open) = query(&[
            ("command", "top"),
            ("command", "-b"),
            ("tty", "false"),
            ("columns", "120"),
        ])
        .expect("valid");
        let words = command.words().expect("valid").expect("a command");
        assert_eq!(
            (words.as_slice(), open.tty),
            (&["top".to_owned(), "-b".to_owned()][..], false)
        );
        assert_eq!(
            open.size.map(|size| (size.columns, size.rows)),
            Some((120, 24))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            ("tty", "maybe"),
            ("columns", "0"),
            ("rows", "1001"),
            ("user", "root"),
        ] {
            let refused = query(&[bad]).expect_err("refused");
            assert!(refused.reason().contains(bad.0), "{bad:?}");
        }
        for bad in [
            "",
            "{}",
            "{\"resize\":{\"columns\":0,\"rows\":1}}",
            "{\"input\":\"ls\"}",
        ] {
            assert!(resized(bad).is_err(), "{bad}");
        }
        let told = resized("{\"resize\":{\"columns\":80,\"rows\":24}}").expect("valid");
        assert_eq!((told.columns, told.rows), (80, 24));
    }
}
