//! `/metrics` and `/health`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mesoscope_service::access::{self, Access};
use tokio::sync::{mpsc, oneshot};

use super::metrics::{self, Figures};

/// Asks the driver for its figures.
pub type Asks = mpsc::Sender<oneshot::Sender<Box<Figures>>>;

/// The routes. `/health` is open to everyone, so that a probe of the orchestrator needs no token.
pub fn router(asks: Asks, access: Access) -> Router {
    let protected = Router::new()
        .route("/metrics", get(scrape))
        .layer(axum::middleware::from_fn_with_state(access, access::http));
    Router::new()
        .route("/health", get(health))
        .merge(protected)
        .with_state(asks)
}

async fn figures(asks: &Asks) -> Option<Box<Figures>> {
    let (answer, answered) = oneshot::channel();
    asks.send(answer).await.ok()?;
    answered.await.ok()
}

async fn scrape(State(asks): State<Asks>) -> Response {
    let Some(figures) = figures(&asks).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent is ending\n").into_response();
    };
    match metrics::render(&figures) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The agent is healthy while it observes, whether or not the aggregator is there.
async fn health(State(asks): State<Asks>) -> Response {
    let Some(figures) = figures(&asks).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent is ending\n").into_response();
    };
    let body = serde_json::json!({
        "status": "ok",
        "agent_id": figures.agent_id,
        "connected": figures.connected,
        "governor": figures.governor,
        "gaps_open": figures.gaps_open,
    });
    axum::Json(body).into_response()
}
