//! How notes are kept: as entries, packed, in compressed blocks.

pub(crate) mod block;
pub(crate) mod entry;
pub(crate) mod packed;
