//! One connection to the engine: reads its events and asks for what they are about.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EventActor, EventMessage, SystemVersion,
};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use mesoscope_proto::v1::{Container, ContainerState};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{Instant, interval_at, timeout};

use super::connection::ANSWER_TIMEOUT;
use super::pending::{Full, Next, Pending, Work};
use super::{DockerConfig, convert};
use crate::error::with_causes;
use crate::runtime::RuntimeEvent;
use crate::runtime::reconnect::{Ended, Outlet};
use crate::time::unix_now_ns;

/// Questions asked at a time: more would only make the engine busier.
const IN_FLIGHT_MAX: usize = 4;
/// Answers that wait for the reader's channel; while they do, nothing more is asked.
const OUTBOX_MAX: usize = 64;
/// Times that a question is asked before the container is given up until its next event.
const ATTEMPTS_MAX: u32 = 3;
/// Containers remembered as told; an engine with more tells the rest, too, but their removal only
/// by its own event.
const KNOWN_MAX: usize = 65_536;

/// What changes what we show. Others (exec, health, attach) come by the thousand and do not.
const ACTIONS: [&str; 11] = [
    "create", "start", "die", "oom", "pause", "unpause", "rename", "restart", "update", "stop",
    "destroy",
];

type Answer = (String, u32, Result<ContainerInspectResponse, Failure>);

enum Failure {
    NoSuchContainer,
    Other(String),
}

/// One connection to the engine.
pub(super) struct Session<'a> {
    config: &'a DockerConfig,
    docker: Docker,
    runtime: String,
    outlet: &'a Outlet,
    pending: Pending,
    outbox: VecDeque<RuntimeEvent>,
    /// Containers told, with the state last told.
    known: &'a mut FxHashMap<String, ContainerState>,
    relist: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        config: &'a DockerConfig,
        docker: Docker,
        version: &SystemVersion,
        outlet: &'a Outlet,
        known: &'a mut FxHashMap<String, ContainerState>,
    ) -> Self {
        let podman = version.components.iter().flatten();
        let podman = podman
            .into_iter()
            .any(|part| part.name.starts_with("Podman"));
        Self {
            config,
            docker,
            runtime: if podman { "podman" } else { "docker" }.to_owned(),
            outlet,
            pending: Pending::default(),
            outbox: VecDeque::new(),
            known,
            relist: true,
        }
    }

    pub(super) async fn run(&mut self, version: &SystemVersion) -> Ended {
        let version = version.version.clone().unwrap_or_default();
        self.outlet
            .stats
            .set_connected(format!("{} {version}", self.runtime));
        self.outbox.push_back(RuntimeEvent::Connected {
            runtime: self.runtime.clone(),
            version,
        });
        // The states of before may have changed unseen: every container is asked for again.
        for state in self.known.values_mut() {
            *state = ContainerState::Unspecified;
        }
        let docker = self.docker.clone();
        let mut events = std::pin::pin!(events_from_now(&docker));
        let mut in_flight = FuturesUnordered::new();
        let period = self.config.relist_interval;
        let mut relist_timer = interval_at(Instant::now() + period, period);
        loop {
            if std::mem::take(&mut self.relist) {
                match list(&docker).await {
                    Ok(containers) => self.take_list(containers),
                    Err(reason) => return Ended::RuntimeLost(reason),
                }
            }
            self.ask(&docker, &mut in_flight);
            let depth = self.pending.len() + in_flight.len() + self.outbox.len();
            self.outlet
                .stats
                .queue_depth
                .store(depth as u64, Ordering::Relaxed);
            let sender = &self.outlet.sender;
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take_event(event),
                    Some(Err(error)) => return Ended::RuntimeLost(with_causes(&error)),
                    None => return Ended::RuntimeLost("the engine ended its stream of events".to_owned()),
                },
                Some(answer) = in_flight.next(), if !in_flight.is_empty() => self.take_answer(answer),
                permit = sender.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.outbox.pop_front() {
                            permit.send(event);
                        }
                    }
                    Err(_) => return Ended::ReaderGone,
                },
                _ = relist_timer.tick() => self.relist = true,
                () = sender.closed() => return Ended::ReaderGone,
            }
        }
    }

    /// Asks the next questions, as far as there is room for their answers.
    fn ask(
        &mut self,
        docker: &Docker,
        in_flight: &mut FuturesUnordered<BoxFuture<'static, Answer>>,
    ) {
        while in_flight.len() < IN_FLIGHT_MAX && self.outbox.len() < OUTBOX_MAX {
            match self.pending.pop(in_flight.len()) {
                None => return,
                Some(Next::ListEnds { containers }) => {
                    self.outbox.push_back(RuntimeEvent::Listed { containers });
                }
                Some(Next::Container(id, Work::Remove)) => self.remove(id),
                Some(Next::Container(id, Work::Inspect { attempts })) => {
                    self.outlet.stats.inspects.fetch_add(1, Ordering::Relaxed);
                    in_flight.push(inspect(docker.clone(), id, attempts).boxed());
                }
            }
        }
    }

    fn take_event(&mut self, event: EventMessage) {
        self.outlet.stats.events.fetch_add(1, Ordering::Relaxed);
        let (Some(actor), Some(action)) = (event.actor, event.action) else {
            self.outlet.stats.errors.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some(id) = actor.id.clone() else {
            self.outlet.stats.errors.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if action == "destroy" {
            if !self.known.contains_key(&id) {
                self.tell_from_event(actor, ContainerState::Exited);
            }
            return self.enqueue(id, Work::Remove);
        }
        if action == "create" && !self.known.contains_key(&id) {
            self.tell_from_event(actor, ContainerState::Created);
        }
        self.enqueue(id, Work::Inspect { attempts: 0 });
    }

    /// Tells the little that an event says, when there is room: the full answer follows.
    fn tell_from_event(&mut self, actor: EventActor, state: ContainerState) {
        if self.outbox.len() < OUTBOX_MAX {
            let container = convert::from_event(&self.runtime, actor, state);
            self.tell(container);
        }
    }

    fn tell(&mut self, container: Container) {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&container.id) {
            self.known.insert(container.id.clone(), container.state());
        }
        self.outbox
            .push_back(RuntimeEvent::Upsert(Box::new(container)));
    }

    fn remove(&mut self, id: String) {
        self.known.remove(&id);
        self.outbox.push_back(RuntimeEvent::Removed { id });
    }

    fn enqueue(&mut self, id: String, work: Work) {
        if self.pending.push(id, work) == Err(Full) {
            self.outlet.stats.overflows.fetch_add(1, Ordering::Relaxed);
            self.pending.clear();
            self.relist = true;
        }
    }

    /// Asks for what the list shows otherwise than it was told last, and forgets what it lacks.
    fn take_list(&mut self, containers: Vec<ContainerSummary>) {
        let count = containers.len();
        let mut listed = FxHashSet::default();
        let mut changed = Vec::new();
        for summary in containers {
            let Some(id) = summary.id else { continue };
            let state = summary.state.map(|state| state.to_string());
            let state = convert::state_by_name(&state.unwrap_or_default());
            if self.known.get(&id) != Some(&state) {
                changed.push((state != ContainerState::Running, id.clone()));
            }
            listed.insert(id);
        }
        let gone: Vec<String> = self
            .known
            .keys()
            .filter(|id| !listed.contains(*id))
            .cloned()
            .collect();
        // Those that run are what the map shows first.
        changed.sort_unstable();
        let work = gone.into_iter().map(|id| (id, Work::Remove));
        let inspect = |(_, id)| (id, Work::Inspect { attempts: 0 });
        for (id, work) in work.chain(changed.into_iter().map(inspect)) {
            if self.pending.push(id, work).is_err() {
                // The rest follows with the next list; until then their cgroups show them.
                self.outlet.stats.overflows.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        self.pending.push_list_end(count);
    }

    fn take_answer(&mut self, (id, attempts, answer): Answer) {
        match answer {
            Ok(inspect) => self.tell(convert::container(&self.runtime, inspect)),
            Err(Failure::NoSuchContainer) => {
                if self.known.contains_key(&id) {
                    self.remove(id);
                }
            }
            Err(Failure::Other(reason)) => {
                self.outlet.stats.errors.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(container = %id, %reason, "the engine did not describe a container");
                if attempts + 1 < ATTEMPTS_MAX {
                    let attempts = attempts + 1;
                    self.enqueue(id, Work::Inspect { attempts });
                }
            }
        }
    }
}

/// Events of containers from now on. The engine repeats those since the time given, so that
/// nothing is missed between this call and its arrival there.
fn events_from_now(docker: &Docker) -> impl Stream<Item = Result<EventMessage, DockerError>> {
    let now_ns = unix_now_ns();
    let actions = ACTIONS.iter().map(|action| (*action).to_owned()).collect();
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), actions),
    ]);
    docker.events(Some(EventsOptions {
        since: Some(format!(
            "{}.{:09}",
            now_ns / 1_000_000_000,
            now_ns % 1_000_000_000
        )),
        until: None,
        filters: Some(filters),
    }))
}

async fn list(docker: &Docker) -> Result<Vec<ContainerSummary>, String> {
    let options = ListContainersOptions {
        all: true,
        ..ListContainersOptions::default()
    };
    match timeout(ANSWER_TIMEOUT, docker.list_containers(Some(options))).await {
        Ok(answer) => answer.map_err(|error| with_causes(&error)),
        Err(_) => Err("the engine did not list its containers in time".to_owned()),
    }
}

async fn inspect(docker: Docker, id: String, attempts: u32) -> Answer {
    let question = docker.inspect_container(&id, None::<InspectContainerOptions>);
    let answer = match timeout(ANSWER_TIMEOUT, question).await {
        Ok(Ok(inspect)) => Ok(inspect),
        Ok(Err(DockerError::DockerResponseServerError {
            status_code: 404, ..
        })) => Err(Failure::NoSuchContainer),
        Ok(Err(error)) => Err(Failure::Other(with_causes(&error))),
        Err(_) => Err(Failure::Other("no answer in time".to_owned())),
    };
    (id, attempts, answer)
}
