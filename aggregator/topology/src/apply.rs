//! How changes enter: one file per kind of thing. Every message replaces or adds to what is known;
//! messages that are told again, in their order, leave what was there before.

mod connection;
mod container;
mod figures;
mod host;
mod listener;
mod process;

pub use figures::Thing;
pub(crate) use process::process_id;

use mesoscope_proto::v1::{self, change};

use crate::{Topology, error::ChangeRefused, keys::AgentKey};

impl Topology {
    /// One change of an agent. The same change again, before a later one of the same thing, changes
    /// nothing; see the [crate] on whole streams that are told again.
    ///
    /// # Errors
    /// When the change is malformed or beyond a bound: it is counted, and nothing changes.
    pub fn apply(
        &mut self,
        agent: AgentKey,
        change: v1::Change,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        self.totals.changes += 1;
        let outcome = self.apply_change(agent, change, now_ms, events);
        if let Err(refused) = outcome {
            self.totals.refused += 1;
            if let ChangeRefused::Full(what) = refused
                && let Some(entry) = self.agents.get_mut(agent)
            {
                entry.leave_out(what, now_ms);
                self.incomplete_revision += 1;
            }
        }
        outcome
    }

    fn apply_change(
        &mut self,
        agent: AgentKey,
        change: v1::Change,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        if !self.agents.contains_key(agent) {
            return Err(ChangeRefused::UnknownAgent);
        }
        self.touch(agent, now_ms);
        match change
            .change
            .ok_or(ChangeRefused::Malformed("the change"))?
        {
            change::Change::Process(process) => self.apply_process(agent, process, now_ms, events),
            change::Change::ProcessMetrics(metrics) => self.apply_process_metrics(agent, metrics),
            change::Change::Connection(connection) => {
                self.apply_connection(agent, &connection, now_ms, events)
            }
            change::Change::Listener(listener) => {
                self.apply_listener(agent, &listener, now_ms, events)
            }
            change::Change::Container(container) => {
                self.apply_container(agent, container, now_ms, events)
            }
            change::Change::ContainerMetrics(metrics) => {
                self.apply_container_metrics(agent, metrics)
            }
            change::Change::Host(host) => {
                self.apply_host(agent, host, now_ms);
                Ok(())
            }
            change::Change::HostMetrics(metrics) => {
                self.apply_host_metrics(agent, metrics);
                Ok(())
            }
            change::Change::AddressName(name) => self.apply_address_name(agent, &name, now_ms),
            change::Change::Gap(gap) => self.apply_gap(agent, gap, now_ms, events),
            change::Change::AgentStatus(status) => {
                self.apply_status(agent, status);
                Ok(())
            }
            change::Change::CgroupEvent(event) => {
                self.cgroup_event(agent, event, events);
                Ok(())
            }
            change::Change::PluginFacts(facts) => self.apply_plugin_facts(agent, facts),
        }
    }
}
