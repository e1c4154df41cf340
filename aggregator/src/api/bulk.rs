//! One action on many containers.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::ContainerVerb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::LetInBy;
use super::error::ApiError;

/// Containers of one request.
const CONTAINERS_MAX: usize = 200;
/// Of one request under way at once: half of what one agent allows.
const AT_ONCE: usize = 8;
const HINT: &str = "{\"action\": \"stop\", \"containers\": [\"4f1c2a9b7d03\", ...]} with at most 200 containers; \
                    start, stop, restart, pause, unpause, kill or remove";

/// What can be done to many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Start,
    Stop,
    Restart,
    Pause,
    Unpause,
    Kill,
    Remove,
}

impl From<Action> for ContainerVerb {
    fn from(action: Action) -> Self {
        match action {
            Action::Start => Self::Start,
            Action::Stop => Self::Stop,
            Action::Restart => Self::Restart,
            Action::Pause => Self::Pause,
            Action::Unpause => Self::Unpause,
            Action::Kill => Self::Kill,
            Action::Remove => Self::Remove,
        }
    }
}

/// An action, and on which containers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkAction)]
pub(super) struct Asked {
    action: Action,
    /// Their ids, the first 12 digits of them, or their nodes' ids.
    #[schema(min_items = 1, max_items = 200)]
    containers: Vec<String>,
    /// Removes also what still runs.
    #[serde(default)]
    force: bool,
}

impl Asked {
    fn checked(self) -> Result<Self, ApiError> {
        let refused = |error: String| Err(ApiError::bad_request(error, HINT));
        if self.containers.is_empty() {
            return refused("no containers are named".to_owned());
        }
        if self.containers.len() > CONTAINERS_MAX {
            let count = self.containers.len();
            return refused(format!("{count} containers are more than {CONTAINERS_MAX}"));
        }
        if self.force && self.action != Action::Remove {
            return refused("force is for remove only".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.containers.iter().find(|id| !seen.insert(*id)) {
            return refused(format!("{twice:?} is named twice"));
        }
        Ok(self)
    }
}

/// What came of one of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkOutcome)]
pub(super) struct Told {
    /// As it was named.
    container: String,
    /// What its own request would have answered: 204 where it is done.
    status: u16,
    /// What was wrong; empty where it is done.
    error: String,
    /// What to do.
    hint: String,
}

/// Acts on many containers.
///
/// Needs the role operator. The answer is a line of JSON for each, as soon as it is known; eight are under
/// way at once. What has not begun when the client goes away is not begun. Each has its own entries
/// in the audit.
#[utoipa::path(post, path = "/api/v1/control/bulk", tag = "containers",
    operation_id = "act_on_containers",
    request_body = Asked,
    responses(
        (status = 200, description = "What came of each, a line of JSON each", body = Told,
            content_type = "application/x-ndjson"),
        (status = 400, description = "None, too many or the same one twice: nothing was done"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
    ))]
pub(super) async fn act(
    State(api): State<Api>,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    let Json(asked) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    let asked = asked.checked()?;
    let (verb, force) = (ContainerVerb::from(asked.action), asked.force);
    let each = stream::iter(asked.containers).map(move |container| {
        let (api, identity, let_in_by) = (api.clone(), identity.clone(), let_in_by.clone());
        async move { one(&api, &identity, &let_in_by, container, verb, force).await }
    });
    let lines = each.buffer_unordered(AT_ONCE).map(|told| {
        let mut line = serde_json::to_vec(&told).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, std::convert::Infallible>(Bytes::from(line))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        // Compressed, lines would wait until there are enough of them.
        (header::CONTENT_ENCODING, "identity"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// It may have taken a while until its turn came: whoever asked may not be let in any more.
async fn one(
    api: &Api,
    identity: &Identity,
    let_in_by: &LetInBy,
    container: String,
    verb: ContainerVerb,
    force: bool,
) -> Told {
    let done = if let_in_by.still_has(Role::Operator, api).await {
        api.act(identity, &container, verb, force).await
    } else {
        let error = "what was signed in with has ended";
        let hint = "it was not done; sign in and try again";
        Err(ApiError::new(
            axum::http::StatusCode::UNAUTHORIZED,
            error,
            hint,
        ))
    };
    match done {
        Ok(status) => Told {
            container,
            status: status.as_u16(),
            error: String::new(),
            hint: String::new(),
        },
        Err(error) => Told {
            container,
            status: error.status().as_u16(),
            error: error.reason().to_owned(),
            hint: error.hint().to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<Asked, String> {
        let asked: Asked = serde_json::from_str(json).map_err(|error| error.to_string())?;
        asked.checked().map_err(|error| error.reason().to_owned())
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_done() {
        let plain = checked("{\"action\": \"stop\", \"containers\": [\"a\", \"b\"]}");
        assert_eq!(plain.expect("valid").containers.len(), 2);
        let many: Vec<String> = (0..=CONTAINERS_MAX).map(|id| format!("\"{id}\"")).collect();
        let many = format!(
            "{{\"action\": \"stop\", \"containers\": [{}]}}",
            many.join(",")
        );
        for (bad, because) in [
            (
                "{\"action\": \"stop\", \"containers\": []}",
                "no containers",
            ),
            ("{\"action\": \"dance\", \"containers\": [\"a\"]}", "dance"),
            (
                "{\"action\": \"stop\", \"containers\": [\"a\", \"a\"]}",
                "twice",
            ),
            (
                "{\"action\": \"stop\", \"containers\": [\"a\"], \"force\": true}",
                "force",
            ),
            (
                "{\"action\": \"stop\", \"containers\": [\"a\"], \"all\": true}",
                "all",
            ),
            (&many, "more than 200"),
        ] {
            let refused = checked(bad).expect_err("refused");
            assert!(refused.contains(because), "{bad}: {refused}");
        }
    }
}
