//! The topology core, sans-IO: agent changes in, view differences out.
//!
//! Values in, values out: no clock, no socket, no thread. Every call that depends on time takes the
//! time (`now_ms`, Unix milliseconds). The owner calls [`Topology::apply`] for each change of an
//! agent, [`Topology::advance`] a few times per second, and [`View::diff`] whenever its subscribers
//! are due; the work of each is proportional to what changed.

mod limits;
mod options;
mod stats;
mod topology;
mod view;

pub use limits::Limits;
pub use options::{Options, UnknownView, ViewKind};
pub use stats::{Counter, Fill, Stats};
pub use topology::{AgentKey, AgentRefused, ChangeRefused, Topology};
pub use view::View;
