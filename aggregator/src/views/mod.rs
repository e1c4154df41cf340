//! Views shared by their subscribers.
//!
//! One difference is made for all who look at the same view with the same options, at most every
//! 100 ms. A subscriber that is slow gets later differences merged into one, never a queue.
//!
//! | file | what it does |
//! |---|---|
//! | `hub.rs` | which views are kept |
//! | `shared.rs` | one view: the difference, where its nodes are drawn, who gets it |
//! | `mailbox.rs` | what waits for one subscriber |
//! | `past.rs` | views as they were, and where their nodes are drawn |
//! | `merge.rs` | two differences in a row as one |
//! | `subscription.rs` | a subscriber's end |

mod hub;
mod mailbox;
mod merge;
mod past;
mod shared;
mod subscription;

pub use hub::{SUBSCRIBERS_MAX, VIEWS_MAX, Views, ViewsFull};
pub use merge::merge;
pub use past::PLACES_MAX;
pub use subscription::{Message, Subscription};
