//! One connection to the runtime: its lists, its events, and our questions.

use std::sync::atomic::Ordering;

use mesoscope_proto::v1::Container;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Streaming};

use super::CriConfig;
use super::api::{
    ContainerEventResponse, ContainerEventType, ContainerStatusRequest, GetEventsRequest,
    ListContainersRequest, ListPodSandboxRequest, PodSandboxStatusRequest,
};
use super::connection::{Client, explain, timed};
use super::convert;
use crate::runtime::RuntimeEvent;
use crate::runtime::reconnect::{Ended, Outlet};

/// Containers and sandboxes remembered as told; a node runs some hundreds.
const KNOWN_MAX: usize = 16_384;

/// What was told of a container or sandbox: its state, and what its pod's addresses are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    state: i32,
    is_sandbox: bool,
    addresses: Vec<Vec<u8>>,
    network_mode: String,
    hostname: String,
}

/// One connection to the runtime.
pub(super) struct Session<'a> {
    config: &'a CriConfig,
    client: Client,
    runtime: String,
    outlet: &'a Outlet,
    known: &'a mut FxHashMap<String, Told>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        config: &'a CriConfig,
        client: Client,
        runtime: String,
        outlet: &'a Outlet,
        known: &'a mut FxHashMap<String, Told>,
    ) -> Self {
        Self {
            config,
            client,
            runtime,
            outlet,
            known,
        }
    }

    pub(super) async fn run(&mut self, version: String) -> Ended {
        match self.follow(version).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow(&mut self, version: String) -> Result<std::convert::Infallible, Ended> {
        let runtime = self.runtime.clone();
        self.outlet
            .stats
            .set_connected(format!("{runtime} {version}"));
        self.outlet
            .send(RuntimeEvent::Connected { runtime, version })
            .await?;
        // Subscribed before the list, so that nothing happens between the two unseen.
        let mut events = self.subscribe().await;
        self.list().await?;
        loop {
            let pause = if events.is_some() {
                self.config.relist_interval
            } else {
                self.config.poll_interval
            };
            let next_list = Instant::now() + pause;
            let event = tokio::select! {
                event = next(&mut events) => event,
                () = sleep_until(next_list) => {
                    self.list().await?;
                    continue;
                }
                () = self.outlet.sender.closed() => return Err(Ended::ReaderGone),
            };
            match event {
                Some(event) => self.take_event(event).await?,
                None => {
                    // Without the stream, lists tell; a runtime that is gone fails the next one.
                    events = None;
                    self.list().await?;
                }
            }
        }
    }

    /// The stream of events, where the runtime has one.
    async fn subscribe(&mut self) -> Option<Streaming<ContainerEventResponse>> {
        // No time limit: the stream lives as long as the runtime.
        match self.client.get_container_events(GetEventsRequest {}).await {
            Ok(response) => Some(response.into_inner()),
            Err(status) => {
                let reason = explain(&status);
                tracing::debug!(%reason, "the runtime sends no events; it is polled");
                None
            }
        }
    }

    /// Tells what a list shows otherwise than it was told last, and what it lacks.
    async fn list(&mut self) -> Result<(), Ended> {
        let sandboxes = self
            .client
            .list_pod_sandbox(timed(ListPodSandboxRequest {}));
        let sandboxes = sandboxes.await.map_err(|status| lost(&status))?;
        let containers = self.client.list_containers(timed(ListContainersRequest {}));
        let containers = containers.await.map_err(|status| lost(&status))?;
        let mut listed = FxHashSet::default();
        for sandbox in sandboxes.into_inner().items {
            if self.differs(&sandbox.id, sandbox.state) {
                self.tell_sandbox(&sandbox.id).await?;
            }
            listed.insert(sandbox.id);
        }
        for container in containers.into_inner().containers {
            if self.differs(&container.id, container.state) {
                self.tell_container(&container.id, &container.pod_sandbox_id)
                    .await?;
            }
            listed.insert(container.id);
        }
        let known = self.known.keys();
        let gone: Vec<String> = known.filter(|id| !listed.contains(*id)).cloned().collect();
        for id in gone {
            self.tell_removed(id).await?;
        }
        let containers = listed.len();
        self.outlet.send(RuntimeEvent::Listed { containers }).await
    }

    fn differs(&self, id: &str, state: i32) -> bool {
        self.known.get(id).is_none_or(|told| told.state != state)
    }

    async fn take_event(&mut self, event: ContainerEventResponse) -> Result<(), Ended> {
        self.outlet.stats.events.fetch_add(1, Ordering::Relaxed);
        let kind = event.container_event_type();
        let id = event.container_id;
        if kind == ContainerEventType::ContainerDeletedEvent {
            return self.tell_removed(id).await;
        }
        let sandbox = event.pod_sandbox_status.map(|status| status.id);
        let sandbox = sandbox.unwrap_or_default();
        // Sandboxes have events of their own, with their id in the container's place.
        if sandbox == id {
            return self.tell_sandbox(&id).await;
        }
        if !self.known.contains_key(&sandbox) && !sandbox.is_empty() {
            self.tell_sandbox(&sandbox).await?;
        }
        self.tell_container(&id, &sandbox).await
    }

    async fn tell_sandbox(&mut self, id: &str) -> Result<(), Ended> {
        self.outlet.stats.inspects.fetch_add(1, Ordering::Relaxed);
        let question = timed(PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        });
        let answer = self.client.pod_sandbox_status(question).await;
        let Some(status) = self.answered(answer)?.and_then(|answer| answer.status) else {
            return Ok(());
        };
        let state = status.state;
        let container = convert::sandbox(&self.runtime, status);
        let told = Told {
            state,
            is_sandbox: true,
            addresses: container.addresses.clone(),
            network_mode: container.network_mode.clone(),
            hostname: container.hostname.clone(),
        };
        self.tell(container, told).await
    }

    async fn tell_container(&mut self, id: &str, sandbox: &str) -> Result<(), Ended> {
        self.outlet.stats.inspects.fetch_add(1, Ordering::Relaxed);
        let question = timed(ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        });
        let answer = self.client.container_status(question).await;
        let Some(answer) = self.answered(answer)? else {
            return Ok(());
        };
        let Some(status) = answer.status else {
            return Ok(());
        };
        let mut told = Told {
            state: status.state,
            is_sandbox: false,
            addresses: Vec::new(),
            network_mode: String::new(),
            hostname: String::new(),
        };
        let mut container = convert::container(&self.runtime, status, &answer.info);
        // The network is the pod's: its containers share it.
        if let Some(pod) = self.known.get(sandbox).filter(|told| told.is_sandbox) {
            container.addresses.clone_from(&pod.addresses);
            container.network_mode.clone_from(&pod.network_mode);
            if container.hostname.is_empty() {
                container.hostname.clone_from(&pod.hostname);
            }
        }
        told.network_mode.clone_from(&container.network_mode);
        self.tell(container, told).await
    }

    /// The answer; `None` when the container is gone meanwhile or could not be described.
    fn answered<T>(
        &self,
        answer: Result<tonic::Response<T>, tonic::Status>,
    ) -> Result<Option<T>, Ended> {
        match answer {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) if status.code() == Code::Unavailable => Err(lost(&status)),
            Err(status) => {
                self.outlet.stats.errors.fetch_add(1, Ordering::Relaxed);
                let reason = explain(&status);
                tracing::debug!(%reason, "the runtime did not describe a container");
                Ok(None)
            }
        }
    }

    async fn tell(&mut self, container: Container, told: Told) -> Result<(), Ended> {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&container.id) {
            self.known.insert(container.id.clone(), told);
        } else {
            self.outlet.stats.overflows.fetch_add(1, Ordering::Relaxed);
        }
        self.outlet
            .send(RuntimeEvent::Upsert(Box::new(container)))
            .await
    }

    async fn tell_removed(&mut self, id: String) -> Result<(), Ended> {
        if self.known.remove(&id).is_none() {
            return Ok(());
        }
        self.outlet.send(RuntimeEvent::Removed { id }).await
    }
}

/// The next event; `None` when the stream has ended, never without one.
async fn next(
    events: &mut Option<Streaming<ContainerEventResponse>>,
) -> Option<ContainerEventResponse> {
    match events {
        Some(stream) => stream.message().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

fn lost(status: &tonic::Status) -> Ended {
    Ended::RuntimeLost(explain(status))
}
