//! The node agent: observes one node and reports to an aggregator.

fn main() {}
