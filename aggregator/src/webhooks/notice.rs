//! What is told, as its JSON.

use mesoscope_access::{Entry, Outcome};
use mesoscope_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Sentences of one notice on what is missing.
const REASONS_MAX: usize = 20;
/// Bytes of the parameters of an action; larger ones are left out.
const PARAMETERS_BYTES_MAX: usize = 16 << 10;

/// What a webhook may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// An agent has been away for `--webhook-delay`.
    #[serde(rename = "agent.offline")]
    AgentOffline,
    /// An agent that was told of as away is back.
    #[serde(rename = "agent.online")]
    AgentOnline,
    /// What is shown of an agent has been incomplete for `--webhook-delay`.
    #[serde(rename = "data.incomplete")]
    DataIncomplete,
    /// Nothing is missing any more.
    #[serde(rename = "data.complete")]
    DataComplete,
    /// A container ended with an exit code other than 0.
    #[serde(rename = "container.died")]
    ContainerDied,
    /// The kernel killed a process of a container for want of memory.
    #[serde(rename = "container.oom")]
    ContainerOom,
    /// Somebody acted: on a container, or on what an agent observes.
    #[serde(rename = "control.action")]
    ControlAction,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AgentOffline,
        Self::AgentOnline,
        Self::DataIncomplete,
        Self::DataComplete,
        Self::ContainerDied,
        Self::ContainerOom,
        Self::ControlAction,
    ];

    /// Whether containers have to be followed for it.
    pub(super) fn is_of_containers(self) -> bool {
        matches!(self, Self::ContainerDied | Self::ContainerOom)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The same each time that this is told.
    pub id: String,
    /// What happened.
    pub kind: Kind,
    /// When, as the aggregator has it, in Unix milliseconds.
    pub time_unix_ms: u64,
    /// The same for a person, in one sentence.
    pub summary: String,
    /// The agent that it is about or was seen by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// What is missing, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// What somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// The host that it reports from.
    pub hostname: String,
    /// When it was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_unix_ms: Option<u64>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// "running", "exited", "removed", ...
    pub state: &'static str,
    /// With what it ended, where it has.
    pub exit_code: Option<i32>,
    /// Its main process was killed for want of memory.
    pub oom_killed: bool,
    /// Processes of it that were killed so since it was started.
    pub oom_kills: u64,
    /// When it ended, where that is known.
    pub finished_unix_ms: Option<u64>,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Control {
    /// "container.restart", "agent.tier2", ...
    pub action: String,
    /// On what: a node's id, an agent's id.
    pub target: String,
    /// Who.
    pub who: String,
    /// From where.
    pub from: Option<std::net::IpAddr>,
    /// With what.
    pub parameters: Value,
    /// "done" or "failed".
    pub outcome: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    #[serde(flatten)]
    pub notice: &'a Notice,
    /// Counts up by one per webhook, from 1 at the start of the aggregator.
    pub sequence: u64,
    /// When the aggregator started: with another start `sequence` begins anew.
    pub started_unix_ms: u64,
}

impl Notice {
    pub(super) fn of_agent(kind: Kind, agent: Agent, time_unix_ms: u64, summary: String) -> Self {
        let wire = kind_name(kind);
        Self {
            id: format!("{wire};{};{time_unix_ms}", agent.id),
            kind,
            time_unix_ms,
            summary,
            agent: Some(agent),
            container: None,
            incomplete: Vec::new(),
            control: None,
        }
    }

    /// `since_ns` tells two such ends of one container apart.
    pub(super) fn of_container(
        kind: Kind,
        agent: Agent,
        container: &v1::Container,
        since_ns: u64,
        time_unix_ms: u64,
    ) -> Self {
        let name = if container.name.is_empty() {
            container.id.get(..12).unwrap_or(&container.id)
        } else {
            &container.name
        };
        let host = &agent.hostname;
        let summary = match kind {
            Kind::ContainerOom => format!(
                "The kernel killed a process of container {name} on {host} for want of memory."
            ),
            _ => format!(
                "Container {name} on {host} ended with exit code {}.",
                container.exit_code
            ),
        };
        let ended = has_ended(container);
        let finished_ms = container.finished_unix_ns / 1_000_000;
        Self {
            id: format!("{};{};{since_ns}", kind_name(kind), container.id),
            kind,
            time_unix_ms,
            summary,
            agent: Some(agent),
            container: Some(Container {
                id: container.id.clone(),
                name: container.name.clone(),
                image: container.image.clone(),
                state: state_name(container.state()),
                exit_code: ended.then_some(container.exit_code),
                oom_killed: container.oom_killed,
                oom_kills: container.oom_kills,
                finished_unix_ms: (ended && finished_ms != 0).then_some(finished_ms),
            }),
            incomplete: Vec::new(),
            control: None,
        }
    }

    /// `number` tells it from others of the same time.
    pub(super) fn of_control(entry: &Entry, number: u64, time_unix_ms: u64) -> Self {
        let (outcome, reason) = match &entry.outcome {
            Outcome::Done | Outcome::Started => ("done", None),
            Outcome::Failed(reason) | Outcome::Refused(reason) => ("failed", Some(reason.clone())),
        };
        let did = match outcome {
            "done" => "did",
            _ => "tried",
        };
        let large = entry.parameters.to_string().len() > PARAMETERS_BYTES_MAX;
        Self {
            id: format!("{};{time_unix_ms};{number}", kind_name(Kind::ControlAction)),
            kind: Kind::ControlAction,
            time_unix_ms,
            summary: format!("{} {did} {} on {}.", entry.who, entry.action, entry.target),
            agent: None,
            container: None,
            incomplete: Vec::new(),
            control: Some(Control {
                action: entry.action.clone(),
                target: entry.target.clone(),
                who: entry.who.clone(),
                from: entry.from,
                parameters: if large {
                    Value::Null
                } else {
                    entry.parameters.clone()
                },
                outcome,
                reason,
            }),
        }
    }

    /// The same with what is missing.
    pub(super) fn because(mut self, mut reasons: Vec<String>) -> Self {
        reasons.truncate(REASONS_MAX);
        self.incomplete = reasons;
        self
    }
}

/// Whether a container does not run and will not by itself.
pub(super) fn has_ended(container: &v1::Container) -> bool {
    use v1::ContainerState::{Dead, Exited, Removed};
    matches!(container.state(), Exited | Dead | Removed)
}

fn state_name(state: v1::ContainerState) -> &'static str {
    match state {
        v1::ContainerState::Unspecified => "unknown",
        v1::ContainerState::Created => "created",
        v1::ContainerState::Running => "running",
        v1::ContainerState::Paused => "paused",
        v1::ContainerState::Restarting => "restarting",
        v1::ContainerState::Exited => "exited",
        v1::ContainerState::Dead => "dead",
        v1::ContainerState::Removed => "removed",
    }
}

/// As in the JSON.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::AgentOffline => "agent.offline",
        Kind::AgentOnline => "agent.online",
        Kind::DataIncomplete => "data.incomplete",
        Kind::DataComplete => "data.complete",
        Kind::ContainerDied => "container.died",
        Kind::ContainerOom => "container.oom",
        Kind::ControlAction => "control.action",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_name() {
        for kind in Kind::ALL {
            let json = serde_json::to_value(kind).expect("JSON");
            assert_eq!(json, kind_name(kind));
        }
    }

    #[test]
    fn a_body_holds_what_happened_and_nothing_empty() {
        let container = v1::Container {
            id: "4f1c".repeat(16),
            name: "web".to_owned(),
            state: v1::ContainerState::Exited.into(),
            exit_code: 3,
            finished_unix_ns: 5_000_000,
            ..Default::default()
        };
        let agent = Agent {
            id: "a".to_owned(),
            hostname: "node-1".to_owned(),
            last_seen_unix_ms: None,
        };
        let notice = Notice::of_container(Kind::ContainerDied, agent, &container, 5_000_000, 7);
        let body = Body {
            notice: &notice,
            sequence: 2,
            started_unix_ms: 1,
        };
        let json = serde_json::to_value(body).expect("JSON");
        assert_eq!(
            json["summary"],
            "Container web on node-1 ended with exit code 3."
        );
        assert_eq!(json["container"]["exit_code"], 3);
        assert_eq!(json["container"]["finished_unix_ms"], 5);
        assert_eq!(json["sequence"], 2);
        let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert!(!keys.iter().any(|key| *key == "control"), "{keys:?}");
    }
}
