//! The pieces that rows are packed into.

/// Bytes of a piece: smaller ones would spend more on their beginnings, larger ones more on what is
/// not filled yet.
pub(crate) const CHUNK_BYTES: usize = 128;
const HEADER_BYTES: usize = 10;
/// Bits for rows.
pub(crate) const PAYLOAD_BITS: usize = (CHUNK_BYTES - HEADER_BYTES) * 8;
/// No piece.
pub(crate) const NONE: u32 = u32::MAX;

/// A piece of a stream. It begins with a whole row, so that it can be read without those before it.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The piece that follows.
    pub(crate) next: u32,
    /// Slot of the first row.
    pub(crate) slot: u32,
    /// Bits in use.
    pub(crate) used: u16,
    pub(crate) payload: [u8; CHUNK_BYTES - HEADER_BYTES],
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            next: NONE,
            slot: 0,
            used: 0,
            payload: [0; CHUNK_BYTES - HEADER_BYTES],
        }
    }
}

impl Chunk {
    /// The bits in use.
    pub(crate) fn used(&self) -> usize {
        usize::from(self.used)
    }

    pub(crate) fn set_used(&mut self, bits: usize) {
        self.used = u16::try_from(bits).unwrap_or(u16::MAX);
    }
}
