//! Holds the connection to a runtime, and finds it again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::stats::WatchStats;
use super::watch::{RuntimeEvent, Watch};

/// A kind of runtime: how it is reached, and how it is followed.
pub(crate) trait Runtime: Send + 'static {
    /// A runtime that has answered.
    type Connection: Send;

    /// What the log says when it does not answer.
    const SILENT: &'static str;
    /// The first pause between two attempts.
    const PAUSE_FIRST: Duration;
    /// The longest.
    const PAUSE_LONGEST: Duration;

    /// Reaches the runtime; the error says why not, and what to do about it.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Tells what the runtime has, beginning with [`RuntimeEvent::Connected`], then what changes.
    fn follow(
        &mut self,
        connection: Self::Connection,
        outlet: &Outlet,
    ) -> impl Future<Output = Ended> + Send;
}

/// Why a runtime is followed no longer.
#[derive(Debug)]
pub(crate) enum Ended {
    ReaderGone,
    RuntimeLost(String),
}

/// Where a watcher tells, and counts.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) sender: mpsc::Sender<RuntimeEvent>,
    pub(crate) stats: Arc<WatchStats>,
}

impl Outlet {
    /// Tells the reader, and waits until there is room for it.
    pub(crate) async fn send(&self, event: RuntimeEvent) -> Result<(), Ended> {
        let sent = self.sender.send(event).await;
        sent.map_err(|_| Ended::ReaderGone)
    }
}

/// Watches a runtime until the result is dropped.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn watch(runtime: impl Runtime, channel_capacity: usize) -> Watch {
    let (sender, events) = mpsc::channel(channel_capacity.max(1));
    let stats = Arc::new(WatchStats::default());
    let outlet = Outlet {
        sender,
        stats: Arc::clone(&stats),
    };
    Watch {
        events,
        stats,
        task: tokio::spawn(run(runtime, outlet)),
    }
}

/// Runs until the reader is gone.
async fn run<R: Runtime>(mut runtime: R, outlet: Outlet) {
    let mut backoff = Backoff::new(R::PAUSE_FIRST, R::PAUSE_LONGEST);
    let mut told_reason = String::new();
    loop {
        let reason = match runtime.connect().await {
            Ok(connection) => {
                backoff.reset();
                told_reason.clear();
                match runtime.follow(connection, &outlet).await {
                    Ended::ReaderGone => return,
                    Ended::RuntimeLost(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        outlet.stats.set_disconnected(&reason);
        // The same reason again at every attempt is no news.
        if reason != told_reason {
            tracing::info!(%reason, "{}", R::SILENT);
            let event = RuntimeEvent::Disconnected {
                reason: reason.clone(),
            };
            if outlet.send(event).await.is_err() {
                return;
            }
            told_reason = reason;
        }
        tokio::select! {
            () = sleep(backoff.next_pause()) => {}
            () = outlet.sender.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// What each attempt to reach it gives: the reason why not, or why it was lost afterwards.
    struct Scripted {
        attempts: Mutex<VecDeque<Result<&'static str, &'static str>>>,
        tried: Arc<AtomicUsize>,
    }

    impl Runtime for Scripted {
        type Connection = &'static str;
        const SILENT: &'static str = "the script says no";
        const PAUSE_FIRST: Duration = Duration::from_millis(1);
        const PAUSE_LONGEST: Duration = Duration::from_millis(2);

        async fn connect(&self) -> Result<&'static str, String> {
            self.tried.fetch_add(1, Ordering::Relaxed);
            let next = self.attempts.lock().expect("no panic").pop_front();
            next.unwrap_or(Err("the script is at its end"))
                .map_err(str::to_owned)
        }

        async fn follow(&mut self, lost_by: &'static str, outlet: &Outlet) -> Ended {
            outlet.stats.set_connected("script 1".to_owned());
            let connected = RuntimeEvent::Connected {
                runtime: "script".to_owned(),
                version: "1".to_owned(),
            };
            match outlet.send(connected).await {
                Ok(()) => Ended::RuntimeLost(lost_by.to_owned()),
                Err(ended) => ended,
            }
        }
    }

    fn scripted(
        attempts: impl IntoIterator<Item = Result<&'static str, &'static str>>,
    ) -> (Watch, Arc<AtomicUsize>) {
        let tried = Arc::new(AtomicUsize::new(0));
        let runtime = Scripted {
            attempts: Mutex::new(attempts.into_iter().collect()),
            tried: Arc::clone(&tried),
        };
        (watch(runtime, 1), tried)
    }

    async fn told(watch: &mut Watch) -> String {
        let event = tokio::time::timeout(Duration::from_secs(20), watch.events.recv()).await;
        match event.expect("told within 20 s").expect("it runs on") {
            RuntimeEvent::Connected { .. } => "connected".to_owned(),
            RuntimeEvent::Disconnected { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_reason_is_told_once_until_it_changes_or_the_runtime_was_there() {
        let (mut watch, _) = scripted([
            Err("absent"),
            Err("absent"),
            Err("forbidden"),
            Ok("absent"),
            Err("absent"),
            Ok("absent"),
        ]);
        for expected in [
            "absent",
            "forbidden",
            "connected",
            "absent",
            "connected",
            "absent",
            "the script is at its end",
        ] {
            assert_eq!(told(&mut watch).await, expected);
        }
        assert_eq!(watch.stats.connects_total(), 2);
        assert_eq!(watch.stats.disconnects_total(), 2);
        let capability = watch.stats.capability("script");
        assert!(!capability.available);
        assert_eq!(capability.reason, "the script is at its end");
    }

    #[tokio::test]
    async fn a_reader_that_goes_ends_the_attempts() {
        let (mut watch, tried) = scripted([]);
        told(&mut watch).await;
        watch.events.close();
        let ended = async {
            while !watch.task.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        ended.expect("it ends by itself");
        let tried_by_then = tried.load(Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(tried.load(Ordering::Relaxed), tried_by_then);
    }
}
