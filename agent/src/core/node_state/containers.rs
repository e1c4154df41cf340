//! Containers: known by their cgroup alone, named later by a runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesoscope_capture::event::CgroupAction;
use mesoscope_capture::{MonoNs, ProcessId};
use mesoscope_proto::v1::{self, ContainerState, change::Change as Kind};
use rustc_hash::FxHashSet;

use super::ooms::OomKills;
use super::state::NodeState;

/// A container as its own cgroup tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupContainer {
    /// Full id.
    pub id: String,
    /// "docker", "containerd", ... or empty when the path does not tell.
    pub runtime: String,
    /// Id of the container's own cgroup.
    pub cgroup_id: u64,
    /// Path of that cgroup.
    pub path: String,
}

/// Which container a cgroup belongs to.
pub trait CgroupContainers {
    /// Hands over the id of the container that a cgroup belongs to, itself or by one above it.
    fn with_container_id(&self, cgroup_id: u64, use_it: &mut dyn FnMut(&str));
    /// A cgroup was made; returns the container whose own cgroup it is.
    fn created(&mut self, cgroup_id: u64, path: &str) -> Option<CgroupContainer>;
    /// A cgroup was removed; returns the container whose own cgroup it was.
    fn removed(&mut self, cgroup_id: u64) -> Option<CgroupContainer>;
    /// Every container that has a cgroup.
    fn all(&self) -> Vec<CgroupContainer>;
    /// Looks at the whole tree again, where events may have been missed.
    fn refresh(&mut self);
    /// Cgroups known, and how many can be.
    fn fill(&self) -> (usize, usize);
}

struct Container {
    /// As its cgroup and the runtime tell.
    message: Box<v1::Container>,
    ooms: OomKills,
    /// A runtime has told of it.
    named: bool,
    removed: Option<MonoNs>,
    dirty: bool,
}

impl Container {
    fn new(message: v1::Container, named: bool) -> Self {
        Self {
            message: Box::new(message),
            ooms: OomKills::default(),
            named,
            removed: None,
            dirty: false,
        }
    }

    /// All that is known of it.
    fn told(&self) -> v1::Container {
        let mut message = (*self.message).clone();
        self.ooms.tell(&mut message);
        message
    }
}

#[derive(Default)]
pub(super) struct Containers {
    by_id: BTreeMap<Arc<str>, Container>,
}

impl Containers {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn flushed(&mut self, id: &str) -> Option<v1::Container> {
        let container = self.by_id.get_mut(id)?;
        container.dirty = false;
        Some(container.told())
    }

    pub(super) fn snapshot(&self, emit: &mut dyn FnMut(v1::Container)) {
        let present = self
            .by_id
            .values()
            .filter(|container| container.removed.is_none());
        present.for_each(|container| emit(container.told()));
    }

    /// Those that have not been removed, as cgroup and runtime tell.
    pub(super) fn present(&self) -> impl Iterator<Item = &v1::Container> {
        let all = self.by_id.values();
        let present = all.filter(|container| container.removed.is_none());
        present.map(|container| &*container.message)
    }
}

impl NodeState {
    /// The container that a cgroup belongs to.
    pub(super) fn container_of(&self, cgroup_id: u64) -> Option<Arc<str>> {
        let mut container = None;
        self.cgroups.with_container_id(cgroup_id, &mut |id| {
            let shared = self.containers.by_id.get_key_value(id);
            container = Some(shared.map_or_else(|| id.into(), |(shared, _)| shared.clone()));
        });
        container
    }

    /// The same for a process of `/proc`, whose container may be known by its path only.
    pub(super) fn container_found(&self, cgroup_id: u64, id: &str) -> Option<Arc<str>> {
        if id.is_empty() {
            return self.container_of(cgroup_id);
        }
        let shared = self.containers.by_id.get_key_value(id);
        Some(shared.map_or_else(|| id.into(), |(shared, _)| shared.clone()))
    }

    pub(super) fn cgroup_event(
        &mut self,
        time: MonoNs,
        action: CgroupAction,
        cgroup_id: u64,
        path: &str,
    ) {
        let before = self.container_of(cgroup_id);
        let mut after = None;
        match action {
            CgroupAction::Created => {
                if let Some(own) = self.cgroups.created(cgroup_id, path) {
                    self.container_by_cgroup(time, own, ContainerState::Created);
                }
                after = self.container_of(cgroup_id);
            }
            CgroupAction::Removed => {
                if let Some(own) = self.cgroups.removed(cgroup_id) {
                    self.cgroup_of_container_gone(time, &own.id);
                }
            }
            CgroupAction::Populated | CgroupAction::Emptied => {
                self.cgroup_populated(cgroup_id, action)
            }
        }
        let container = before.or(after);
        self.pending.other.push(Kind::CgroupEvent(v1::CgroupEvent {
            time_unix_ns: self.clock.unix_ns(time),
            action: match action {
                CgroupAction::Created => v1::CgroupAction::Created,
                CgroupAction::Removed => v1::CgroupAction::Removed,
                CgroupAction::Populated => v1::CgroupAction::Populated,
                CgroupAction::Emptied => v1::CgroupAction::Emptied,
            }
            .into(),
            cgroup_id,
            path: path.to_owned(),
            container_id: container.as_deref().unwrap_or_default().to_owned(),
        }));
    }

    /// Looks at the cgroup tree as a whole: at the start and after a loss.
    pub fn cgroups_refreshed(&mut self, now: MonoNs) {
        self.now = self.now.max(now);
        self.cgroups.refresh();
        let all = self.cgroups.all();
        let present: FxHashSet<String> = all.iter().map(|own| own.id.clone()).collect();
        let gone: Vec<Arc<str>> = self
            .containers
            .by_id
            .iter()
            .filter(|(id, container)| {
                container.message.cgroup_id != 0
                    && container.removed.is_none()
                    && !present.contains(&***id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.cgroup_of_container_gone(now, &id);
        }
        for own in all {
            self.container_by_cgroup(now, own, ContainerState::Running);
        }
    }

    /// What a runtime knows of a container.
    pub fn container_named(&mut self, mut message: v1::Container) {
        let id: Arc<str> = message.id.as_str().into();
        if let Some(known) = self.containers.by_id.get_mut(&id) {
            if message.cgroup_id == 0 {
                message.cgroup_id = known.message.cgroup_id;
                message.cgroup_path.clone_from(&known.message.cgroup_path);
            }
            known.named = true;
            known.removed = None;
            known.ooms.runtime_tells(&message);
            if *known.message == message {
                return;
            }
            *known.message = message;
        } else {
            if !self.room_for_container() {
                return;
            }
            let container = Container::new(message, true);
            self.containers.by_id.insert(id.clone(), container);
        }
        self.mark_container(&id);
    }

    /// A runtime has forgotten a container.
    pub fn container_removed(&mut self, now: MonoNs, id: &str) {
        self.now = self.now.max(now);
        let Some(container) = self.containers.by_id.get_mut(id) else {
            return;
        };
        container.message.state = ContainerState::Removed.into();
        container.removed.get_or_insert(now);
        self.mark_container(id);
    }

    /// Id of the container that a cgroup belongs to, or empty.
    #[must_use]
    pub fn container_id(&self, cgroup_id: u64) -> String {
        self.container_of(cgroup_id)
            .as_deref()
            .unwrap_or_default()
            .to_owned()
    }

    /// Containers that have a cgroup, for the sampler.
    #[must_use]
    pub fn containers_with_cgroup(&self) -> Vec<String> {
        self.cgroups.all().into_iter().map(|own| own.id).collect()
    }

    /// Path of a container's own cgroup, as the kernel's hierarchy names it.
    #[must_use]
    pub fn container_cgroup_path(&self, id: &str) -> Option<&str> {
        let container = self.containers.by_id.get(id).or_else(|| {
            // Twelve digits are what every tool shows.
            let found = self
                .containers
                .by_id
                .iter()
                .find(|(full, _)| id.len() >= 12 && full.starts_with(id));
            found.map(|(_, container)| container)
        })?;
        Some(container.message.cgroup_path.as_str()).filter(|path| !path.is_empty())
    }

    /// Cgroups known, and how many can be.
    #[must_use]
    pub fn cgroups_fill(&self) -> (usize, usize) {
        self.cgroups.fill()
    }

    pub(super) fn expire_containers(&mut self) {
        let deadline = self.now.saturating_sub(self.limits.tombstone_ns);
        self.containers.by_id.retain(|_, container| {
            container.dirty || container.removed.is_none_or(|removed| removed > deadline)
        });
    }

    fn container_by_cgroup(&mut self, time: MonoNs, own: CgroupContainer, state: ContainerState) {
        let id: Arc<str> = own.id.as_str().into();
        let unix_ns = self.clock.unix_ns(time);
        if let Some(known) = self.containers.by_id.get_mut(&id) {
            if known.message.cgroup_id == own.cgroup_id && known.removed.is_none() {
                return;
            }
            // Runtimes make the cgroup anew at each start.
            if known.message.cgroup_id != 0 && known.message.cgroup_id != own.cgroup_id {
                known.ooms.starts_again(unix_ns);
            }
            known.message.cgroup_id = own.cgroup_id;
            known.message.cgroup_path = own.path;
            if !known.named {
                known.message.state = state.into();
            }
            known.removed = None;
        } else {
            if !self.room_for_container() {
                return;
            }
            let message = v1::Container {
                id: own.id,
                runtime: own.runtime,
                cgroup_id: own.cgroup_id,
                cgroup_path: own.path,
                state: state.into(),
                ..v1::Container::default()
            };
            let container = Container::new(message, false);
            self.containers.by_id.insert(id.clone(), container);
        }
        self.mark_container(&id);
        let cgroups = FxHashSet::from_iter([own.cgroup_id]);
        self.recontain_processes(&cgroups);
    }

    fn cgroup_of_container_gone(&mut self, time: MonoNs, id: &str) {
        let Some(container) = self.containers.by_id.get_mut(id) else {
            return;
        };
        if container.named {
            // The runtime keeps stopped containers and tells more; that it does not run is certain.
            if container.message.state() != ContainerState::Running {
                return;
            }
            container.message.state = ContainerState::Exited.into();
        } else {
            container.message.state = ContainerState::Removed.into();
            container.removed.get_or_insert(time);
        }
        self.mark_container(id);
    }

    fn cgroup_populated(&mut self, cgroup_id: u64, action: CgroupAction) {
        let Some(id) = self.container_of(cgroup_id) else {
            return;
        };
        let Some(container) = self.containers.by_id.get_mut(&id) else {
            return;
        };
        if container.named || container.message.cgroup_id != cgroup_id {
            return;
        }
        let state = match action {
            CgroupAction::Populated => ContainerState::Running,
            _ => ContainerState::Exited,
        };
        if container.message.state() != state {
            container.message.state = state.into();
            self.mark_container(&id);
        }
    }

    /// The kernel killed a process for want of memory. Its container is told so, as its own end if
    /// it was the main process.
    pub(super) fn oom_killed(&mut self, process: ProcessId, cgroup_id: u64, unix_ns: u64) {
        let Some(id) = self.container_ended_in(process, cgroup_id) else {
            return;
        };
        let main = self.is_main_process(process, &id);
        let Some(container) = self.containers.by_id.get_mut(&id) else {
            return;
        };
        container.ooms.killed(unix_ns, main);
        self.mark_container(&id);
    }

    fn room_for_container(&mut self) -> bool {
        let room = self.containers.by_id.len() < self.limits.containers;
        if !room {
            self.counters.over_limit += 1;
        }
        room
    }

    fn mark_container(&mut self, id: &str) {
        let Some(shared) = self
            .containers
            .by_id
            .get_key_value(id)
            .map(|(shared, _)| shared.clone())
        else {
            return;
        };
        if let Some(container) = self.containers.by_id.get_mut(id)
            && !container.dirty
        {
            container.dirty = true;
            self.pending.containers.push(shared);
        }
    }
}
