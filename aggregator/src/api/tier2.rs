//! Switching tier 2, and agents and nodes with what is set for them.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::{AgentInfo, NodeDetails};
use mesoscope_topology::ViewKind;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::error::ApiError;
use crate::store::ChangeError;
use crate::tier2::{self, Refused, Setting};

/// Containers in one request.
const CONTAINERS_MAX: usize = 1_000;
const HINT: &str =
    "{\"enabled\": true, \"containers\": [\"ID\", ...]}; no containers: the whole node";

/// What tier 2 is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Tier2Switch)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    enabled: bool,
    /// Ids, or their first 12 digits; none: the whole node. At most 1,000.
    #[serde(default)]
    containers: Vec<String>,
}

/// Turns the costlier observation on or off, for the whole node or for some of its containers.
///
/// Needs the role operator.
#[utoipa::path(post, path = "/api/v1/agents/{agent_id}/tier2", tag = "agents",
    operation_id = "switch_tier2",
    params(("agent_id" = String, Path, description = "The agent")),
    request_body = Asked,
    responses(
        (status = 204, description = "It is written down and told to the agent"),
        (status = 400, description = "Too many containers, or not JSON"),
        (status = 404, description = "No such agent is connected, or it reports no such container"),
        (status = 409, description = "One container can't be left out while it is on for the node"),
        (status = 415, description = "The content type is not JSON"),
        (status = 422, description = "Not such a body"),
        (status = 507, description = "Too many settings, or no room on the disk"),
    ))]
pub(super) async fn switch(
    State(api): State<Api>,
    Path(agent_id): Path<String>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    identity.require(Role::Operator)?;
    let Json(asked) =
        body.map_err(|error| ApiError::new(error.status(), error.body_text(), HINT))?;
    if asked.containers.len() > CONTAINERS_MAX || asked.containers.iter().any(|id| id.len() > 256) {
        let error = format!("at most {CONTAINERS_MAX} containers of at most 256 bytes");
        return Err(ApiError::bad_request(error, HINT));
    }
    if !api.registry.is_connected(&agent_id) {
        let error = format!("no agent {agent_id:?} is connected");
        let hint = "GET /api/v1/agents/list lists the agents";
        return Err(ApiError::not_found(error, hint));
    }
    let enabled = asked.enabled;
    let containers = api.full_ids(&agent_id, &asked)?;
    let parameters = serde_json::json!({ "enabled": enabled, "containers": containers });
    let entry = identity
        .entry("agent.tier2", &agent_id)
        .with_parameters(parameters);
    api.audited(entry, api.switched(agent_id, enabled, containers))
        .await
}

impl Api {
    /// All agents, with what operators set for each.
    pub(super) fn agents(&self) -> Vec<AgentInfo> {
        let mut agents = self.core.read().agents(self.core.now_ms());
        for agent in &mut agents {
            agent.settings = self.settings.of(&agent.agent_id).map(Into::into);
        }
        agents
    }

    /// One agent, with what operators set for it.
    pub(super) fn agent(&self, agent_id: &str) -> Option<AgentInfo> {
        let agent = self.core.read().agent(agent_id, self.core.now_ms());
        agent.map(|agent| AgentInfo {
            settings: self.settings.of(agent_id).map(Into::into),
            ..agent
        })
    }

    /// Everything known of one node, with how tier 2 stands there.
    pub(super) fn node(&self, kind: ViewKind, id: &str, environment: bool) -> Option<NodeDetails> {
        let topology = self.core.read();
        let mut details = topology.node(kind, id, environment)?;
        if let Some(node) = &details.node {
            details.links = self.links.iter().filter_map(|link| link.of(node)).collect();
        }
        if let Some(place) = topology.place(kind, id, self.core.now_ms()) {
            let agent = &place.agent;
            let setting = self.settings.of(&agent.agent_id);
            details.tier2 = Some(tier2::standing(&place, setting.as_ref()));
            let control = || self.control_of(agent);
            details.control = place.container.is_some().then(control);
        }
        Some(details)
    }

    /// The full ids of the containers asked for. To turn off, an id may be of a container that is
    /// gone.
    fn full_ids(&self, agent_id: &str, asked: &Asked) -> Result<Vec<String>, ApiError> {
        let topology = self.core.read();
        let full = |typed: &String| match topology.find_container(agent_id, typed) {
            Some(container) => Ok(container.id.to_string()),
            None if !asked.enabled => Ok(typed.clone()),
            None => Err(ApiError::not_found(
                format!("agent {agent_id:?} reports no container {typed:?}"),
                "its id, or the first 12 digits where they are one container's",
            )),
        };
        asked.containers.iter().map(full).collect()
    }

    async fn switched(
        &self,
        agent_id: String,
        enabled: bool,
        containers: Vec<String>,
    ) -> Result<StatusCode, ApiError> {
        let changed = {
            let (api, agent_id) = (self.clone(), agent_id.clone());
            // It writes to the disk.
            tokio::task::spawn_blocking(move || api.set(&agent_id, enabled, containers)).await
        };
        changed
            .map_err(|panicked| {
                let hint = "the aggregator's log says more; report this";
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
            })?
            .map_err(|error| self.refusal(&error))?;
        self.registry.tell_settings(&agent_id);
        Ok(StatusCode::NO_CONTENT)
    }

    /// Blocks for the disk.
    fn set(
        &self,
        agent_id: &str,
        enabled: bool,
        containers: Vec<String>,
    ) -> Result<Setting, ChangeError> {
        let now_ms = self.core.now_ms();
        self.settings.change(agent_id, now_ms, |before| {
            let before = before.unwrap_or_else(|| {
                let agent = self.core.read().agent(agent_id, now_ms);
                Setting::of_status(agent.and_then(|agent| agent.status).as_ref())
            });
            Ok(before.changed(enabled, containers)?)
        })
    }

    fn refusal(&self, error: &ChangeError) -> ApiError {
        let (status, hint) = match error {
            ChangeError::Refused(Refused::OnForNode) => (
                StatusCode::CONFLICT,
                "turn it off for the node, then on for the containers that need it",
            ),
            ChangeError::Refused(Refused::TooManyContainers)
            | ChangeError::TooManyAgents
            | ChangeError::TooManyContainers => (
                StatusCode::INSUFFICIENT_STORAGE,
                "turn it off for others first",
            ),
            ChangeError::Store(error) => {
                self.metrics.settings.write_errors.inc();
                tracing::warn!(%error, "a setting was not changed");
                (
                    StatusCode::INSUFFICIENT_STORAGE,
                    "nothing was changed; make room for --data-dir or repair it, and try again",
                )
            }
        };
        ApiError::new(status, error, hint)
    }
}
