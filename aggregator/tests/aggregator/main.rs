//! Drives the real binary: agents over gRPC, browsers over HTTP and WebSocket, other programs over
//! `Observe`.
//!
//! | file | what it does |
//! |---|---|
//! | `binary.rs` | starts and stops the binary, asks it by HTTP |
//! | `agent.rs` | an agent and what it reports |
//! | `roamer.rs` | an agent that goes from one aggregator to another |
//! | `page.rs` | a WebSocket client that keeps the view as the page does |
//! | the others | the tests |

#![allow(missing_docs, clippy::unwrap_used)]

mod access;
mod agent;
mod binary;
mod bulk;
mod configuration;
mod control;
mod files;
mod filters;
mod garbage;
mod graph;
mod hostile;
mod ingest;
mod labels;
mod live;
mod members;
mod observe;
mod oidc;
mod openapi;
mod page;
mod past;
mod peers;
mod plugins;
mod remote_write;
mod reports;
mod rest;
mod roamer;
mod schema;
mod search;
mod series;
mod settings;
mod terminal;
mod tls;
mod webhooks;
