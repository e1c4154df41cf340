//! What this aggregator's own agents tell, for the other members. One that does not read is cut off:
//! it comes back, and asks anew for what it missed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mesoscope_proto::v1::Relayed;
use mesoscope_proto::v1::relayed::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::registry::lock;

/// Bytes that wait for one member.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Messages that wait for one member.
const WAITING_MAX: usize = 65_536;
/// What a message is counted with beside its batch.
const MESSAGE_BYTES: usize = 128;

/// The members that listen.
#[derive(Debug, Default)]
pub struct Hub {
    outlets: Mutex<Vec<Arc<Outlet>>>,
}

/// One member that listens.
#[derive(Debug)]
pub struct Outlet {
    messages: mpsc::Sender<Relayed>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Cancelled when it has not read for too long.
    pub closed: CancellationToken,
}

/// The other end.
#[derive(Debug)]
pub struct Relay {
    messages: mpsc::Receiver<Relayed>,
    waiting_bytes: Arc<AtomicUsize>,
}

fn bytes(message: &Message) -> usize {
    match message {
        Message::Batch(batch) => MESSAGE_BYTES + batch.batch.len(),
        _ => MESSAGE_BYTES,
    }
}

impl Hub {
    /// A member that listens from now on, until it drops the relay.
    pub fn listen(&self) -> (Arc<Outlet>, Relay) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let outlet = Arc::new(Outlet {
            messages: sender,
            waiting_bytes: waiting_bytes.clone(),
            closed: CancellationToken::new(),
        });
        let relay = Relay {
            messages: receiver,
            waiting_bytes,
        };
        lock(&self.outlets).push(outlet.clone());
        (outlet, relay)
    }

    /// Whether anyone listens.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !lock(&self.outlets).is_empty()
    }

    /// Tells all who listen.
    pub fn tell(&self, message: &Message) {
        lock(&self.outlets).retain(|outlet| {
            outlet.tell(message.clone());
            !outlet.closed.is_cancelled()
        });
    }

    /// Bytes that wait, of the member with the most.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        let outlets = lock(&self.outlets);
        let waiting = outlets
            .iter()
            .map(|outlet| outlet.waiting_bytes.load(Ordering::Relaxed));
        waiting.max().unwrap_or(0)
    }
}

impl Outlet {
    /// Tells this one alone.
    pub fn tell(&self, message: Message) {
        let bytes = bytes(&message);
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let message = Relayed {
            message: Some(message),
        };
        if waiting > WAITING_BYTES_MAX || self.messages.try_send(message).is_err() {
            self.closed.cancel();
        }
    }
}

impl Relay {
    /// The next message; `None` when nobody tells any more.
    pub async fn next(&mut self) -> Option<Relayed> {
        let message = self.messages.recv().await?;
        let bytes = message.message.as_ref().map_or(0, bytes);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::{RelayBeat, RelayedBatch};

    use super::*;

    fn batch(bytes: usize) -> Message {
        Message::Batch(RelayedBatch {
            agent_id: "a".to_owned(),
            batch: vec![0; bytes],
        })
    }

    #[tokio::test]
    async fn all_who_listen_hear_in_order_and_one_that_does_not_read_is_cut_off() {
        let hub = Hub::default();
        assert!(!hub.is_wanted());
        let (_, mut reads) = hub.listen();
        let (slow, _kept) = hub.listen();
        let beat = Message::Beat(RelayBeat {});
        // Two of these are more than may wait.
        let half = batch(WAITING_BYTES_MAX / 2);
        for told in [&beat, &half, &half, &beat] {
            hub.tell(told);
            let heard = reads.next().await.expect("told").message;
            assert_eq!(heard.as_ref(), Some(told));
        }
        assert!(slow.closed.is_cancelled());
        assert_eq!(hub.waiting_bytes(), 0, "the slow one is out");
    }

    #[test]
    fn one_that_has_gone_is_out_at_the_next_message() {
        let hub = Hub::default();
        drop(hub.listen());
        hub.tell(&Message::Beat(RelayBeat {}));
        assert!(!hub.is_wanted());
    }
}
