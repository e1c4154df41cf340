//! Sign-in by an OpenID Connect provider: authorization code with PKCE.
//!
//! | file | what it does |
//! |---|---|
//! | `file.rs` | the file that names the provider and says which groups have which roles |
//! | `attempt.rs` | what ties the provider's answer to the browser that asked (no I/O) |
//! | `claims.rs` | what a provider says of a person: name and role (no I/O) |
//! | `provider.rs` | the provider's documents, the exchange of a code, the ID token |

mod attempt;
mod claims;
mod file;
mod provider;

pub use attempt::{ATTEMPT_MS_MAX, Attempt};
pub use claims::Person;
pub use file::{OidcError, Options, load};
pub use provider::{Provider, ProviderError};

/// Where the provider sends the browser back to.
pub const CALLBACK: &str = "/api/v1/session/oidc/callback";
