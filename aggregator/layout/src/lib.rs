//! Where nodes are drawn: a two-level force layout whose nodes stay put.
//!
//! Level one places groups (a host's processes, a host's containers; a node without a group is a
//! group of its own) with a Barnes–Hut force model, so that connected groups are near and none
//! overlap. Level two packs the members of a group into the cells of a hexagonal grid. Small changes
//! move nobody but the newcomers: a new member takes a free cell near what it is connected to, a new
//! group a free spot. Everything is laid out anew only on request, after a change of much of the
//! picture, or when the picture has drifted from a fresh one.
//!
//! | where | what |
//! |---|---|
//! | `layout` | the picture and its changes |
//! | `place` | new groups, full layout, room for what grew |
//! | `pack` | members into cells |
//! | `hex` | the grid |
//! | `force` | the force model |
//! | `quadtree` | many-body forces in O(n log n) |
//! | `separate` | groups apart |

mod force;
mod hex;
mod layout;
mod pack;
mod place;
mod quadtree;
mod separate;

pub use layout::{Change, Group, Layout, Moved, Settings};
