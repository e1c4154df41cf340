//! Processes: start, exec, exit, metrics.

use mesoscope_proto::v1::{self, EventKind, ProcessCause};

use smallvec::SmallVec;

use crate::{
    Topology, ViewKind,
    entities::{Process, process_metrics_differ},
    error::ChangeRefused,
    graph::Subject,
    keys::{AgentKey, ContainerKey, Owner, ProcessKey},
};

impl Topology {
    pub(super) fn apply_process(
        &mut self,
        agent: AgentKey,
        mut record: v1::Process,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        let key = process_id(record.key.as_ref())?;
        let cause = record.cause();
        let container_id = std::mem::take(&mut record.container_id);
        let known = self.agents[agent].processes.get(&key).copied();
        let process = match known {
            Some(process) => process,
            None => self.insert_process(agent, key, now_ms)?,
        };
        let entry = &self.processes[process];
        let (was_known, was_ended) = (entry.known, entry.has_ended());
        let old_time = entry.record.time_unix_ns;
        let epoch = self.agents[agent].epoch;
        if was_known && record.time_unix_ns < old_time && record.exit.is_none() {
            // Overtaken by what is known.
            self.processes[process].epoch = epoch;
            return Ok(());
        }
        // What has ended stays ended, and how it ended is not forgotten.
        if record.exit.is_none() {
            record.exit.clone_from(&self.processes[process].record.exit);
        }
        let container = if container_id.is_empty() {
            None
        } else {
            Some(self.ensure_container(agent, &container_id, now_ms)?)
        };
        let ends_now = record.exit.is_some() && !was_ended;
        let exec = cause == ProcessCause::Exec && (!was_known || record.time_unix_ns > old_time);
        let starts = cause == ProcessCause::Fork && !was_known;
        let entry = &mut self.processes[process];
        entry.epoch = epoch;
        let changed = *entry.record != record || !was_known;
        *entry.record = record;
        entry.known = true;
        if entry.record.exit.is_none() {
            // Its sockets had ended, but it runs.
            entry.ending = false;
        }
        if !was_known && !was_ended {
            self.agents[agent].running += 1;
        }
        self.move_process(process, container, !was_known, now_ms);
        if changed {
            self.touch_process(process);
        }
        if starts {
            self.process_event(process, EventKind::ProcessStarted, events);
        }
        if exec {
            self.process_event(process, EventKind::ProcessExec, events);
        }
        if ends_now {
            self.end_process(process, now_ms);
            self.process_event(process, EventKind::ProcessExited, events);
        }
        if !was_known {
            self.flush_held_of(process, now_ms, events);
        }
        Ok(())
    }

    /// The process of this key; an entry without details when only its sockets are known.
    pub(crate) fn ensure_process(
        &mut self,
        agent: AgentKey,
        key: Option<&v1::ProcessKey>,
        now_ms: u64,
    ) -> Result<Owner, ChangeRefused> {
        let Some(key) = key else {
            return Ok(Owner::Unknown);
        };
        let id = process_id(Some(key))?;
        match self.agents[agent].processes.get(&id) {
            Some(process) => Ok(Owner::Known(*process)),
            None => self.insert_process(agent, id, now_ms).map(Owner::Known),
        }
    }

    fn insert_process(
        &mut self,
        agent: AgentKey,
        (pid, start): (u32, u64),
        now_ms: u64,
    ) -> Result<ProcessKey, ChangeRefused> {
        while self.processes.len() >= self.limits.processes {
            if !self.evict_ended_process(now_ms) {
                return Err(ChangeRefused::Full("processes"));
            }
        }
        let id = format!("process;{};{pid};{start}", self.agents[agent].id).into();
        let graph = &mut self.graphs[ViewKind::Processes.index()];
        let key = self.processes.insert_with_key(|key| Process {
            agent,
            pid,
            start,
            known: false,
            record: Box::new(v1::Process {
                key: Some(v1::ProcessKey {
                    pid,
                    start_boottime_ns: start,
                }),
                ..Default::default()
            }),
            container: None,
            metrics: None,
            ends: Vec::new(),
            listeners: SmallVec::new(),
            node: graph.insert(Subject::Process(key), id, now_ms),
            epoch: 0,
            ending: false,
        });
        self.agents[agent].processes.insert((pid, start), key);
        Ok(key)
    }

    /// Notes which container a process is in; `new` ones have not been counted yet.
    fn move_process(
        &mut self,
        process: ProcessKey,
        container: Option<ContainerKey>,
        new: bool,
        now_ms: u64,
    ) {
        let entry = &mut self.processes[process];
        let before = std::mem::replace(&mut entry.container, container);
        let counts = !entry.ending;
        if before != container && !new && counts {
            self.count_in_container(before, -1);
        }
        if (before != container || new) && counts {
            self.count_in_container(container, 1);
        }
        if before != container {
            self.touch_process(process);
            let ends = self.processes[process].ends.clone();
            for end in ends {
                self.redraw(&[end], now_ms);
            }
            for listener in self.processes[process].listeners.clone() {
                for end in self.ends_concerned_by(listener) {
                    self.redraw(&[end], now_ms);
                }
            }
        }
    }

    fn count_in_container(&mut self, container: Option<ContainerKey>, change: i32) {
        let Some(container) = container else {
            return;
        };
        if let Some(entry) = self.containers.get_mut(container) {
            entry.processes = entry.processes.saturating_add_signed(change);
            let node = entry.node;
            self.graph_mut(ViewKind::Containers).touch_figures(node);
        }
    }

    /// The process has just ended: it is kept for a while.
    pub(crate) fn end_process(&mut self, process: ProcessKey, now_ms: u64) {
        let entry = &mut self.processes[process];
        if std::mem::replace(&mut entry.ending, true) {
            return;
        }
        let (agent, container, known) = (entry.agent, entry.container, entry.known);
        if known {
            let agent = &mut self.agents[agent];
            agent.running = agent.running.saturating_sub(1);
            self.count_in_container(container, -1);
        }
        let until = now_ms.saturating_add(self.limits.ended_keep_ms);
        self.ended_processes.push_back((until, process));
        while self.ended_processes.len() > self.limits.ended_processes {
            self.evict_ended_process(now_ms);
        }
        self.touch_process(process);
    }

    pub(super) fn apply_process_metrics(
        &mut self,
        agent: AgentKey,
        metrics: v1::ProcessMetrics,
    ) -> Result<(), ChangeRefused> {
        let key = process_id(metrics.key.as_ref())?;
        // Figures of a process that has gone in the meantime mean nothing.
        let Some(process) = self.agents[agent].processes.get(&key).copied() else {
            return Ok(());
        };
        let entry = &mut self.processes[process];
        let node = entry.node;
        match &mut entry.metrics {
            Some(told) if !process_metrics_differ(told, &metrics) => {}
            Some(told) => {
                **told = metrics;
                self.graph_mut(ViewKind::Processes).touch_figures(node);
            }
            // From now on it has metrics.
            None => {
                entry.metrics = Some(Box::new(metrics));
                self.touch_process(process);
            }
        }
        Ok(())
    }
}

pub(crate) fn process_id(key: Option<&v1::ProcessKey>) -> Result<(u32, u64), ChangeRefused> {
    match key {
        Some(key) if key.pid != 0 => Ok((key.pid, key.start_boottime_ns)),
        _ => Err(ChangeRefused::Malformed("the key of a process")),
    }
}
