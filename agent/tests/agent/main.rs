//! The real agent's binary against an aggregator's end of the uplink.

mod control;
mod engine;
mod files;
mod losses;
mod observes;
mod ooms;
mod plugins;
mod secured;
mod support;
mod tier2;
