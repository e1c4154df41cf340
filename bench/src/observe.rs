//! Collects the event stream while a workload runs.

use crate::stack::Stack;
use anyhow::Result;
use mesoscope_proto::v1::{Endpoint, Event, EventKind, StreamEventsRequest};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A running collection into a `T`.
pub struct Collector<T> {
    state: Arc<Mutex<T>>,
    missed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl<T: Default + Send + 'static> Collector<T> {
    /// Subscribes to `kinds`; `fold` takes each event in. The subscription stands when this returns.
    pub async fn start(
        stack: &Stack,
        kinds: &[EventKind],
        process: &str,
        fold: impl Fn(&mut T, Event) + Send + 'static,
    ) -> Result<Self> {
        let request = StreamEventsRequest {
            kinds: kinds.iter().map(|&kind| kind.into()).collect(),
            process: process.to_owned(),
            ..StreamEventsRequest::default()
        };
        let mut stream = stack
            .observe()
            .await?
            .stream_events(request)
            .await?
            .into_inner();
        let (state, missed) = (
            Arc::new(Mutex::new(T::default())),
            Arc::new(AtomicU64::new(0)),
        );
        let (into, count) = (state.clone(), missed.clone());
        let task = tokio::spawn(async move {
            while let Ok(Some(batch)) = stream.message().await {
                count.fetch_add(batch.missed, Ordering::Relaxed);
                let mut state = into.lock().unwrap_or_else(PoisonError::into_inner);
                for event in batch.events {
                    fold(&mut state, event);
                }
            }
        });
        Ok(Self {
            state,
            missed,
            task,
        })
    }

    /// Looks at what has been collected so far.
    pub fn look<R>(&self, with: impl FnOnce(&T) -> R) -> R {
        with(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `done`, or until `limit` has passed.
    pub async fn wait(&self, limit: Duration, done: impl Fn(&T) -> bool) -> bool {
        let started = Instant::now();
        loop {
            if self.look(&done) {
                return true;
            }
            if started.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Events that the aggregator says this consumer was too slow for.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Collector<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address of an endpoint; None when it has none.
pub fn address(endpoint: Option<&Endpoint>) -> Option<SocketAddr> {
    let endpoint = endpoint?;
    let ip = match endpoint.address.len() {
        4 => IpAddr::V4(Ipv4Addr::from(
            <[u8; 4]>::try_from(endpoint.address.as_slice()).ok()?,
        )),
        16 => IpAddr::V6(Ipv6Addr::from(
            <[u8; 16]>::try_from(endpoint.address.as_slice()).ok()?,
        )),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::try_from(endpoint.port).ok()?))
}
