//! The real agent's binary against an aggregator's end of the uplink.

mod control;
mod engine;
mod losses;
mod observes;
mod ooms;
mod secured;
mod plugins;
mod support;
mod tier2;
