//! What the node knows beside the kernel's events: host, processes, containers, NAT, names.
//!
//! Everything here is read from the running system and works without root as far as the kernel
//! allows; what is missing is said by a [`Capability`](mesoscope_proto::v1::Capability).
//!
//! | module | answers |
//! |---|---|
//! | [`processes`] | which processes run, their details, what they use |
//! | [`host`] | what this machine is and how busy it is |
//! | [`cgroups`] | which container a cgroup is, what a container uses |
//! | [`docker`], [`cri`] | names, images, labels and states of containers, as they change |
//! | [`containers`], [`control`], [`files`] | what people do to containers, whatever their engine; their files |
//! | [`conntrack`] | what address translation made of a connection; UDP flows |
//! | [`sock_diag`] | sockets of one network namespace, where eBPF is not available |
//! | [`names`] | names of remote addresses |

pub mod cgroups;
pub mod conntrack;
pub mod containers;
pub mod control;
pub mod cri;
pub mod docker;
pub mod error;
pub mod files;
pub mod host;
pub mod names;
mod namespace;
mod netlink;
pub mod paths;
pub mod processes;
pub mod runtime;
pub mod sock_diag;
mod text;
pub mod time;

pub use error::Error;
