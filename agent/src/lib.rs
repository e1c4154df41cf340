//! The node agent: observes one node and reports to an aggregator.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | flags, environment and file into one struct |
//! | [`core`] | decisions without I/O: node state, startup, loss, governor, uplink session |
//! | [`store`] | the spool of unacknowledged batches, the agent's id |
//! | [`api`] | the edges: uplink to the aggregator, `/metrics` and `/health` |
//! | [`run`] | the loop that feeds the core from kernel, `/proc`, runtimes and conntrack |
//! | [`features`] | `mesoscope-agent features`: the capability ladder as a table |

pub mod api;
pub mod config;
pub mod core;
pub mod features;
pub mod run;
pub mod store;
