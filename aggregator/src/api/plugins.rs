//! Controls of plugins, pressed through the agent of their node.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::ControlResult;
use mesoscope_proto::v1::control_request::Message;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::OfTheEngine;
use super::error::ApiError;
use super::{Api, query};
use crate::control::ControlError;

/// What came of a control of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pressed {
    /// In the words of the plugin; may be empty.
    message: String,
}

/// Presses a control that a plugin offers at a node.
///
/// Needs the role operator.
#[utoipa::path(post, path = "/api/topology/{view}/{id}/plugins/{plugin}/{control}", tag = "map",
    operation_id = "press_plugin_control",
    params(
        ("view" = String, Path, description = "The view"),
        ("id" = String, Path, description = "The node's id, percent-encoded"),
        ("plugin" = String, Path, description = "The plugin's name"),
        ("control" = String, Path, description = "The control's key, of those that the node's details list"),
    ),
    responses(
        (status = 200, description = "It is done", body = Pressed),
        (status = 400, description = "No such view"),
        OfTheEngine,
    ))]
pub(super) async fn press(
    State(api): State<Api>,
    Path((view, id, plugin, control)): Path<(String, String, String, String)>,
    Extension(identity): Extension<Identity>,
) -> Result<Json<Pressed>, ApiError> {
    let kind = query::kind_of(&view)?;
    identity.require(Role::Operator)?;
    let now_ms = api.core.now_ms();
    let place = api
        .core
        .read()
        .plugin_control(kind, &id, &plugin, &control, now_ms);
    let place = place.ok_or_else(|| {
        let error = format!("no plugin {plugin:?} offers {control:?} at {id:?} now");
        let hint = "GET /api/topology/VIEW/ID lists what plugins offer";
        ApiError::not_found(error, hint)
    })?;
    let agent = place.agent;
    let parameters = serde_json::json!({ "agent": agent.agent_id });
    let entry = identity.entry(&format!("plugin.{plugin}.{control}"), &id);
    let entry = entry.with_parameters(parameters);
    // Goes on when the client goes away, so that its outcome is recorded.
    let pressing = tokio::spawn(async move {
        let done = async {
            let message = Message::Press(place.press);
            let asked = api.control.ask(&agent.agent_id, agent.generation, message);
            Ok(asked.await.map_err(of_a_plugin)?.message)
        };
        api.audited(entry, done).await
    });
    let message = pressing.await.map_err(|panicked| {
        let hint = "the aggregator's log says more; report this";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
    })??;
    Ok(Json(Pressed { message }))
}

/// Why it was not done; what concerns the agent alone is as for containers.
fn of_a_plugin(error: ControlError) -> ApiError {
    let ControlError::Refused(result, _) = &error else {
        return error.into();
    };
    let (status, hint) = match result {
        ControlResult::NotFound => (
            StatusCode::NOT_FOUND,
            "the plugin was ended or offers it no more: ask for the node's details again",
        ),
        ControlResult::Busy => (StatusCode::SERVICE_UNAVAILABLE, "try again in a minute"),
        ControlResult::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "look after the plugin: the details of its host say how it is, and the agent's log why",
        ),
        _ => (StatusCode::BAD_GATEWAY, "the agent's log may say more"),
    };
    ApiError::new(status, &error, hint)
}
