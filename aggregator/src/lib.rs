//! The aggregator: ingests agents, keeps the live topology and serves it.
//!
//! | module | what it does |
//! |---|---|
//! | [`archive`] | the map as it was: what is told, kept for a while |
//! | [`config`] | the configuration |
//! | [`control`] | what people do to containers, through the agents |
//! | [`core`] | the topology and who changes it; time passes here |
//! | [`ingest`] | the agents' streams: sequence, generation, one stream per agent |
//! | [`labels`] | labels that people give to nodes, and the file that keeps them |
//! | [`series`] | what is told over time: fed by [`ingest`], read by REST |
//! | [`store`] | what operators set, and the file that keeps it |
//! | [`tier2`] | tier 2 as it is set, and what is said of it |
//! | [`remote_write`] | values, written to a Prometheus for a longer history |
//! | [`oidc`] | sign-in by an OpenID Connect provider |
//! | [`webhooks`] | what happens, told to other programs |
//! | [`links`] | links from nodes to other pages |
//! | [`members`] | several aggregators that share the agents |
//! | [`views`] | views shared by their subscribers, merged for slow ones |
//! | [`events`] | the event stream and its filters |
//! | [`api`] | REST, WebSocket, gRPC, metrics, the page |
//! | [`metrics`] | the figures of `/metrics` |
//! | [`outward`] | requests to servers of others |
//! | [`sign_in`] | what people sign in with, from its files; the first admin's token |
//! | [`server`] | binds, spawns and drains all of these |

pub mod api;
pub mod archive;
pub mod config;
pub mod control;
pub mod core;
pub mod events;
pub mod ingest;
pub mod labels;
pub mod links;
pub mod members;
pub mod metrics;
pub mod oidc;
pub mod outward;
pub mod remote_write;
pub mod series;
pub mod server;
pub mod sign_in;
pub mod store;
pub mod tier2;
pub mod views;
pub mod webhooks;
