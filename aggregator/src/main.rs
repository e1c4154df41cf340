//! The aggregator: ingests agents, keeps the live topology and serves it.

fn main() {}
