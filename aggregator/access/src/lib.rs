//! Who may do what on the aggregator, and the record of what was done.
//!
//! | module | what it does |
//! |---|---|
//! | [`role`] | viewer, operator, admin |
//! | [`identity`] | who a request comes from, and whether that is enough |
//! | [`gate`] | all that somebody can sign in with |
//! | [`book`], [`token`] | API tokens, and the file that keeps them |
//! | [`users`] | people with passwords |
//! | [`sessions`] | browsers that are signed in |
//! | [`throttle`] | failed sign-ins |
//! | [`credentials`] | what a request shows |
//! | [`secret`] | random secrets and their digests |
//! | [`audit`] | what was done by whom: JSON lines that are only ever added to |
//!
//! A handler takes the identity that the middleware left in the request's extensions, asks it for
//! a role, and records before it acts:
//!
//! ```
//! use mesoscope_access::{Audit, Identity, Outcome, Role};
//!
//! fn restart(identity: &Identity, audit: &Audit) -> Result<(), Box<dyn std::error::Error>> {
//!     identity.require(Role::Operator)?;
//!     let entry = identity.entry("container.restart", "container;4f1c2a9b7d03");
//!     // No record, no action.
//!     audit.record(entry.clone())?;
//!     // ... it is done ...
//!     audit.record(entry.with_outcome(Outcome::Done))?;
//!     Ok(())
//! }
//! # let audit = Audit::in_memory();
//! # restart(&Identity::loopback(None), &audit).expect("loopback may");
//! # assert_eq!(audit.read(None, 10).expect("in memory").entries.len(), 2);
//! ```

pub mod audit;
pub mod book;
pub mod credentials;
pub mod gate;
pub mod identity;
pub mod role;
pub mod secret;
pub mod sessions;
pub mod throttle;
pub mod token;
pub mod users;

pub use audit::{Audit, AuditError, Entry, Outcome, Recorded};
pub use gate::Gate;
pub use identity::{Denied, How, Identity};
pub use role::Role;
