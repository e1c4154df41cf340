//! The binary against servers: a scripted one, and the real aggregator.

mod aggregator;
mod commands;
mod program;
mod scripted;
