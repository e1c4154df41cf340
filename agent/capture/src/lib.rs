//! Kernel events and socket snapshots as typed values.
pub mod event;
