//! The real agent's binary against an aggregator's end of the uplink.

mod observes;
mod secured;
mod support;
