//! What plugins of agents say of nodes.

use mesoscope_proto::v1;
use prost::Message;
use rustc_hash::FxHashMap;

use crate::{
    Topology, ViewKind,
    apply::process_id,
    error::ChangeRefused,
    graph::Subject,
    keys::{AgentKey, ContainerKey, NodeKey, ProcessKey},
};

/// Plugins that say something of one node. An agent has as many.
const OF_A_NODE_MAX: usize = 16;
/// Largest facts of one plugin about one node; agents refuse what is larger than half of it.
const FACTS_BYTES_MAX: usize = 128 << 10;
/// Longest name of a plugin.
const NAME_BYTES_MAX: usize = 32;

/// What facts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum About {
    Host(AgentKey),
    Container(ContainerKey),
    Process(ProcessKey),
}

/// The facts of one plugin.
#[derive(Debug)]
struct Kept {
    agent: AgentKey,
    facts: v1::PluginFacts,
    /// Snapshot in which it was last told.
    epoch: u32,
}

/// The facts of all plugins, by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    about: FxHashMap<About, Vec<Kept>>,
    entries: usize,
    bytes: usize,
}

/// Where a control of a plugin is pressed.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginControlPlace {
    /// The agent of the plugin.
    pub agent: v1::AgentInfo,
    /// What the agent is asked for.
    pub press: v1::PluginPress,
}

impl Plugins {
    /// How many there are, and how large they are as messages.
    pub(crate) fn fill(&self) -> (usize, usize) {
        (self.entries, self.bytes)
    }

    /// By the names of the plugins.
    fn of(&self, about: About) -> impl Iterator<Item = &v1::PluginFacts> {
        let kept = self.about.get(&about).into_iter().flatten();
        kept.map(|kept| &kept.facts)
    }

    /// What it was about is gone.
    pub(crate) fn forget(&mut self, about: About) {
        if self.about.is_empty() {
            return;
        }
        for kept in self.about.remove(&about).unwrap_or_default() {
            self.entries -= 1;
            self.bytes -= kept.facts.encoded_len();
        }
    }

    /// What an agent did not tell in its snapshot is gone.
    pub(crate) fn sweep(&mut self, agent: AgentKey, epoch: u32) {
        let Self {
            about,
            entries,
            bytes,
        } = self;
        about.retain(|_, all| {
            all.retain(|kept| {
                let stays = kept.agent != agent || kept.epoch == epoch;
                if !stays {
                    *entries -= 1;
                    *bytes -= kept.facts.encoded_len();
                }
                stays
            });
            !all.is_empty()
        });
    }
}

fn is_name(name: &str) -> bool {
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_of_it)
}

impl Topology {
    pub(crate) fn apply_plugin_facts(
        &mut self,
        agent: AgentKey,
        facts: v1::PluginFacts,
    ) -> Result<(), ChangeRefused> {
        let bytes = facts.encoded_len();
        if !is_name(&facts.plugin) {
            return Err(ChangeRefused::Malformed("the name of a plugin"));
        }
        if bytes > FACTS_BYTES_MAX {
            return Err(ChangeRefused::Malformed("the size of a plugin's facts"));
        }
        // JSON has no word for what is no number.
        let is_figure =
            |metric: &v1::PluginMetric| metric.value.is_finite() && metric.max.is_finite();
        if !facts.metrics.iter().all(is_figure) {
            return Err(ChangeRefused::Malformed("a figure of a plugin"));
        }
        let own = &self.agents[agent];
        let about = match &facts.process {
            Some(_) => {
                let id = process_id(facts.process.as_ref())?;
                own.processes.get(&id).copied().map(About::Process)
            }
            None if facts.container_id.is_empty() => Some(About::Host(agent)),
            None => {
                let key = own.containers.get(facts.container_id.as_str());
                key.copied().map(About::Container)
            }
        };
        // Of something that has gone in the meantime they mean nothing.
        let Some(about) = about else {
            return Ok(());
        };
        let epoch = own.epoch;
        let says_nothing = facts.metadata.is_empty()
            && facts.metrics.is_empty()
            && facts.tables.is_empty()
            && facts.controls.is_empty();
        let (most, bytes_most) = (self.limits.plugin_facts, self.limits.plugin_bytes);
        let plugins = &mut self.plugins;
        let all = plugins.about.entry(about).or_default();
        let at = all.binary_search_by(|kept| kept.facts.plugin.cmp(&facts.plugin));
        let before = at.map_or(0, |at| all[at].facts.encoded_len());
        let outcome = match at {
            Ok(at) if says_nothing => {
                all.remove(at);
                plugins.entries -= 1;
                plugins.bytes -= before;
                Ok(())
            }
            Err(_) if says_nothing => Ok(()),
            _ if plugins.bytes - before + bytes > bytes_most => {
                Err(ChangeRefused::Full("plugin_bytes"))
            }
            Ok(at) => {
                plugins.bytes = plugins.bytes - before + bytes;
                all[at] = Kept {
                    agent,
                    facts,
                    epoch,
                };
                Ok(())
            }
            Err(_) if all.len() >= OF_A_NODE_MAX || plugins.entries >= most => {
                Err(ChangeRefused::Full("plugin_facts"))
            }
            Err(at) => {
                plugins.entries += 1;
                plugins.bytes += bytes;
                let kept = Kept {
                    agent,
                    facts,
                    epoch,
                };
                all.insert(at, kept);
                Ok(())
            }
        };
        if all.is_empty() {
            plugins.about.remove(&about);
        }
        outcome
    }

    /// What plugins say of a node, by their names.
    pub(crate) fn plugins_of(
        &self,
        view: ViewKind,
        key: NodeKey,
    ) -> impl Iterator<Item = &v1::PluginFacts> {
        let node = self.graph(view).nodes.get(key);
        let about = node.and_then(|node| match node.subject {
            Subject::Host(agent) => Some(About::Host(agent)),
            Subject::Container(container) => Some(About::Container(container)),
            Subject::Process(process) => Some(About::Process(process)),
            _ => None,
        });
        about.into_iter().flat_map(|about| self.plugins.of(about))
    }

    /// Where a control that a plugin offers at a node is pressed; `None` when it offers none such now.
    #[must_use]
    pub fn plugin_control(
        &self,
        view: ViewKind,
        id: &str,
        plugin: &str,
        control: &str,
        now_ms: u64,
    ) -> Option<PluginControlPlace> {
        let key = self.find_node(view, id)?;
        let mut all = self.plugins_of(view, key);
        let facts = all.find(|facts| facts.plugin == plugin)?;
        let mut controls = facts.controls.iter();
        controls.find(|offered| offered.key == control)?;
        let agent = match self.graph(view).nodes.get(key)?.subject {
            Subject::Host(agent) => agent,
            Subject::Container(container) => self.containers.get(container)?.agent,
            Subject::Process(process) => self.processes.get(process)?.agent,
            _ => return None,
        };
        Some(PluginControlPlace {
            agent: self.agents.get(agent)?.info(now_ms),
            press: v1::PluginPress {
                plugin: facts.plugin.clone(),
                container_id: facts.container_id.clone(),
                process: facts.process,
                control: control.to_owned(),
            },
        })
    }
}
