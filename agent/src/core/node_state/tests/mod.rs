//! Tests of the node state.

mod connections;
mod containers;
mod processes;
mod startup;
pub(crate) mod world;
