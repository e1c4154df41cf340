//! What happens, told to other programs: signed HTTP requests to the URLs of `--webhooks-file`.
//!
//! | file | what it does |
//! |---|---|
//! | `notice.rs` | what is told, as its JSON (no I/O) |
//! | `watch.rs` | what of the topology's changes is told (no I/O) |
//! | `queue.rs` | what waits for one webhook: order, retries, bounds (no I/O) |
//! | `signature.rs` | how a request shows that it comes from here (no I/O) |
//! | `file.rs` | the file that names the webhooks |
//! | `deliver.rs` | follows the topology, and makes the requests |
//!
//! A webhook gets its notices in order, one request at a time: one that fails is tried again before
//! the next, and given up after `--webhook-give-up`. `sequence` counts up by one per webhook, so that
//! a receiver sees what was dropped; `id` is the same however often a notice is sent, by whichever
//! start of the aggregator.

mod deliver;
mod file;
mod notice;
mod queue;
mod signature;
mod watch;

pub use deliver::{Patience, Stats, Webhooks};
pub use file::{Hook, HooksError, load};
pub use notice::{Kind, Notice};
pub use queue::QUEUE_MAX;
