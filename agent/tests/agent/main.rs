//! The real agent's binary against an aggregator's end of the uplink.

mod losses;
mod observes;
mod secured;
mod support;
mod tier2;
