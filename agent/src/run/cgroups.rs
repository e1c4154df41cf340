//! The cgroup tree as the core wants it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mesoscope_discover::cgroups::{CgroupTree, ContainerCgroup, ContainerTarget};
use rustc_hash::FxHashMap;

use crate::core::node_state::{CgroupContainer, CgroupContainers};

/// The tree, shared by the core and the samplers. Without one (no cgroup file system is mounted)
/// there are no containers.
#[derive(Clone, Debug, Default)]
pub struct SharedTree(Rc<RefCell<Option<CgroupTree>>>);

impl SharedTree {
    /// Shares a tree.
    #[must_use]
    pub fn new(tree: Option<CgroupTree>) -> Self {
        Self(Rc::new(RefCell::new(tree)))
    }

    /// What the sampler of containers needs.
    #[must_use]
    pub fn targets(&self, processes: &FxHashMap<Arc<str>, u32>) -> Vec<ContainerTarget> {
        let tree = self.0.borrow();
        let containers = tree.iter().flat_map(CgroupTree::containers);
        containers
            .map(|container| ContainerTarget {
                container: container.clone(),
                pid: processes.get(container.id.as_str()).copied(),
            })
            .collect()
    }
}

fn own(container: &Arc<ContainerCgroup>) -> CgroupContainer {
    CgroupContainer {
        id: container.id.clone(),
        runtime: container.runtime.to_owned(),
        cgroup_id: container.cgroup_id,
        path: container.path.clone(),
    }
}

impl CgroupContainers for SharedTree {
    fn with_container_id(&self, cgroup_id: u64, use_it: &mut dyn FnMut(&str)) {
        let tree = self.0.borrow();
        if let Some(container) = tree.as_ref().and_then(|tree| tree.container(cgroup_id)) {
            use_it(&container.id);
        }
    }

    fn created(&mut self, cgroup_id: u64, path: &str) -> Option<CgroupContainer> {
        self.0
            .borrow_mut()
            .as_mut()?
            .created(cgroup_id, path)
            .as_ref()
            .map(own)
    }

    fn removed(&mut self, cgroup_id: u64) -> Option<CgroupContainer> {
        self.0
            .borrow_mut()
            .as_mut()?
            .removed(cgroup_id)
            .as_ref()
            .map(own)
    }

    fn all(&self) -> Vec<CgroupContainer> {
        self.0
            .borrow()
            .iter()
            .flat_map(CgroupTree::containers)
            .map(own)
            .collect()
    }

    fn refresh(&mut self) {
        if let Some(Err(error)) = self.0.borrow_mut().as_mut().map(CgroupTree::refresh) {
            tracing::warn!(%error, "the cgroup tree could not be walked");
        }
    }

    fn fill(&self) -> (usize, usize) {
        let tree = self.0.borrow();
        tree.as_ref()
            .map_or((0, 0), |tree| (tree.len(), tree.capacity()))
    }
}
