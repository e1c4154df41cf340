//! The layout of what the kernel programs and the agent exchange.
