//! What the agent keeps: batches until they are acknowledged, and its own id.

pub mod agent_id;
pub mod spool;
