//! `GET /api/v1/ws`: a view, live. The server sends `TopologyDiff`s as JSON texts, the first with
//! `reset`; the client may send `{"view": "...", "options": {...}}` to look at another view, and with
//! `"at": UNIX-MILLISECONDS` at the view as it was: one whole view, with `past`, and nothing after it.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use mesoscope_proto::v1::{TopologyDiff, ViewOptions};
use mesoscope_topology::{Options, ViewKind};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::access::LetInBy;
use super::error::ApiError;
use super::{Api, parameters, query};
use crate::views::{self, Subscription};

/// Largest message of a client.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
pub(super) const PING_PERIOD: Duration = Duration::from_secs(20);
/// Whether the client would still be let in is asked so often.
pub(super) const CHECK_PERIOD: Duration = Duration::from_secs(5);
/// A client that has said nothing for so long, pongs included, is gone.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(70);
/// A client that does not take a message within this is gone.
pub(super) const SEND_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    view: String,
    #[serde(default)]
    options: ViewOptions,
    /// A moment in Unix milliseconds; live without it.
    at: Option<u64>,
}

/// What a client looks at.
enum Watched {
    Live(Subscription),
    /// The past does not change: it is told once.
    Past(Option<Box<TopologyDiff>>),
}

impl Watched {
    /// The next message; waits for it. Nothing is lost when the future is dropped.
    async fn next(&mut self, deflates: bool) -> Message {
        match self {
            Self::Live(subscription) => {
                let message = subscription.next().await;
                if deflates {
                    Message::Binary(message.deflated())
                } else {
                    Message::Text(message.json())
                }
            }
            Self::Past(view) => match view.take() {
                Some(view) if deflates => Message::Binary(views::deflated(&view)),
                Some(view) => Message::Text(views::to_json(&view).into()),
                None => std::future::pending().await,
            },
        }
    }
}

/// A view, live: a WebSocket of `TopologyDiff`s as JSON texts, the first with `reset`.
///
/// With `compress=deflate` they come as binary messages: eight bytes of sequence number, the highest
/// first, which counts and not the one in the JSON; then the JSON, compressed by RFC 1951. Send
/// `{"view": "...", "options": {...}}` to look at another view; with `"at": UNIX-MILLISECONDS`, at the
/// view as it was: one whole view with `past`. Without `at` it is live again. Pings are answered.
#[utoipa::path(get, path = "/api/v1/ws", tag = "map", operation_id = "watch_topology",
    params(
        parameters::ViewWithOptions,
        parameters::At,
        ("compress" = Option<String>, Query, description = "`deflate`: compressed binary messages"),
    ),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "A parameter that makes no sense, or no upgrade was asked for"),
        (status = 426, description = "The connection can't be upgraded"),
    ))]
pub(super) async fn open(
    State(api): State<Api>,
    Extension(let_in_by): Extension<LetInBy>,
    Query(mut pairs): Query<Vec<(String, String)>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let deflates = deflates(&mut pairs)?;
    let (at_ms, pairs) = query::moment(pairs)?;
    let (kind, options) = query::view(&pairs)?;
    let upgrade = upgrade
        .map_err(|error| ApiError::new(error.status(), error.body_text(), "open a WebSocket here"))?
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let reason = Live {
            api,
            let_in_by,
            socket,
            deflates,
        }
        .serve(kind, options, at_ms)
        .await;
        tracing::debug!(?reason, "WebSocket closed");
    }))
}

/// Whether the client asks for compressed messages; takes that out of its parameters.
fn deflates(pairs: &mut Vec<(String, String)>) -> Result<bool, ApiError> {
    let asked = pairs.extract_if(.., |(key, _)| key == "compress");
    let mut deflates = false;
    for (_, value) in asked {
        if value != "deflate" {
            let error = format!("unknown compression {value:?}");
            return Err(ApiError::bad_request(error, "compress=deflate"));
        }
        deflates = true;
    }
    Ok(deflates)
}

/// Why a connection ended.
#[derive(Debug)]
enum Gone {
    Closed,
    Silent,
    Slow,
    Drained,
    SignedOut,
}

struct Live {
    api: Api,
    let_in_by: LetInBy,
    socket: WebSocket,
    /// Differences go out compressed.
    deflates: bool,
}

impl Live {
    async fn serve(mut self, kind: ViewKind, options: Options, at_ms: Option<u64>) -> Gone {
        let mut watched = match self.watch(kind, options, at_ms).await {
            Ok(watched) => watched,
            Err(error) => {
                let _ = self.send(Message::Text(error.json().into())).await;
                return Gone::Closed;
            }
        };
        let drain = self.api.drain.clone();
        let mut pings = tokio::time::interval(PING_PERIOD);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checks = tokio::time::interval(CHECK_PERIOD);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                message = watched.next(self.deflates) => self.send(message).await,
                received = self.socket.recv() => {
                    heard = Instant::now();
                    match received {
                        Some(Ok(Message::Text(text))) => self.switch(&text, &mut watched).await,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                        Some(Ok(Message::Binary(_))) => {
                            let hint = "send JSON as text";
                            let error = ApiError::bad_request("binary messages mean nothing here", hint);
                            self.send(Message::Text(error.json().into())).await
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone::Closed),
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        Err(Gone::Silent)
                    } else {
                        self.send(Message::Ping(Bytes::new())).await
                    }
                }
                _ = checks.tick() => {
                    if self.let_in_by.still_holds(&self.api).await {
                        Ok(())
                    } else {
                        let frame = CloseFrame {
                            code: close_code::POLICY,
                            reason: Utf8Bytes::from_static("what was signed in with has ended"),
                        };
                        let _ = self.send(Message::Close(Some(frame))).await;
                        Err(Gone::SignedOut)
                    }
                }
                () = drain.cancelled() => {
                    let frame = CloseFrame {
                        code: close_code::AWAY,
                        reason: Utf8Bytes::from_static("the aggregator is shutting down"),
                    };
                    let _ = self.send(Message::Close(Some(frame))).await;
                    Err(Gone::Drained)
                }
            };
            if let Err(gone) = step {
                return gone;
            }
        }
    }

    async fn watch(
        &mut self,
        kind: ViewKind,
        options: Options,
        at_ms: Option<u64>,
    ) -> Result<Watched, ApiError> {
        if at_ms.is_some() {
            let view = self.api.view(at_ms, kind, options).await?;
            return Ok(Watched::Past(Some(Box::new(TopologyDiff {
                sequence: 1,
                ..view
            }))));
        }
        let subscribed = self.api.views.subscribe(kind, options, "websocket").await;
        subscribed
            .map(Watched::Live)
            .map_err(|full| ApiError::bad_request(full, "try again in a minute"))
    }

    /// Looks at another view; on an error the present one goes on.
    async fn switch(&mut self, text: &str, watched: &mut Watched) -> Result<(), Gone> {
        let asked = serde_json::from_str::<Subscribe>(text).map_err(|error| {
            let hint = "{\"view\": \"containers\", \"options\": {\"ended\": false}}";
            ApiError::bad_request(format!("not a subscription: {error}"), hint)
        });
        let wanted = asked.and_then(|asked| {
            let kind = query::kind_of(&asked.view)?;
            Ok((kind, query::options(kind, &asked.options)?, asked.at))
        });
        let switched = match wanted {
            Ok((kind, options, at_ms)) => self.watch(kind, options, at_ms).await,
            Err(error) => Err(error),
        };
        match switched {
            Ok(switched) => {
                *watched = switched;
                Ok(())
            }
            Err(error) => self.send(Message::Text(error.json().into())).await,
        }
    }

    /// Sends, however long it takes within the deadline: what comes meanwhile is merged.
    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone::Closed),
            Err(_) => Err(Gone::Slow),
        }
    }
}
