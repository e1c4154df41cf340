//! The aggregator: ingests agents, keeps the live topology and serves it.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | the configuration |
//! | [`core`] | the topology and who changes it; time passes here |
//! | [`ingest`] | the agents' streams: sequence, generation, one stream per agent |
//! | [`views`] | views shared by their subscribers, merged for slow ones |
//! | [`events`] | the event stream and its filters |
//! | [`api`] | REST, WebSocket, gRPC, metrics, the page |
//! | [`metrics`] | the figures of `/metrics` |
//! | [`server`] | binds, spawns and drains all of these |

pub mod api;
pub mod config;
pub mod core;
pub mod events;
pub mod ingest;
pub mod metrics;
pub mod server;
pub mod views;
