//! Processes as a tree: each behind its parent, in the order of their starts.

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use crate::{
    Topology, ViewKind,
    entities::Process,
    keys::{AgentKey, ContainerKey},
};

/// Processes in one answer.
const PROCESSES_MAX: usize = 2_000;
/// Longest command in the tree, in characters; the process's own details have the rest.
const COMMAND_CHARS_MAX: usize = 200;

impl Topology {
    /// Adds the tree of the processes of a host, or of those in one of its containers, or in none.
    pub(super) fn add_tree(
        &self,
        agent: AgentKey,
        within: Option<Option<ContainerKey>>,
        details: &mut v1::NodeDetails,
    ) {
        let Some(agent) = self.agents.get(agent) else {
            return;
        };
        let mut inside: Vec<&Process> = agent
            .processes
            .values()
            .filter_map(|key| self.processes.get(*key))
            .filter(|process| within.is_none_or(|within| process.container == within))
            .filter(|process| process.known && !process.record.kernel_thread)
            .collect();
        // Parents start before their children, so that a cut takes no parent from a child that stays.
        inside.sort_by_key(|process| (process.start, process.pid));
        let left_out = inside.len().saturating_sub(PROCESSES_MAX);
        inside.truncate(PROCESSES_MAX);
        details.processes_left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
        let tree = in_tree_order(&inside);
        let entries = tree
            .into_iter()
            .map(|(at, depth)| self.entry(inside[at], depth));
        details.processes = entries.collect();
    }

    fn entry(&self, process: &Process, depth: u32) -> v1::ProcessEntry {
        let node = self.graph(ViewKind::Processes).nodes.get(process.node);
        let command = process.record.argv.join(" ");
        v1::ProcessEntry {
            id: node.map(|node| node.id.to_string()).unwrap_or_default(),
            label: process.label(),
            pid: process.pid,
            depth,
            ended: self.is_over(process),
            exit: process.ending_in_words().unwrap_or_default(),
            command: command.chars().take(COMMAND_CHARS_MAX).collect(),
        }
    }
}

/// Places in the list with their depths, each behind its parent. Who names a parent that is not in
/// the list, or not before it, is at the top: what an agent sends can hold no circle.
fn in_tree_order(processes: &[&Process]) -> Vec<(usize, u32)> {
    let at: FxHashMap<(u32, u64), usize> = processes
        .iter()
        .enumerate()
        .map(|(at, process)| ((process.pid, process.start), at))
        .collect();
    let mut children = vec![Vec::new(); processes.len()];
    let mut open = Vec::new();
    for (own, process) in processes.iter().enumerate() {
        let parent = process.record.parent.as_ref();
        let parent = parent.and_then(|key| at.get(&(key.pid, key.start_boottime_ns)));
        match parent.filter(|parent| **parent < own) {
            Some(parent) => children[*parent].push(own),
            None => open.push((own, 0)),
        }
    }
    open.reverse();
    let mut order = Vec::with_capacity(processes.len());
    while let Some((own, depth)) = open.pop() {
        order.push((own, depth));
        open.extend(children[own].iter().rev().map(|child| (*child, depth + 1)));
    }
    order
}
