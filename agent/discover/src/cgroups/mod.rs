//! Control groups: which container a cgroup is, and what a container uses.
//!
//! * [`container_of_path`]: the container that a cgroup path names, for every runtime we know.
//! * [`CgroupTree`]: cgroup ids, paths and containers, kept by a walk and by the kernel's events.
//! * [`ContainerSampler`]: what containers use.

mod container_path;
mod sampler;
mod tree;

pub use container_path::{ContainerPath, container_of_path};
pub use sampler::{ContainerSampler, ContainerTarget};
pub use tree::{CgroupTree, ContainerCgroup, Hierarchy, Membership, Refresh};
