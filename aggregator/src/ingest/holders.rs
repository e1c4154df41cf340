//! Whose an agent's id is: an agent must not tell of another agent's node.
//!
//! An id belongs to the token or certificate that an agent was let in with, while it has a stream
//! and a minute longer, so that it comes back to its own id. Agents that share one token can't be
//! told apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_access::credentials::Authorization;
use mesoscope_access::secret::SecretDigest;
use mesoscope_service::access::Admitted;
use tonic::Request;

use super::reporters::Holder;

/// An id is kept so long for an agent whose stream has ended.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Ids that are remembered before those that are free again are cleaned away.
const IDS_TIDY: usize = 1_024;

/// With what each agent was let in.
#[derive(Debug)]
pub struct Holders {
    kept_for: Duration,
    ids: Mutex<HashMap<String, Held>>,
}

#[derive(Debug)]
struct Held {
    holder: Holder,
    streams: u32,
    /// When the last stream ended.
    ended: Instant,
}

/// A stream's hold on its id; ends with it.
#[derive(Debug)]
pub(super) struct Hold {
    holders: Arc<Holders>,
    agent_id: String,
    opened: bool,
}

impl Default for Holders {
    fn default() -> Self {
        Self {
            kept_for: KEPT_FOR,
            ids: Mutex::default(),
        }
    }
}

impl Holders {
    fn ids(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an id, unless it is another's.
    pub(super) fn take(self: &Arc<Self>, agent_id: &str, holder: &Holder) -> Option<Hold> {
        let mut ids = self.ids();
        let free = |held: &Held| held.streams == 0 && held.ended.elapsed() >= self.kept_for;
        if ids.len() >= IDS_TIDY {
            ids.retain(|_, held| !free(held));
        }
        if let Some(held) = ids.get_mut(agent_id).filter(|held| !free(held)) {
            if held.holder != *holder {
                return None;
            }
            held.streams += 1;
        } else {
            let held = Held {
                holder: holder.clone(),
                streams: 1,
                ended: Instant::now(),
            };
            ids.insert(agent_id.to_owned(), held);
        }
        Some(Hold {
            holders: self.clone(),
            agent_id: agent_id.to_owned(),
            opened: false,
        })
    }

    /// Whether an agent with a stream was let in with this.
    #[must_use]
    pub fn is_held_by(&self, agent_id: &str, holder: &Holder) -> bool {
        let ids = self.ids();
        let held = ids.get(agent_id).filter(|held| held.streams > 0);
        held.is_some_and(|held| held.holder == *holder)
    }
}

impl Hold {
    /// The agent was let in: the id stays its own for a while after the stream.
    pub(super) fn opened(&mut self) {
        self.opened = true;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut ids = self.holders.ids();
        let Some(held) = ids.get_mut(&self.agent_id) else {
            return;
        };
        held.streams -= 1;
        if self.opened {
            held.ended = Instant::now();
        } else if held.streams == 0 && held.ended.elapsed() < self.holders.kept_for {
            // One that was refused for another reason keeps nothing that was free before.
            ids.remove(&self.agent_id);
        }
    }
}

impl Holder {
    /// As members tell it each other.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Anyone => String::new(),
            Self::Token(digest) => format!("token {}", digest.hex()),
            Self::Certificate(digest) => format!("certificate {digest}"),
        }
    }

    /// With what this request was let in by `Access::interceptor`.
    pub fn of_request<T>(request: &Request<T>) -> Self {
        match request.extensions().get::<Admitted>() {
            Some(Admitted::Certificate(digest)) => Self::Certificate(digest.clone()),
            Some(Admitted::Token) => {
                let header = request.metadata().get("authorization");
                let shown = header.and_then(|value| Authorization::parse(value.to_str().ok()?));
                match shown {
                    Some(
                        Authorization::Token(token)
                        | Authorization::Password {
                            password: token, ..
                        },
                    ) => Self::Token(SecretDigest::of(&token)),
                    None => Self::Anyone,
                }
            }
            Some(Admitted::Open) | None => Self::Anyone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Holder {
        Holder::Token(SecretDigest::of(text))
    }

    #[test]
    fn an_id_is_its_holders_while_there_is_a_stream_and_a_while_longer() {
        let holders = Arc::new(Holders::default());
        let mut first = holders.take("a", &token("1")).expect("free");
        first.opened();
        assert!(holders.take("a", &token("2")).is_none());
        assert!(holders.is_held_by("a", &token("1")));
        assert!(!holders.is_held_by("a", &token("2")));
        assert!(!holders.is_held_by("b", &token("1")));
        let mut newer = holders.take("a", &token("1")).expect("its own");
        newer.opened();
        drop(first);
        assert!(holders.is_held_by("a", &token("1")), "the newer is there");
        drop(newer);
        assert!(!holders.is_held_by("a", &token("1")));
        assert!(holders.take("a", &token("2")).is_none(), "it may come back");
        assert!(holders.take("a", &token("1")).is_some());
    }

    #[test]
    fn an_id_is_free_again_after_that_or_when_it_was_never_opened() {
        let holders = Arc::new(Holders {
            kept_for: Duration::ZERO,
            ..Holders::default()
        });
        let mut first = holders.take("a", &token("1")).expect("free");
        first.opened();
        drop(first);
        assert!(holders.take("a", &token("2")).is_some());
        let holders = Arc::new(Holders::default());
        drop(holders.take("a", &token("1")).expect("free"));
        assert!(holders.take("a", &token("2")).is_some(), "it was refused");
        for number in 0..3 * IDS_TIDY {
            drop(holders.take(&number.to_string(), &token("1")));
        }
        assert!(holders.ids().len() <= IDS_TIDY);
    }
}
