//! All that the map has, for who looks for a fault: `/api/v1/debug/report`, for admins.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::{TopologyDiff, ViewOptions};
use mesoscope_topology::{Options, ViewKind};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ApiError;
use super::{Api, figures};

/// Pieces that wait for the client.
const PIECES_MAX: usize = 4;
const PIECE_BYTES: usize = 64 << 10;
/// How much a reader of the file may rely on.
const FORMAT: u32 = 1;

/// One at a time: each holds a copy of a view.
#[derive(Debug, Clone)]
pub struct Dumps(Arc<Semaphore>);

impl Default for Dumps {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The whole map as JSON lines: what wrote it and how full everything is, the agents, then the nodes and
/// edges of the views of hosts, containers and processes, nothing left out.
///
/// Needs the role admin: command lines may hold secrets. Environment variables are not in it.
#[utoipa::path(get, path = "/api/v1/debug/report", tag = "aggregator", operation_id = "debug_report",
    responses(
        (status = 200, description = "A thing a line", body = String,
            content_type = "application/x-ndjson"),
        (status = 503, description = "Another one is being made, or too many views are watched"),
    ))]
pub(super) async fn report(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, ApiError> {
    identity.require(Role::Admin)?;
    let busy = |error: String| {
        let hint = "try again in a minute";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    };
    let turn = api.dumps.0.clone().try_acquire_owned();
    let turn = turn.map_err(|_| busy("another report is being made".to_owned()))?;
    // The first view before the answer begins: a refusal is an answer of its own.
    let hosts = whole(&api, ViewKind::Hosts).await;
    let hosts = hosts.map_err(|full| busy(full.to_string()))?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    tokio::spawn(async move {
        let mut lines = Lines::new(sender, turn);
        let head = Head {
            mesoscope_report: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            time_unix_ms: api.core.now_ms(),
            figures: figures::figures(&api),
        };
        lines.put(&head).await?;
        for agent in api.agents() {
            lines.put(&Line::Agent(&agent)).await?;
        }
        lines.view(hosts).await?;
        // Where one can't be had, the report ends without its last line.
        for kind in [ViewKind::Containers, ViewKind::Processes] {
            lines.view(whole(&api, kind).await.ok()?).await?;
        }
        lines.put(&Line::End(true)).await?;
        lines.flush().await
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"mesoscope-report.jsonl\"",
        ),
    ];
    let stream = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
    Ok((headers, Body::from_stream(stream)).into_response())
}

async fn whole(api: &Api, kind: ViewKind) -> Result<TopologyDiff, crate::views::ViewsFull> {
    let all = ViewOptions {
        unconnected: Some(true),
        ended: Some(true),
        kernel_threads: Some(true),
        system: Some(true),
        uncontained: Some(true),
        ..ViewOptions::default()
    };
    api.views.snapshot(kind, Options::new(kind, &all)).await
}

#[derive(Serialize)]
struct Head<T> {
    mesoscope_report: u32,
    version: &'static str,
    time_unix_ms: u64,
    figures: T,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Agent(&'a mesoscope_proto::v1::AgentInfo),
    Incomplete(&'a mesoscope_proto::v1::Incomplete),
    Node(InView<'a, mesoscope_proto::v1::Node>),
    Edge(InView<'a, mesoscope_proto::v1::Edge>),
    /// Without it the report was cut off.
    End(bool),
}

#[derive(Serialize)]
struct InView<'a, T> {
    view: &'a str,
    #[serde(flatten)]
    item: &'a T,
}

/// Lines, sent in pieces. Nothing goes on once the client is gone.
struct Lines {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl Lines {
    fn new(sender: mpsc::Sender<Bytes>, turn: OwnedSemaphorePermit) -> Self {
        Self {
            sender,
            piece: Vec::new(),
            _turn: turn,
        }
    }

    async fn put(&mut self, line: &impl Serialize) -> Option<()> {
        serde_json::to_writer(&mut self.piece, line).ok()?;
        self.piece.push(b'\n');
        if self.piece.len() < PIECE_BYTES {
            return Some(());
        }
        self.flush().await
    }

    async fn view(&mut self, whole: TopologyDiff) -> Option<()> {
        let view = &*whole.view;
        for incomplete in &whole.incomplete {
            self.put(&Line::Incomplete(incomplete)).await?;
        }
        for item in &whole.nodes {
            self.put(&Line::Node(InView { view, item })).await?;
        }
        for item in &whole.edges {
            self.put(&Line::Edge(InView { view, item })).await?;
        }
        Some(())
    }

    async fn flush(&mut self) -> Option<()> {
        let piece = std::mem::take(&mut self.piece);
        self.sender.send(piece.into()).await.ok()
    }
}
