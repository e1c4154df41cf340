//! Control groups: which container a cgroup is, and what a container uses.
//!
//! * [`container_of_path`]: the container that a cgroup path names, for every runtime we know.
//! * [`CgroupTree`]: cgroup ids, paths and containers, kept by a walk and by the kernel's events.
//! * [`ContainerSampler`]: what containers use; `figures` reads the files and `parse` their text.
//! * [`limits`]: what containers may use, where no runtime tells.

mod container_path;
mod figures;
mod limits;
mod parse;
mod sampler;
mod tree;

pub use container_path::{ContainerPath, container_of_path};
pub use limits::limits;
pub use sampler::{ContainerSampler, ContainerTarget};
pub use tree::{CgroupTree, ContainerCgroup, Hierarchy, Membership, Refresh};
