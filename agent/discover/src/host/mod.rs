//! What this machine is and how busy it is.

mod info;
mod sampler;

pub use info::{host, host_network_namespace};
pub use sampler::HostSampler;
