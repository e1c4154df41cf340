//! Where what agents tell waits for the history. This is all that ingest does for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use mesoscope_history::{Inbox, Taken};
use mesoscope_proto::v1;
use mesoscope_topology::AgentKey;

use super::{Archive, lock};

/// Bytes that wait of one agent; then they are taken by whoever brings more.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What one agent has told.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) id: Arc<str>,
    inbox: Mutex<Inbox>,
    speaks: AtomicBool,
}

impl Feed {
    pub(super) fn take(&self) -> Taken {
        lock(&self.inbox).take()
    }
}

/// What all agents have told since the history took it last. Nothing is kept while there is no history.
#[derive(Debug, Default)]
pub struct Feeds {
    archive: OnceLock<Weak<Archive>>,
    feeds: RwLock<HashMap<AgentKey, Arc<Feed>>>,
}

impl Feeds {
    /// From now on, it is kept for this archive.
    pub(super) fn follow(&self, archive: &Arc<Archive>) {
        // There is one for each topology.
        let _ = self.archive.set(Arc::downgrade(archive));
    }

    /// An agent has a stream.
    pub(crate) fn connected(&self, agent: AgentKey, hello: &v1::Hello, now_ms: u64) {
        if self.archive.get().is_none() {
            return;
        }
        let feed = {
            let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
            let feed = feeds.entry(agent).or_insert_with(|| {
                Arc::new(Feed {
                    id: hello.agent_id.as_str().into(),
                    inbox: Mutex::default(),
                    speaks: AtomicBool::new(true),
                })
            });
            feed.speaks.store(true, Ordering::Relaxed);
            feed.clone()
        };
        lock(&feed.inbox).connected(hello, now_ms);
    }

    /// Its stream has ended.
    pub(crate) fn disconnected(&self, agent: AgentKey, now_ms: u64) {
        if let Some(feed) = self.feed(agent) {
            lock(&feed.inbox).disconnected(now_ms);
            feed.speaks.store(false, Ordering::Relaxed);
        }
    }

    /// It has told these changes; a snapshot may begin before them and end after them.
    pub(crate) fn told(
        &self,
        agent: AgentKey,
        (begin, end): (bool, bool),
        changes: &[v1::Change],
        now_ms: u64,
    ) {
        let Some(feed) = self.feed(agent) else {
            return;
        };
        let mut inbox = lock(&feed.inbox);
        if begin {
            inbox.snapshot_begins(now_ms);
        }
        for change in changes {
            inbox.change(change, now_ms);
        }
        if end {
            inbox.snapshot_ends(now_ms);
        }
        let waiting = inbox.len();
        drop(inbox);
        if waiting > WAITING_BYTES_MAX
            && let Some(archive) = self.archive.get().and_then(Weak::upgrade)
        {
            archive.take_now(&feed);
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.all().iter().map(|feed| lock(&feed.inbox).len()).sum()
    }

    pub(super) fn all(&self) -> Vec<Arc<Feed>> {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        feeds.values().cloned().collect()
    }

    /// Forgets agents that are away and of which nothing waits.
    pub(super) fn clean(&self) {
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        feeds
            .retain(|_, feed| feed.speaks.load(Ordering::Relaxed) || !lock(&feed.inbox).is_empty());
    }

    fn feed(&self, agent: AgentKey) -> Option<Arc<Feed>> {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        feeds.get(&agent).cloned()
    }
}
