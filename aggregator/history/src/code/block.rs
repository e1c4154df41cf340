//! Entries one after the other, compressed.

use std::sync::Arc;

use prost::Message;

use super::entry::Entry;
use super::packed::{pack, unpack};

/// Writes entries; their times are relative to each other.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    last_ms: u64,
}

impl Writer {
    /// Entries of a block that begins at this time.
    pub(crate) fn new(from_ms: u64) -> Self {
        Self {
            bytes: Vec::new(),
            last_ms: from_ms,
        }
    }

    /// Writes an entry that was told at this time.
    pub(crate) fn put(&mut self, at_ms: u64, mut entry: Entry) {
        entry.at_ms = at_ms.wrapping_sub(self.last_ms).cast_signed();
        self.last_ms = at_ms;
        if let Some(op) = &mut entry.op {
            pack(op, at_ms);
        }
        // A vector grows as it must.
        let _ = entry.encode_length_delimited(&mut self.bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Reads entries with their times; ends at the end, or at what is no entry.
pub(crate) fn read(bytes: &[u8], from_ms: u64) -> impl Iterator<Item = (u64, Entry)> {
    let (mut rest, mut last_ms) = (bytes, from_ms);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut entry = Entry::decode_length_delimited(&mut rest).ok()?;
        last_ms = last_ms.wrapping_add(entry.at_ms.cast_unsigned());
        if let Some(op) = &mut entry.op {
            unpack(op, last_ms);
        }
        Some((last_ms, entry))
    })
}

/// Compressed bytes.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    data: Arc<[u8]>,
    length: u32,
}

/// Bytes of a block beside its data: its place in a list, and the counts of its pointer.
const OVERHEAD_BYTES: usize = 64;
/// The level of zstd: higher ones take much longer and gain little on so small blocks.
const LEVEL: i32 = 3;

impl Packed {
    /// Compresses; `like` has much of the same text, and must be there again to read it.
    pub(crate) fn new(bytes: &[u8], like: &[u8]) -> Self {
        let data = zstd::bulk::Compressor::with_dictionary(LEVEL, like)
            .and_then(|mut compressor| compressor.compress(bytes));
        Self {
            // Compressing to memory fails only without memory.
            data: data.expect("there is memory to compress to").into(),
            length: u32::try_from(bytes.len()).expect("blocks are far smaller"),
        }
    }

    /// The bytes as they were.
    pub(crate) fn unpack(&self, like: &[u8]) -> Vec<u8> {
        let length = self.length as usize;
        let bytes = zstd::bulk::Decompressor::with_dictionary(like)
            .and_then(|mut decompressor| decompressor.decompress(&self.data, length));
        bytes.expect("it was compressed here, with the same beside it")
    }

    /// Bytes before they were compressed.
    pub(crate) fn length(&self) -> usize {
        self.length as usize
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::entry::Op;

    #[test]
    fn entries_come_back_with_their_times() {
        let entry = |op| Entry {
            op: Some(op),
            ..Default::default()
        };
        let mut writer = Writer::new(1_000);
        let told = [
            (1_010, entry(Op::Snapshot(true))),
            (1_005, entry(Op::Disconnected(true))),
            (9_000, entry(Op::Snapshot(false))),
        ];
        for (at_ms, entry) in told.clone() {
            writer.put(at_ms, entry);
        }
        let like = b"something else";
        let packed = Packed::new(writer.bytes(), like);
        let bytes = packed.unpack(like);
        assert_eq!(bytes, writer.bytes());
        let read: Vec<_> = read(&bytes, 1_000).collect();
        assert_eq!(read.len(), told.len());
        for ((at_ms, entry), (told_ms, told)) in read.into_iter().zip(told) {
            assert_eq!((at_ms, entry.op), (told_ms, told.op));
        }
    }
}
