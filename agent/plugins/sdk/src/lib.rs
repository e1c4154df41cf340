//! Write a plugin of the Mesoscope agent in Rust.
//!
//! A plugin is a program that the agent of a node starts, or finds running. The agent asks it again
//! and again what it knows of the nodes that its manifest names (the host, containers, processes),
//! shows that in their details, and passes on the controls that people press there.
//!
//! ```no_run
//! use mesoscope_plugin::{Description, Failure, NodeFacts, Plugin, Report, ReportRequest};
//!
//! struct Uptime;
//!
//! impl Plugin for Uptime {
//!     fn describe(&self) -> Description {
//!         Description::new("uptime", env!("CARGO_PKG_VERSION"))
//!     }
//!
//!     async fn report(&self, asked: ReportRequest) -> Result<Report, Failure> {
//!         let text = std::fs::read_to_string("/proc/uptime").map_err(Failure::new)?;
//!         let seconds = text.split(' ').next().and_then(|text| text.parse().ok());
//!         let facts = asked.nodes.iter().map(|node| {
//!             NodeFacts::new(&node.id).metric("uptime", seconds.unwrap_or(0.0))
//!         });
//!         Ok(Report { nodes: facts.collect() })
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), mesoscope_plugin::ServeError> {
//!     mesoscope_plugin::serve(Uptime).await
//! }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`messages`] | what agent and plugin say to each other, as `docs/plugin-api.json` describes it |
//! | `openapi` | the same as a document (with the feature `openapi`) |
//! | [`server`] | the server of a plugin, on its unix socket |

pub mod messages;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod server;

pub use messages::{
    API, ControlAnswer, ControlRequest, Description, Label, Metadatum, Node, NodeFacts, NodeKind,
    Problem, Report, ReportRequest, Sample, Table,
};
pub use server::{Failure, Plugin, SOCKET_VARIABLE, ServeError, serve, serve_at};
