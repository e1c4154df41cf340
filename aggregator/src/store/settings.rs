//! The settings of all agents, in memory and, where there is a folder for it, in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::error::{ChangeError, StoreError};
use super::file::{AGENTS, SettingsFile};
use crate::tier2::Setting;

/// Agents with settings, connected or not.
pub const AGENTS_MAX: usize = 10_000;
/// Single containers with settings, of all agents.
pub const CONTAINERS_MAX: usize = 10_000;
/// Settings of an agent that was not heard of for so long are dropped: its node is gone.
const AWAY_MS_MAX: u64 = 30 * DAY_MS;
/// When an agent was last heard of is written down so often.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What is kept of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) tier2: Setting,
    pub(super) heard_unix_ms: u64,
}

/// What is known of an agent when settings are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is not connected.
    Away,
    /// It is connected; which containers it has can't be told now.
    Connected,
    /// It is connected and has these containers, running or not.
    With(BTreeSet<String>),
}

/// What operators set.
#[derive(Debug)]
pub struct Settings {
    agents: RwLock<BTreeMap<String, Entry>>,
    kept: bool,
    /// Held by a change from its reading to its writing; `None`: in memory only.
    file: Arc<Mutex<Option<SettingsFile>>>,
    /// Since when containers with settings have been missing, by agent.
    missing: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Settings {
    pub(super) fn with(
        file: Arc<Mutex<Option<SettingsFile>>>,
        entries: Vec<(String, Entry)>,
    ) -> Self {
        let kept = lock(&file).is_some();
        Self {
            agents: RwLock::new(entries.into_iter().collect()),
            kept,
            file,
            missing: Mutex::default(),
        }
    }

    /// Whether they survive a restart.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.kept
    }

    /// What was asked of an agent; `None` while its own configuration rules.
    #[must_use]
    pub fn of(&self, agent_id: &str) -> Option<Setting> {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        agents.get(agent_id).map(|entry| entry.tier2.clone())
    }

    /// Agents with settings, and single containers with settings.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        (agents.len(), containers(&agents, None))
    }

    /// Changes what is asked of an agent: written first, then in force. Blocks for the disk.
    ///
    /// # Errors
    /// When the change is refused, a bound is reached, or it can't be written.
    pub fn change(
        &self,
        agent_id: &str,
        now_ms: u64,
        change: impl FnOnce(Option<Setting>) -> Result<Setting, ChangeError>,
    ) -> Result<Setting, ChangeError> {
        let mut file = lock(&self.file);
        let tier2 = change(self.of(agent_id))?;
        {
            let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
            if !agents.contains_key(agent_id) && agents.len() >= AGENTS_MAX {
                return Err(ChangeError::TooManyAgents);
            }
            // Fewer than before is never too many.
            let (others, own) = (
                containers(&agents, Some(agent_id)),
                tier2.containers().count(),
            );
            let before = agents
                .get(agent_id)
                .map_or(0, |entry| entry.tier2.containers().count());
            if own > before && others + own > CONTAINERS_MAX {
                return Err(ChangeError::TooManyContainers);
            }
        }
        let entry = Entry {
            tier2: tier2.clone(),
            heard_unix_ms: now_ms,
        };
        if let Some(file) = &mut *file {
            file.write(AGENTS, &[(agent_id, Some(&entry))])?;
        }
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        agents.insert(agent_id.to_owned(), entry);
        Ok(tier2)
    }

    /// Drops settings of containers that have been missing from their connected agent for
    /// `missing_ms_max`, and of agents that were not heard of for a month. Blocks for the disk.
    ///
    /// # Errors
    /// When it can't be written; then nothing was dropped.
    pub fn clean(
        &self,
        now_ms: u64,
        missing_ms_max: u64,
        presence: impl Fn(&str) -> Presence,
    ) -> Result<(), StoreError> {
        let mut file = lock(&self.file);
        let before = {
            let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
            agents.clone()
        };
        let mut missing = lock(&self.missing);
        missing.retain(|agent_id, _| before.contains_key(agent_id));
        let mut changes: Vec<(&str, Option<Entry>)> = Vec::new();
        for (agent_id, entry) in &before {
            let presence = presence(agent_id);
            let mut after = entry.clone();
            if presence == Presence::Away {
                if now_ms.saturating_sub(entry.heard_unix_ms) > AWAY_MS_MAX {
                    tracing::info!(agent_id, "its settings are dropped: away for a month");
                    changes.push((agent_id, None));
                    continue;
                }
            } else if now_ms.saturating_sub(entry.heard_unix_ms) > DAY_MS {
                after.heard_unix_ms = now_ms;
            }
            match presence {
                Presence::With(there) => {
                    let since = missing.entry(agent_id.clone()).or_default();
                    let gone = gone(&entry.tier2, &there, since, now_ms, missing_ms_max);
                    if !gone.is_empty() {
                        tracing::info!(
                            agent_id,
                            containers = gone.len(),
                            "settings of containers that are gone are dropped"
                        );
                        after.tier2 = after.tier2.without(&gone);
                    }
                }
                // What can't be told is not held against them.
                Presence::Away | Presence::Connected => {
                    missing.remove(agent_id);
                }
            }
            if after != *entry {
                changes.push((agent_id, Some(after)));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut *file {
            let changes: Vec<_> = changes
                .iter()
                .map(|(agent_id, entry)| (*agent_id, entry.as_ref()))
                .collect();
            file.write(AGENTS, &changes)?;
        }
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        for (agent_id, entry) in changes {
            match entry {
                Some(entry) => agents.insert(agent_id.to_owned(), entry),
                None => agents.remove(agent_id),
            };
        }
        Ok(())
    }
}

/// Containers of the setting that have been missing for too long; notes since when others are.
fn gone(
    setting: &Setting,
    there: &BTreeSet<String>,
    since: &mut BTreeMap<String, u64>,
    now_ms: u64,
    missing_ms_max: u64,
) -> BTreeSet<String> {
    let missing: BTreeSet<String> = setting
        .containers()
        .filter(|id| !there.contains(*id))
        .cloned()
        .collect();
    since.retain(|id, _| missing.contains(id));
    let mut gone = BTreeSet::new();
    for id in missing {
        let first = *since.entry(id.clone()).or_insert(now_ms);
        if now_ms.saturating_sub(first) >= missing_ms_max {
            gone.insert(id);
        }
    }
    gone
}

fn containers(agents: &BTreeMap<String, Entry>, without: Option<&str>) -> usize {
    agents
        .iter()
        .filter(|(agent_id, _)| Some(agent_id.as_str()) != without)
        .map(|(_, entry)| entry.tier2.containers().count())
        .sum()
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
