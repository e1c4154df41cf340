//! The topology core, sans-IO: agent changes in, view differences out.
//!
//! Values in, values out: no clock, no socket, no thread. Every call that depends on time takes the
//! time (`now_ms`, Unix milliseconds). The owner calls [`Topology::apply`] for each change of an
//! agent, [`Topology::advance`] a few times per second, and [`View::diff`] whenever its subscribers
//! are due; the work of each is proportional to what changed.
//!
//! | where | what |
//! |---|---|
//! | `topology` | the tables, and how agents come and go |
//! | `apply` | how each kind of change enters |
//! | `join`, `resolve` | which ends belong together; who is behind an address |
//! | `links` | from ends to the edges of each view |
//! | `graph`, `edge`, `journal` | a view's nodes, edges and what changed in them |
//! | `render`, `health`, `details` | nodes, edges and details as the API has them |
//! | `lookup` | agents and containers by what a request names |
//! | `view`, `options` | what subscribers see and have been told |
//! | `events`, `incomplete` | enriched events; what the map does not show |
//! | `expire` | what time and snapshots take away |

mod address;
mod agent;
mod apply;
mod details;
mod edge;
mod end;
mod entities;
mod error;
mod events;
mod expire;
mod graph;
mod health;
mod incomplete;
mod join;
mod journal;
mod keys;
mod limits;
mod links;
mod lookup;
mod names;
mod options;
mod places;
mod render;
mod resolve;
mod stats;
mod symbols;
mod topology;
mod view;

pub use error::{AgentRefused, ChangeRefused};
pub use keys::AgentKey;
pub use limits::Limits;
pub use lookup::{KnownContainer, Place};
pub use options::{Options, UnknownView, ViewKind};
pub use stats::{Counter, Fill, Stats};
pub use topology::Topology;
pub use view::View;
