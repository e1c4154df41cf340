//! The topology core, sans-IO: agent changes in, view differences out.
//!
//! Values in, values out: no clock, no socket, no thread. Every call that depends on time takes the
//! time (`now_ms`, Unix milliseconds). The owner calls [`Topology::apply`] for each change of an
//! agent, [`Topology::advance`] a few times per second, and [`View::diff`] whenever its subscribers
//! are due; the work of each is proportional to what changed.
//!
//! # What a view depends on
//! On what is known, and not on how it came. The changes of one agent count in their order; those
//! of several agents may come in any order between them, and an agent may tell again what it told
//! before, from any point to its last word, and nothing has changed at the end.
//!
//! This holds for as long as what has ended is kept: [`Limits::ended_keep_ms`] after it was told, and
//! within the other bounds. An end that is told again after it was forgotten is news and is shown
//! once more; so the owner leaves out the batches that it has taken in, by their sequence.
//!
//! # Whose a connection is
//! The process that an agent names for an end; the process of the other end where that was joined;
//! else that of the listener it reached. A TCP connection reached the one that listened when it was
//! opened, a UDP flow the one that listens now, or listened last, or did when it ended. So a closed
//! listener keeps what came to it: closed connections to their own end, and open ones until it is
//! forgotten itself; these are then drawn as a new aggregator would, by who listens now. Among
//! several that fit, a listener on that very address comes before one on all, and the earlier one
//! before the one that took its turn. Times of two hosts are compared as they are: between hosts,
//! the difference of their clocks decides what came just around the closing.
//!
//! | where | what |
//! |---|---|
//! | `topology` | the tables, and how agents come and go |
//! | `apply` | how each kind of change enters |
//! | `join`, `resolve` | which ends belong together; who is behind an address |
//! | `links` | from ends to the edges of each view |
//! | `graph`, `edge`, `journal` | a view's nodes, edges and what changed in them |
//! | `render`, `health`, `details` | nodes, edges and details as the API has them |
//! | `search` | nodes by what a person types; what may be meant by a half-typed word |
//! | `plugins` | what plugins of agents say of nodes |
//! | `lookup` | agents and containers by what a request names |
//! | `view`, `options` | what subscribers see and have been told |
//! | `own` | services that operators name |
//! | `overview` | how much each view has, and what its options choose from |
//! | `grouping` | the table of views whose nodes are groups |
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
mod grouping;
mod health;
mod incomplete;
mod join;
mod journal;
mod keys;
mod labels;
mod limits;
mod links;
mod lookup;
mod names;
mod options;
mod overview;
mod own;
mod places;
mod plugins;
mod render;
mod resolve;
pub mod search;
mod stats;
mod symbols;
mod topology;
mod view;

pub use apply::Thing;
pub use details::Part;
pub use error::{AgentRefused, ChangeRefused};
pub use keys::AgentKey;
pub use limits::Limits;
pub use lookup::{KnownContainer, Place, Standing};
pub use options::{Containers, Options, UnknownView, ViewKind};
pub use overview::{Choices, Counting, ViewSize};
pub use own::{OwnService, OwnServiceError};
pub use plugins::PluginControlPlace;
pub use stats::{Counter, Fill, Stats};
pub use topology::Topology;
pub use view::{Outline, Pace, View};
