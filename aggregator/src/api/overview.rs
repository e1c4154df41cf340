//! The views, how much each has, and what their options choose from: `/api/v1/views`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use mesoscope_topology::ViewKind;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Api;
use super::error::ApiError;
use crate::config::LabelFilter;
use crate::core::Core;

/// It is counted anew so often at most, however many ask.
const KEPT: Duration = Duration::from_secs(5);
/// Nodes and edges visited under one lock: agents wait that long.
const VISITS_PER_LOCK: usize = 5_000;

/// The views.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Overview {
    views: Vec<View>,
    /// Namespaces of Kubernetes that containers are in, at most 1,000.
    namespaces: Vec<String>,
    /// Networks that containers are in, at most 1,000.
    networks: Vec<String>,
    /// Filters of views of processes and containers, by the configuration of the aggregator.
    label_filters: Vec<LabelFilter>,
}

/// A view, whatever its options leave out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ViewSize)]
struct View {
    view: &'static str,
    /// But for those that no agent sees.
    nodes: usize,
    edges: usize,
}

/// What was counted last.
#[derive(Debug, Default)]
pub struct Overviews(Mutex<Option<(Instant, Arc<Overview>)>>);

/// The views with their numbers of nodes and edges, and what their options choose from.
///
/// Counted at most every 5 s.
#[utoipa::path(get, path = "/api/v1/views", tag = "map", operation_id = "list_views",
    responses((status = 200, description = "The views", body = Overview)))]
pub(super) async fn views(State(api): State<Api>) -> Result<Json<Overview>, ApiError> {
    let mut last = api.overviews.0.lock().await;
    if let Some((at, overview)) = &*last
        && at.elapsed() < KEPT
    {
        return Ok(Json((**overview).clone()));
    }
    let core = api.core.clone();
    let label_filters = api.label_filters.to_vec();
    let counted = tokio::task::spawn_blocking(move || overview(&core, label_filters)).await;
    let overview = counted.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            panicked,
            hint,
        )
    })?;
    *last = Some((Instant::now(), Arc::new(overview.clone())));
    Ok(Json(overview))
}

fn overview(core: &Core, label_filters: Vec<LabelFilter>) -> Overview {
    let views = ViewKind::ALL.into_iter().map(|kind| {
        let mut counting = core.read().begin_counting(kind);
        while core.read().count(&mut counting, VISITS_PER_LOCK) {}
        let size = counting.size();
        View {
            view: kind.name(),
            nodes: size.nodes,
            edges: size.edges,
        }
    });
    let views = views.collect();
    let choices = core.read().choices();
    Overview {
        views,
        namespaces: choices.namespaces.into_iter().collect(),
        networks: choices.networks.into_iter().collect(),
        label_filters,
    }
}
