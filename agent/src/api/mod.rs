//! The edges: the stream to the aggregator, `/metrics` and `/health`.

pub mod http;
pub mod metrics;
pub mod uplink;
