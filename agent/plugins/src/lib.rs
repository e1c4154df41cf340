//! Plugins of the node agent: programs beside it that say more of the nodes of its machine, and offer
//! controls for them (`docs/plugins.md`).
//!
//! A plugin is not trusted. It runs as a user of its own, without the agent's rights; it sees the nodes
//! that its manifest names and nothing else; and of what it says, only what the manifest declares is
//! taken, within bounds of time, size and number.
//!
//! | module | what it does |
//! |---|---|
//! | [`manifest`], [`pattern`] | what a plugin may do (no I/O) |
//! | [`nodes`] | which nodes it sees, and what it sees of them (no I/O) |
//! | [`validate`] | what of its answers is taken (no I/O) |
//! | [`user`] | who it runs as |
//! | [`launch`] | giving up what the agent may do, and becoming the plugin's program |
//! | `program` | its program: started, logged, ended |
//! | [`socket`], [`client`] | reaching it, within time and size |
//! | `folder` | the folder of manifests, read again when it changes |
//! | `plugin` | one plugin: started, asked, judged, its controls pressed |
//! | [`run`] | all of them |

pub mod client;
mod folder;
pub mod launch;
pub mod manifest;
pub mod nodes;
pub mod pattern;
mod plugin;
mod program;
pub mod run;
pub mod socket;
pub mod user;
pub mod validate;

pub use folder::PLUGINS_MAX;
pub use run::{Event, Plugins, Settings, start};
