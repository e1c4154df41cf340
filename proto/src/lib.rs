//! Every wire contract of Mesoscope, and the code generated from it.
//!
//! The `.proto` files under `proto/proto` are the documentation of each message; the doc comments
//! of the generated types come from them.

pub mod address;
mod figures;
mod words;

/// Whether a value is what an absent one stands for.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `mesoscope.v1`: agent to aggregator (`Uplink`, `Control`) and aggregator to consumers (`Observe`).
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("mesoscope.v1");
}

/// The compiled descriptors of every service here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
