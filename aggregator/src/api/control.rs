//! What people do to containers, their logs, and what the runtime knows of them.

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use mesoscope_access::{Identity, Role};
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    AgentInfo, ContainerAction, ContainerControl, ContainerInspect, ContainerLogs, ContainerVerb,
    ControlResult,
};
use mesoscope_service::units::Duration;
use mesoscope_topology::ViewKind;
use tokio::time::{Interval, MissedTickBehavior};

use super::Api;
use super::access::LetInBy;
use super::answers::OfTheEngine;
use super::error::ApiError;
use super::websocket::CHECK_PERIOD;
use crate::control::{ControlError, LogReader};

/// Lines that a log begins with where nothing else is asked for.
const TAIL_DEFAULT: u32 = 1_000;
const LOGS_HINT: &str =
    "follow=true|false, tail=LINES|all, since=UNIX_SECONDS|DURATION (10m), timestamps=true|false";

const DRAINED: &[u8] = b"\n[mesoscope: the log ends here: the aggregator is shutting down]\n";
const SIGNED_OUT: &[u8] = b"\n[mesoscope: the log ends here: what was signed in with has ended]\n";

type Pairs = Query<Vec<(String, String)>>;

/// A container, and the start of the agent that reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: String,
    pub(super) agent_id: String,
    pub(super) generation: u64,
}

impl Target {
    pub(super) fn node(&self) -> String {
        format!("container;{}", self.id)
    }
}

/// Acts on a container.
///
/// Needs the role operator.
#[utoipa::path(post, path = "/api/containers/{id}/{verb}", tag = "containers",
    operation_id = "act_on_container",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("verb" = String, Path, description = "start, stop, restart, pause, unpause or kill"),
    ),
    responses(
        (status = 204, description = "It is done"),
        OfTheEngine,
    ))]
pub(super) async fn act(
    State(api): State<Api>,
    Path((id, verb)): Path<(String, String)>,
    Extension(identity): Extension<Identity>,
) -> Result<StatusCode, ApiError> {
    let verb = match verb.as_str() {
        "start" => ContainerVerb::Start,
        "stop" => ContainerVerb::Stop,
        "restart" => ContainerVerb::Restart,
        "pause" => ContainerVerb::Pause,
        "unpause" => ContainerVerb::Unpause,
        "kill" => ContainerVerb::Kill,
        _ => {
            let error = format!("a container can't be told to {verb:?}");
            let hint = "start, stop, restart, pause, unpause or kill; DELETE removes it";
            return Err(ApiError::not_found(error, hint));
        }
    };
    api.act(&identity, &id, verb, false).await
}

/// Removes a container.
///
/// Needs the role operator.
#[utoipa::path(delete, path = "/api/containers/{id}", tag = "containers",
    operation_id = "remove_container",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("force" = Option<bool>, Query, description = "Also while it runs (false)"),
    ),
    responses(
        (status = 204, description = "It is removed"),
        (status = 400, description = "An unknown parameter"),
        OfTheEngine,
    ))]
pub(super) async fn remove(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
) -> Result<StatusCode, ApiError> {
    let mut force = false;
    for (key, value) in pairs {
        force = match (key.as_str(), flag(&value)) {
            ("force", Some(value)) => value,
            _ => return Err(unknown(&key, &value, "force=true|false")),
        };
    }
    api.act(&identity, &id, ContainerVerb::Remove, force).await
}

/// What the container runtime knows of a container, with environment variables.
///
/// Needs the role operator.
#[utoipa::path(get, path = "/api/containers/{id}/inspect", tag = "containers",
    operation_id = "inspect_container",
    params(("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id")),
    responses(
        (status = 200, description = "The runtime's own JSON", body = serde_json::Value),
        OfTheEngine,
    ))]
pub(super) async fn inspect(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(identity): Extension<Identity>,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    let target = api.target(&id)?;
    let entry = identity.entry("container.inspect", &target.node());
    let message = Message::Inspect(ContainerInspect {
        container_id: target.id.clone(),
    });
    let inspection = api
        .audited(entry, async {
            let asked = api
                .control
                .ask(&target.agent_id, target.generation, message);
            Ok(asked.await?.inspection)
        })
        .await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], inspection).into_response())
}

/// The log of a container: both outputs as text, in chunks as they come.
///
/// Needs the role operator.
#[utoipa::path(get, path = "/api/containers/{id}/logs", tag = "containers",
    operation_id = "container_logs",
    params(
        ("id" = String, Path, description = "Its id, the first 12 digits of it, or its node's id"),
        ("tail" = Option<String>, Query, description = "Last lines to begin with (1000), or all"),
        ("since" = Option<String>, Query, description = "Seconds since 1970, or a duration (10m)"),
        ("follow" = Option<bool>, Query, description = "Goes on with what is written (false)"),
        ("timestamps" = Option<bool>, Query, description = "Each line begins with its time (false)"),
    ),
    responses(
        (status = 200, description = "The log", body = String, content_type = "text/plain"),
        (status = 400, description = "A parameter that makes no sense"),
        OfTheEngine,
    ))]
pub(super) async fn logs(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    Extension(identity): Extension<Identity>,
    Extension(let_in_by): Extension<LetInBy>,
) -> Result<Response, ApiError> {
    identity.require(Role::Operator)?;
    let asked = asked_logs(&pairs, api.core.now_ms())?;
    let target = api.target(&id)?;
    let parameters = serde_json::json!({ "follow": asked.follow, "tail": asked.tail });
    let entry = identity.entry("container.logs", &target.node());
    let asked = ContainerLogs {
        container_id: target.id.clone(),
        ..asked
    };
    let reader = api
        .audited(entry.with_parameters(parameters), async {
            let reading = api
                .control
                .read_log(&target.agent_id, target.generation, asked);
            Ok(reading.await?)
        })
        .await?;
    let mut checks = tokio::time::interval(CHECK_PERIOD);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading {
        api,
        let_in_by,
        reader,
        checks,
        ended: false,
    };
    let text = stream::unfold(reading, async |mut reading| {
        let text = reading.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(text), reading))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        // Compressed, lines would wait until there are enough of them.
        (header::CONTENT_ENCODING, "identity"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(text)).into_response())
}

/// A log on its way to its reader, who may have to sign in again meanwhile.
struct Reading {
    api: Api,
    let_in_by: LetInBy,
    reader: LogReader,
    checks: Interval,
    ended: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let drain = self.api.drain.clone();
        loop {
            tokio::select! {
                () = drain.cancelled() => {
                    self.ended = true;
                    return Some(Bytes::from_static(DRAINED));
                }
                text = self.reader.next() => return text,
                _ = self.checks.tick() => {
                    if !self.let_in_by.still_has(Role::Operator, &self.api).await {
                        self.ended = true;
                        return Some(Bytes::from_static(SIGNED_OUT));
                    }
                }
            }
        }
    }
}

impl Api {
    /// Goes on when the client goes away, so that its outcome is recorded.
    pub(super) async fn act(
        &self,
        identity: &Identity,
        id: &str,
        verb: ContainerVerb,
        force: bool,
    ) -> Result<StatusCode, ApiError> {
        identity.require(Role::Operator)?;
        let target = self.target(id)?;
        let name = verb.as_str_name().trim_start_matches("CONTAINER_VERB_");
        let action = format!("container.{}", name.to_lowercase());
        let parameters = serde_json::json!({ "agent": target.agent_id, "force": force });
        let entry = identity.entry(&action, &target.node());
        let entry = entry.with_parameters(parameters);
        let api = self.clone();
        let acting = tokio::spawn(async move {
            let message = Message::Action(ContainerAction {
                container_id: target.id.clone(),
                verb: verb.into(),
                force,
            });
            let asked = api
                .control
                .ask(&target.agent_id, target.generation, message);
            let done = async { Ok(asked.await.map(|_| StatusCode::NO_CONTENT)?) };
            api.audited(entry, done).await
        });
        acting.await.map_err(|panicked| {
            let hint = "the aggregator's log says more; report this";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panicked, hint)
        })?
    }

    /// The container that is meant: a node of the map, an id, or its first 12 digits.
    pub(super) fn target(&self, typed: &str) -> Result<Target, ApiError> {
        let topology = self.core.read();
        let now_ms = self.core.now_ms();
        if let Some(place) = topology.place(ViewKind::Containers, typed, now_ms)
            && let Some(container) = place.container
            && place.agent.connected
        {
            return Ok(Target {
                id: container.id.to_string(),
                agent_id: place.agent.agent_id,
                generation: place.agent.generation,
            });
        }
        let typed_id = typed.strip_prefix("container;").unwrap_or(typed);
        let agents = topology.agents(now_ms).into_iter();
        let mut found = agents.filter(|agent| agent.connected).filter_map(|agent| {
            let container = topology.find_container(&agent.agent_id, typed_id)?;
            Some(Target {
                id: container.id.to_string(),
                generation: agent.generation,
                agent_id: agent.agent_id,
            })
        });
        let first = found.next().ok_or_else(|| {
            let error = format!("no connected agent reports a container {typed:?}");
            let hint = "its id, the first 12 digits of it, or its node's id; GET /api/topology?view=containers lists them";
            ApiError::not_found(error, hint)
        })?;
        // Two agents of one host both report its containers.
        if found.any(|other| other.id != first.id) {
            let error = format!("more than one container begins with {typed:?}");
            let hint = "give the whole id";
            return Err(ApiError::new(StatusCode::CONFLICT, error, hint));
        }
        // Who reported it first has its plain name: another that claims to run it is not asked.
        let node = format!("container;{}", first.id);
        let place = topology.place(ViewKind::Containers, &node, now_ms);
        Ok(match place.filter(|place| place.agent.connected) {
            Some(place) => Target {
                id: first.id,
                agent_id: place.agent.agent_id,
                generation: place.agent.generation,
            },
            None => first,
        })
    }

    /// Whether a container can be controlled through its agent.
    pub(super) fn control_of(&self, agent: &AgentInfo) -> ContainerControl {
        let there = self.control.is_there(&agent.agent_id, agent.generation);
        let available = agent.connected && there;
        let reason = if available { "" } else { NOT_THERE };
        ContainerControl {
            available,
            reason: reason.to_owned(),
        }
    }
}

const NOT_THERE: &str = "the agent of this host is away, older, or does not control containers \
                         (--control off, or an aggregator on another machine without TLS)";

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let (status, hint) = match &error {
            ControlError::NotThere(_) => (StatusCode::SERVICE_UNAVAILABLE, NOT_THERE),
            ControlError::TooMany => (StatusCode::SERVICE_UNAVAILABLE, "try again in a minute"),
            ControlError::Gone => (
                StatusCode::BAD_GATEWAY,
                "it may have been done: look at the container's state on the map",
            ),
            ControlError::Late => (
                StatusCode::GATEWAY_TIMEOUT,
                "it may still be done: look at the container's state on the map",
            ),
            ControlError::Refused(result, _) => match result {
                ControlResult::NotFound => (
                    StatusCode::NOT_FOUND,
                    "containers of Docker (or Podman) can be controlled",
                ),
                ControlResult::Conflict => (
                    StatusCode::CONFLICT,
                    "look at the container's state; to remove one that runs, stop it first or say force=true",
                ),
                ControlResult::NoFile => (
                    StatusCode::NOT_FOUND,
                    "look at the folder that it should be in",
                ),
                ControlResult::TooLarge => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "docs/control.md has the bounds",
                ),
                ControlResult::Busy => (StatusCode::SERVICE_UNAVAILABLE, "try again in a minute"),
                ControlResult::Unavailable => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "look after the container runtime of that node",
                ),
                _ => (StatusCode::BAD_GATEWAY, "the agent's log may say more"),
            },
        };
        Self::new(status, &error, hint)
    }
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

pub(super) fn unknown(key: &str, value: &str, hint: &str) -> ApiError {
    ApiError::bad_request(format!("unknown parameter {key}={value}"), hint)
}

fn asked_logs(pairs: &[(String, String)], now_ms: u64) -> Result<ContainerLogs, ApiError> {
    let mut asked = ContainerLogs {
        tail: Some(TAIL_DEFAULT),
        ..ContainerLogs::default()
    };
    for (key, value) in pairs {
        let refused = || unknown(key, value, LOGS_HINT);
        match key.as_str() {
            "follow" => asked.follow = flag(value).ok_or_else(refused)?,
            "timestamps" => asked.timestamps = flag(value).ok_or_else(refused)?,
            "tail" if value == "all" => asked.tail = None,
            "tail" => asked.tail = Some(value.parse().map_err(|_| refused())?),
            "since" => asked.since_unix_s = since(value, now_ms).ok_or_else(refused)?,
            _ => return Err(refused()),
        }
    }
    Ok(asked)
}

/// Seconds since 1970, or how long ago.
fn since(text: &str, now_ms: u64) -> Option<i64> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(seconds.into());
    }
    let ago: Duration = text.parse().ok()?;
    let now_s = i64::try_from(now_ms / 1_000).ok()?;
    Some((now_s - i64::try_from(ago.as_secs()).ok()?).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &[(&str, &str)]) -> Result<ContainerLogs, ApiError> {
        let pairs: Vec<_> = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        asked_logs(&pairs, 1_000_000_000)
    }

    #[test]
    fn a_log_is_asked_for_by_its_end_its_age_or_whole() {
        let plain = asked(&[]).expect("valid");
        assert_eq!(
            (plain.follow, plain.tail, plain.since_unix_s),
            (false, Some(1_000), 0)
        );
        let whole = asked(&[("tail", "all"), ("timestamps", "true")]).expect("valid");
        assert_eq!((whole.tail, whole.timestamps), (None, true));
        let live = asked(&[("follow", "true"), ("tail", "0"), ("since", "10m")]).expect("valid");
        assert_eq!(
            (live.follow, live.tail, live.since_unix_s),
            (true, Some(0), 999_400)
        );
        let dated = asked(&[("since", "1700000000")]).expect("valid");
        assert_eq!(dated.since_unix_s, 1_700_000_000);
        // Longer ago than there is time.
        let old = asked(&[("since", "100years")]).expect("valid");
        assert_eq!(old.since_unix_s, 0);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            ("follow", "yes"),
            ("follow", "1"),
            ("tail", "-1"),
            ("tail", "99999999999"),
            ("since", "yesterday"),
            ("until", "1"),
        ] {
            let refused = asked(&[bad]).expect_err("refused");
            assert!(refused.reason().contains(bad.0), "{bad:?}");
        }
    }
}
