//! Where nodes are drawn: a two-level force layout whose nodes stay put.
//!
//! Level one places groups (a host's processes, a host's containers; a node without a group is a
//! group of its own) with a Barnes–Hut force model. Level two packs the members of a group into
//! fixed slots. Small changes move nobody but the newcomers.

mod layout;

pub use layout::{Change, Group, Layout, Moved, Settings};
