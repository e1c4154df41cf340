//! Several aggregators that share the agents. Each agent has a stream to one member; what it tells
//! is relayed to all others, so that each has the whole map.
//!
//! | file | what it does |
//! |---|---|
//! | `args.rs` | the options |
//! | `membership.rs` | who is there, and who looks after which agent |
//! | `link.rs` | follows another member: what its agents tell comes in |
//! | `service.rs` | the gRPC service by which others follow this one |
//!
//! What comes in is taken by `ingest`; who is there and who owns an agent is decided by the crate
//! `mesoscope-members`, without I/O.

mod args;
mod link;
mod membership;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

pub use args::{MembersArgs, PeerDial, PeersError};
pub use membership::Membership;
pub use service::{MESSAGE_BYTES_MAX, PeersService};

use crate::control::Control;
use crate::ingest::Registry;
use crate::series::Recorder;
use link::Link;

/// Time passes in the membership, and agents are sent to their owners, so often.
const PERIOD: Duration = Duration::from_millis(250);
/// Agents that are sent away in one such period.
const SENT_AWAY_MAX: usize = 128;

/// What is shared.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// The agents here, and elsewhere.
    pub registry: Arc<Registry>,
    /// Which of them can be asked.
    pub control: Arc<Control>,
    /// What those here told over time.
    pub series: Arc<Recorder>,
    /// How the others are dialled, and let in.
    pub dial: PeerDial,
}

/// Follows the other members until the drain.
///
/// # Errors
/// None; the type is that of the tasks beside it.
pub async fn run(sharing: Sharing, drain: CancellationToken) -> anyhow::Result<()> {
    let members = sharing.registry.members().clone();
    let mut list = members.follow();
    list.mark_changed();
    let mut links: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = drain.cancelled() => break,
            Ok(()) = list.changed() => {
                let own = members.own();
                let mut urls = list.borrow_and_update().clone();
                urls.retain(|url| **url != *own);
                links.retain(|url, task| {
                    let stays = urls.contains(url);
                    if !stays {
                        task.abort();
                    }
                    stays
                });
                for url in urls {
                    links.entry(url.clone()).or_insert_with(|| {
                        let link = Link::new(sharing.clone(), url.into());
                        tokio::spawn(link.run(drain.clone())).abort_handle()
                    });
                }
            }
            _ = period.tick() => {
                members.advance();
                let registry = sharing.registry.clone();
                tokio::task::spawn_blocking(move || registry.send_away(SENT_AWAY_MAX)).await?;
            }
        }
    }
    for task in links.values() {
        task.abort();
    }
    Ok(())
}
