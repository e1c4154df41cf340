//! What is carried at most.

use std::time::Duration;

/// Bytes of a file that is read, and of all files in the tar of a folder.
pub const DOWNLOAD_BYTES_MAX: u64 = 1 << 30;
/// Bytes of a file that is written.
pub const UPLOAD_BYTES_MAX: u64 = 256 << 20;
/// Entries in the tar of a folder.
pub const ENTRIES_MAX: usize = 100_000;
/// Folders in folders in the tar of a folder.
pub(super) const DEPTH_MAX: usize = 64;
/// Entries of one page of a folder: with names of the longest kind, an answer of less than 1 MiB.
pub const LISTED_MAX: usize = 1_000;
/// Names of a folder that are read to give a page of it.
pub const NAMES_MAX: usize = 200_000;
/// Of what a link says.
pub(super) const TARGET_BYTES_MAX: usize = 256;
/// How long a disk may take over one answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that are carried at once.
pub(super) const PIECE_BYTES: usize = 16 << 10;
/// Pieces between a thread and the rest.
pub(super) const PIECES_MAX: usize = 4;
