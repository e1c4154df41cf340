//! What this machine is and how busy it is.
//!
//! * [`host`]: hostname, system, processor, memory, and by their own files: `interfaces`, `disks`,
//!   `gpus`.
//! * [`HostSampler`]: load over time.

mod disks;
mod gpus;
mod info;
mod interfaces;
mod sampler;

pub use crate::namespace::host_network_namespace;
pub use info::host;
pub use sampler::HostSampler;
pub(crate) use sampler::lines_of_net_dev;
