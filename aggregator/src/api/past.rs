//! The map as it was: how far back it goes, and reading it like the live one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mesoscope_history::{OutOfReach, RESOLUTION_MS};
use mesoscope_proto::v1::{NodeDetails, TopologyDiff};
use mesoscope_topology::{Options, Topology, ViewKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::error::ApiError;
use crate::archive::{PastRefused, Recalled};
use crate::core::Core;

const HINT: &str =
    "at=TIME in Unix milliseconds; GET /api/v1/history says how far back the map can be shown";

/// How far back the map can be shown as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// The first moment.
    from_unix_ms: u64,
    /// The last moment.
    to_unix_ms: u64,
    /// Moments lie so far apart: of the one that is asked for, or the last before it.
    resolution_ms: u64,
    /// How far back it is to go.
    retention_ms: u64,
    /// It reaches less far back, or leaves agents out, since its memory is full.
    shortened: bool,
    /// Agents of which nothing is kept for want of memory.
    agents_left_out: usize,
    bytes: usize,
    bytes_max: usize,
    /// By the aggregator's clock.
    now_unix_ms: u64,
}

/// How far back the map can be shown as it was.
#[utoipa::path(get, path = "/api/v1/history", tag = "map", operation_id = "history",
    responses((status = 200, description = "How far back it goes", body = History)))]
pub(super) async fn reach(State(api): State<Api>) -> Json<History> {
    let (reach, limits) = (api.archive.reach(), api.archive.limits());
    Json(History {
        from_unix_ms: reach.from_ms,
        to_unix_ms: reach.to_ms,
        resolution_ms: RESOLUTION_MS,
        retention_ms: limits.keep_ms,
        shortened: reach.shortened,
        agents_left_out: reach.agents_left_out,
        bytes: reach.bytes,
        bytes_max: limits.bytes_max,
        now_unix_ms: api.core.now_ms(),
    })
}

/// The map, as it is or as it was.
#[derive(Debug, Clone)]
pub(super) enum Map {
    Live(Arc<Core>),
    Past(Arc<Recalled>),
}

impl Map {
    /// Reads what a view of this kind needs, with the time that it is of. Of the past it blocks for longer:
    /// call it off the async threads.
    pub(super) fn read<T>(&self, kind: ViewKind, read: impl FnOnce(&Topology, u64) -> T) -> T {
        match self {
            Self::Live(core) => read(&core.read(), core.now_ms()),
            Self::Past(moment) => read(&moment.topology(kind), moment.at_ms()),
        }
    }
}

impl Api {
    /// The map as it is, or as it was at a time.
    pub(super) async fn map(&self, at_ms: Option<u64>) -> Result<Map, ApiError> {
        Ok(match at_ms {
            None => Map::Live(self.core.clone()),
            Some(at_ms) => Map::Past(self.archive.recall(at_ms).await?),
        })
    }

    /// [`Map::read`] off the async threads where it is of the past.
    pub(super) async fn read_map<T: Send + 'static>(
        &self,
        at_ms: Option<u64>,
        kind: ViewKind,
        read: impl FnOnce(&Topology, u64) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.map(at_ms).await? {
            live @ Map::Live(_) => Ok(live.read(kind, read)),
            past => off_thread(move || past.read(kind, read)).await,
        }
    }

    /// Everything that was known of one node at a time.
    pub(super) async fn node_at(
        &self,
        at_ms: u64,
        kind: ViewKind,
        id: String,
        environment: bool,
    ) -> Result<Option<NodeDetails>, ApiError> {
        let moment = self.archive.recall(at_ms).await?;
        off_thread(move || moment.node(kind, &id, environment)).await
    }

    /// A whole view, as it is or as it was at a time.
    pub(super) async fn view(
        &self,
        at_ms: Option<u64>,
        kind: ViewKind,
        options: Options,
    ) -> Result<TopologyDiff, ApiError> {
        if let Some(at_ms) = at_ms {
            let moment = self.archive.recall(at_ms).await?;
            return Ok(self.views.past(kind, options, moment).await);
        }
        let snapshot = self.views.snapshot(kind, options).await;
        snapshot.map_err(|full| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                full,
                "try again in a minute",
            )
        })
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
    })
}

impl From<PastRefused> for ApiError {
    fn from(refused: PastRefused) -> Self {
        let status = match refused {
            PastRefused::OutOfReach(OutOfReach::TooOld { .. }) => StatusCode::NOT_FOUND,
            PastRefused::OutOfReach(OutOfReach::Future) => StatusCode::BAD_REQUEST,
            PastRefused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        let hint = match refused {
            PastRefused::OutOfReach(_) => HINT,
            PastRefused::Busy => "try again in a few seconds",
        };
        Self::new(status, refused, hint)
    }
}
