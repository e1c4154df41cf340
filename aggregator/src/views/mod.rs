//! Views shared by their subscribers.
//!
//! One difference is made for all who look at the same view with the same options, at most every
//! 100 ms. A subscriber that is slow gets those that it missed merged into one; for it, nothing is kept
//! but how far it has come. Figures are told less often (`shared.rs` says how).
//!
//! | file | what it does |
//! |---|---|
//! | `hub.rs` | which views are kept |
//! | `shared.rs` | one view: the difference, where its nodes are drawn, who gets it |
//! | `log.rs` | the last differences, once for all who follow |
//! | `past.rs` | views as they were, and where their nodes are drawn |
//! | `merge.rs` | two differences in a row as one |
//! | `subscription.rs` | a subscriber's end |

mod hub;
mod log;
mod merge;
mod past;
mod shared;
mod subscription;

pub use hub::{SUBSCRIBERS_MAX, VIEWS_MAX, Views, ViewsFull};
pub use merge::merge;
pub use past::PLACES_MAX;
pub use shared::{deflated, to_json};
pub use subscription::{Message, Subscription};
