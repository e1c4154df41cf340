//! What was done, by whom: entries that are only ever added to, on the disk before the action.
//!
//! | file | what it does |
//! |---|---|
//! | `entry.rs` | one entry and its line |
//! | `files.rs` | the files: adding with fsync, rotating, what is older than a year goes |
//! | `audit.rs` | the audit itself, in files or in memory; reading it back in pages |

#[allow(
    clippy::module_inception,
    reason = "the file holds the type of that name"
)]
mod audit;
mod entry;
mod files;

pub use audit::{Audit, AuditError, KEEP_DEFAULT, Page};
pub use entry::{Entry, Outcome, Recorded};
