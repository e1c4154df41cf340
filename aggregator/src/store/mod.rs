//! What operators set and must survive a restart. What agents report is never here: they report it
//! again.
//!
//! | file | what it does |
//! |---|---|
//! | `settings.rs` | the settings of all agents: bounds, changes, what goes away |
//! | `filters.rs` | saved filters: searches with a name |
//! | `open.rs` | from the folder to both |
//! | `file.rs` | one redb file: whose it is, its format version, reading and writing |
//! | `error.rs` | what can be wrong with it |

mod error;
mod file;
mod filters;
mod open;
mod settings;

pub use error::{ChangeError, StoreError};
pub use filters::{
    FILTERS_MAX, FILTERS_PER_OWNER_MAX, Filter, FilterError, Filters, Owner, Wanted,
};
pub use open::open;
pub use settings::{AGENTS_MAX, CONTAINERS_MAX, Presence, Settings};
