//! Tests of the node state.

mod connections;
mod containers;
mod ooms;
mod processes;
mod startup;
pub(crate) mod world;
