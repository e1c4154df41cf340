//! Decisions without I/O: values in, values out, no clock, no socket.
//!
//! | module | decides |
//! |---|---|
//! | [`node_state`] | what this node is like, from everything that tells of it |
//! | [`startup`] | attach, then snapshot, then replay |
//! | [`loss`] | which gaps the map has, from the counters of the capture |
//! | [`sampling`] | when the kernel programs are measured, and what they cost |
//! | [`batch`] | how changes become numbered batches |
//! | [`route`] | which aggregator to dial |
//! | [`session`] | what to send over one connection to the aggregator |
//! | [`governor`] | how much the agent may do within its budget |
//! | [`cadence`] | when each sampler is due |
//! | [`ports`] | the application that a port stands for |

pub mod batch;
pub mod cadence;
pub mod governor;
pub mod loss;
pub mod node_state;
pub mod ports;
pub mod route;
pub mod sampling;
pub mod session;
#[cfg(test)]
mod session_tests;
pub mod startup;
