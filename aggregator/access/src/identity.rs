//! Who a request comes from.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::{Entry, Outcome};
use crate::role::Role;
use crate::sessions::SignedIn;

/// By what somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// No sign-in is configured and the aggregator listens on loopback only.
    Loopback,
    /// No sign-in is configured and others reach the aggregator (`--insecure-listen`).
    Open,
    /// An API token, made by an admin.
    ApiToken,
    /// A token of a file: `--user-token-file`, or `--agent-token-file` where there is no other.
    TokenFile,
    /// A client certificate.
    Certificate,
    /// Name and password of `--users-file`.
    Password,
    /// The provider of `--oidc-file`.
    OpenidConnect,
}

/// Who a request comes from. The middleware puts it into the request's extensions: a handler takes
/// `Extension(identity): Extension<Identity>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of the person or token.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// By what it was let in.
    pub how: How,
    /// The address that the request came from, where it is known.
    pub from: Option<IpAddr>,
}

impl Identity {
    /// Everyone, where the aggregator listens on loopback only and no sign-in is configured: who
    /// is on this machine may do everything.
    #[must_use]
    pub fn loopback(from: Option<IpAddr>) -> Self {
        Self {
            name: "loopback".to_owned(),
            role: Role::Admin,
            how: How::Loopback,
            from,
        }
    }

    /// Everyone, where others reach the aggregator without a sign-in: they may look.
    #[must_use]
    pub fn open(from: Option<IpAddr>) -> Self {
        Self {
            name: "anyone".to_owned(),
            role: Role::Viewer,
            how: How::Open,
            from,
        }
    }

    /// Whether the role is enough.
    ///
    /// # Errors
    /// [`Denied`] when it is not; REST answers 403 with its text.
    pub fn require(&self, needed: Role) -> Result<(), Denied> {
        if self.role >= needed {
            return Ok(());
        }
        Err(Denied {
            name: self.name.clone(),
            role: self.role,
            how: self.how,
            needed,
        })
    }

    /// The beginning of an audit entry: who, how, from where, what, on what. Its outcome is
    /// [`Outcome::Started`].
    #[must_use]
    pub fn entry(&self, action: &str, target: &str) -> Entry {
        Entry {
            who: self.name.clone(),
            how: self.how,
            from: self.from,
            action: action.to_owned(),
            target: target.to_owned(),
            parameters: serde_json::Value::Null,
            outcome: Outcome::Started,
        }
    }
}

impl From<SignedIn> for Identity {
    fn from(who: SignedIn) -> Self {
        Self {
            name: who.name,
            role: who.role,
            how: who.how,
            from: None,
        }
    }
}

/// Somebody whose role is not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this needs the role {needed}, and {name} is {role}")]
pub struct Denied {
    name: String,
    role: Role,
    how: How,
    /// The role that is needed.
    pub needed: Role,
}

impl Denied {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        if self.how == How::Open {
            "without a sign-in others may only look: configure one (docs/security.md)"
        } else {
            "sign in as somebody who may, or ask an admin for a token of that role"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_asked_for() {
        let near = Identity::loopback(None);
        assert_eq!(near.require(Role::Admin), Ok(()));
        let far = Identity::open(None);
        assert_eq!(far.require(Role::Viewer), Ok(()));
        let denied = far.require(Role::Operator).expect_err("a viewer");
        assert_eq!(
            denied.to_string(),
            "this needs the role operator, and anyone is viewer"
        );
        assert!(denied.hint().contains("configure"));
    }
}
