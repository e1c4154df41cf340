//! Tier 2 as operators set it, and what is said of it at a node. Values in, values out.

use std::collections::BTreeSet;

use mesoscope_proto::v1::{AgentInfo, AgentStatus, Capability, Configure, Tier2, Tier2State};
use mesoscope_topology::{KnownContainer, Place};
use serde::{Deserialize, Serialize};

/// Containers of one agent for which it may be on.
pub const CONTAINERS_PER_AGENT: usize = 1_000;

/// What an operator asked of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Off, whatever the agent's own configuration says.
    Off,
    /// On for the whole node.
    Node,
    /// On for these containers, by their full ids; never empty.
    Containers(BTreeSet<String>),
}

/// A request that can't be met; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One container can't be left out of a whole node.
    #[error("tier 2 is on for the whole node")]
    OnForNode,
    /// The bound on containers of one agent.
    #[error("tier 2 can be on for at most {CONTAINERS_PER_AGENT} containers of one agent")]
    TooManyContainers,
}

impl Setting {
    /// What an agent does as its status says, by its own configuration or by what it was told
    /// before.
    #[must_use]
    pub fn of_status(status: Option<&AgentStatus>) -> Self {
        match status {
            Some(status) if status.tier2 && status.tier2_containers.is_empty() => Self::Node,
            Some(status) if status.tier2 => Self::of(status.tier2_containers.iter().cloned()),
            _ => Self::Off,
        }
    }

    /// The setting after a request: without containers it is for the whole node, else it adds or
    /// removes these.
    ///
    /// # Errors
    /// When it can't be met.
    pub fn changed(self, enabled: bool, containers: Vec<String>) -> Result<Self, Refused> {
        if containers.is_empty() {
            return Ok(if enabled { Self::Node } else { Self::Off });
        }
        let mut on = match self {
            Self::Node if enabled => return Ok(Self::Node),
            Self::Node => return Err(Refused::OnForNode),
            Self::Off => BTreeSet::new(),
            Self::Containers(on) => on,
        };
        for id in containers {
            if enabled {
                on.insert(id);
            } else {
                on.remove(&id);
            }
        }
        if on.len() > CONTAINERS_PER_AGENT {
            return Err(Refused::TooManyContainers);
        }
        Ok(Self::of(on))
    }

    /// The setting without these containers, which are gone. What is left stays as it was asked for:
    /// an agent whose own configuration has it on for the node is not turned on again by this.
    #[must_use]
    pub fn without(self, gone: &BTreeSet<String>) -> Self {
        match self {
            Self::Containers(on) => Self::of(on.into_iter().filter(|id| !gone.contains(id))),
            other => other,
        }
    }

    /// The containers named; none for the other two.
    pub fn containers(&self) -> impl Iterator<Item = &String> {
        let on = match self {
            Self::Containers(on) => Some(on),
            Self::Off | Self::Node => None,
        };
        on.into_iter().flatten()
    }

    fn of(containers: impl IntoIterator<Item = String>) -> Self {
        let on: BTreeSet<_> = containers.into_iter().collect();
        if on.is_empty() {
            Self::Off
        } else {
            Self::Containers(on)
        }
    }

    fn covers(&self, container: Option<&KnownContainer>) -> bool {
        match (self, container) {
            (Self::Node, _) => true,
            (Self::Containers(on), Some(container)) => on.contains(&*container.id),
            _ => false,
        }
    }
}

impl From<Setting> for Configure {
    fn from(setting: Setting) -> Self {
        Self {
            tier2: setting == Setting::Node,
            tier2_containers: setting.containers().cloned().collect(),
        }
    }
}

/// What is said of tier 2 at a host or container.
#[must_use]
pub fn standing(place: &Place, setting: Option<&Setting>) -> Tier2 {
    let Place { agent, container } = place;
    let container = container.as_ref();
    let asked = setting.is_some_and(|setting| setting.covers(container));
    let (state, reason) = match switchable(agent) {
        Err(reason) => (Tier2State::Unavailable, reason),
        Ok(status) => {
            let state = state(status, container);
            let waits = state == Tier2State::Off && asked;
            let reason = waits.then(|| why_not_yet(status, container));
            (state, reason.unwrap_or_default())
        }
    };
    Tier2 {
        agent_id: agent.agent_id.clone(),
        container_id: container.map_or_else(String::new, |container| container.id.to_string()),
        state: state.into(),
        asked,
        reason,
    }
}

/// The status by which it can be switched; else why it can't.
fn switchable(agent: &AgentInfo) -> Result<&AgentStatus, String> {
    let host = if agent.hostname.is_empty() {
        &agent.agent_id
    } else {
        &agent.hostname
    };
    if !agent.connected {
        return Err(format!("the agent of {host} is not connected"));
    }
    let Some(status) = &agent.status else {
        return Err(format!(
            "the agent of {host} has not told yet what it can do"
        ));
    };
    // The per-packet hooks attach where those on connect() do, with the same rights.
    match capability(status, "connect-pid") {
        Some(hooks) if !hooks.available => Err(if hooks.reason.is_empty() {
            format!("the agent of {host} has no hooks on cgroups")
        } else {
            hooks.reason.clone()
        }),
        _ => Ok(status),
    }
}

fn state(status: &AgentStatus, container: Option<&KnownContainer>) -> Tier2State {
    let on = &status.tier2_containers;
    match container {
        _ if !status.tier2 => Tier2State::Off,
        _ if on.is_empty() => Tier2State::Node,
        Some(container) if !on.iter().any(|id| **id == *container.id) => Tier2State::Off,
        _ => Tier2State::Container,
    }
}

fn why_not_yet(status: &AgentStatus, container: Option<&KnownContainer>) -> String {
    if container.is_some_and(|container| !container.running) {
        return "it takes effect when the container runs".to_owned();
    }
    let not_yet = "the agent has not turned it on yet";
    // Of hooks that nobody has tried to attach it says only that they are off.
    let failed = capability(status, "udp-bytes")
        .filter(|hooks| !hooks.available && !hooks.reason.starts_with("tier 2 is off"))
        .filter(|hooks| !hooks.reason.is_empty());
    match (failed, container) {
        (Some(hooks), _) => format!("{not_yet}: {}", hooks.reason),
        (None, Some(_)) => {
            format!("{not_yet}: that takes a second, and a cgroup v2 of the container")
        }
        (None, None) => not_yet.to_owned(),
    }
}

fn capability<'a>(status: &'a AgentStatus, name: &str) -> Option<&'a Capability> {
    status.capabilities.iter().find(|one| one.name == name)
}

#[cfg(test)]
#[path = "tier2_tests.rs"]
mod tests;
