//! Labels that people give to nodes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use mesoscope_access::{Identity, Role};
use mesoscope_topology::ViewKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::error::ApiError;
use crate::labels::LabelsError;

const HINT: &str = "{\"labels\": {\"team\": \"shop\"}}: at most 32, keys of 1 to 64 letters, digits, -, _, . and /, \
                    values of 1 to 256 bytes in one line";

/// The labels of a node that people gave it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NodeLabels)]
pub(super) struct Given {
    labels: BTreeMap<String, String>,
}

/// The labels that people gave a node.
///
/// Those of its engine are in its details only.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/labels", tag = "map", operation_id = "node_labels",
    params(("id" = String, Path, description = "A node's id")),
    responses((status = 200, description = "Its labels; none where it has none", body = Given)))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Json<Given> {
    Json(Given {
        labels: api.labels.of(&id),
    })
}

/// Gives a node these labels and no others.
///
/// Needs the role operator. They are shown in its details and found by search (`labels:team=shop`), and kept in
/// `--data-dir` as long as there is room for them.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/labels", tag = "map", operation_id = "set_node_labels",
    params(("id" = String, Path, description = "The id of a process, container, host or what is outside")),
    request_body = Given,
    responses(
        (status = 204, description = "It has them"),
        (status = 400, description = "Not such labels"),
        (status = 404, description = "No such node"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 500, description = "They can't be written"),
        (status = 503, description = "A bound is reached"),
        (status = 507, description = "It can't be recorded, and was not done"),
    ))]
pub(super) async fn set(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Given>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    identity.require(Role::Operator)?;
    let Json(given) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    if !is_there(&api, &id) {
        let error = format!("no view has a node {id:?} that can be given labels");
        let hint = "the id of a process, container or host; groups have those of what is in them";
        return Err(ApiError::not_found(error, hint));
    }
    let parameters = serde_json::json!({ "labels": given.labels });
    let entry = identity
        .entry("node.labels", &id)
        .with_parameters(parameters);
    let setting = api.clone();
    let done = api.audited(entry, async move {
        // It waits for the disk.
        let set = tokio::task::spawn_blocking(move || {
            let there = |id: &str| is_there(&setting, id);
            let gone = setting.labels.set(&id, given.labels.clone(), there)?;
            setting.core.change(|topology, _, _| {
                for other in gone {
                    topology.set_labels(&other, BTreeMap::new());
                }
                topology.set_labels(&id, given.labels);
            });
            Ok::<_, LabelsError>(())
        });
        let set = set.await.map_err(|panicked| {
            let hint = "the aggregator's log says more; report this";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
        })?;
        Ok(set.map(|()| StatusCode::NO_CONTENT)?)
    });
    done.await
}

fn is_there(api: &Api, id: &str) -> bool {
    let topology = api.core.read();
    [ViewKind::Processes, ViewKind::Containers, ViewKind::Hosts]
        .into_iter()
        .any(|view| topology.has_node(view, id))
}

impl From<LabelsError> for ApiError {
    fn from(error: LabelsError) -> Self {
        let (status, hint) = match &error {
            LabelsError::Refused(_) => (StatusCode::BAD_REQUEST, HINT),
            LabelsError::TooMany => (
                StatusCode::SERVICE_UNAVAILABLE,
                "take the labels of other nodes away",
            ),
            LabelsError::Store { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "nothing was changed; make room for --data-dir or repair it, and try again",
            ),
        };
        Self::new(status, &error, hint)
    }
}
