//! One plugin: started, asked, judged, its controls pressed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mesoscope_plugin::{API, ControlAnswer, ControlRequest, Description, Report, ReportRequest};
use mesoscope_proto::v1::{ControlResult, PluginFacts, PluginStatus};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::client::{AskError, Peer};
use crate::manifest::{Manifest, Source};
use crate::nodes::{Sight, Target};
use crate::program::{self, Program, Start};
use crate::run::{Event, Settings};
use crate::user::User;
use crate::validate::{self, message};

/// What a plugin said is taken away after so many failures in a row.
const FAILURES_WITHDRAWN: u32 = 3;
/// A program that fails so often in a row is started anew.
const FAILURES_RESTARTED: u32 = 10;
/// A new program is asked again so soon while it does not listen yet,
const STARTING_STEP: Duration = Duration::from_millis(200);
/// and that for so long.
const STARTING_PATIENCE: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A program that ran so long is started without delay when it ends.
const RAN_WELL: Duration = Duration::from_secs(60);
/// How long the agent may take to tell which nodes there are.
const NODES_PATIENCE: Duration = Duration::from_secs(5);

/// One plugin, shared by the task that asks it and those who press its controls.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) manifest: Manifest,
    user: User,
    folder: PathBuf,
    socket: PathBuf,
    status: Mutex<PluginStatus>,
    /// What it said last, by node.
    told: Mutex<BTreeMap<Target, PluginFacts>>,
    presses: Semaphore,
    /// A control was pressed: what it says may have changed.
    pressed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plugin {
    pub(crate) fn new(manifest: Manifest, user: User, settings: &Settings) -> Self {
        let folder = settings.run_folder.join(&manifest.name);
        let socket = match &manifest.source {
            Source::Program { .. } => program::socket_in(&folder),
            Source::Socket(path) => path.clone(),
        };
        let status = PluginStatus {
            name: manifest.name.clone(),
            label: manifest.label.clone(),
            state: "starting".to_owned(),
            ..PluginStatus::default()
        };
        Self {
            manifest,
            user,
            folder,
            socket,
            status: Mutex::new(status),
            told: Mutex::default(),
            presses: Semaphore::new(1),
            pressed: Notify::new(),
        }
    }

    pub(crate) fn status(&self) -> PluginStatus {
        lock(&self.status).clone()
    }

    fn peer(&self) -> Peer<'_> {
        Peer {
            socket: &self.socket,
            uid: self.user.uid,
        }
    }

    /// Starts it, asks it and starts it again, until it is told to end; then what it said is taken away.
    pub(crate) async fn run(
        &self,
        settings: &Settings,
        events: &mpsc::Sender<Event>,
        stop: &CancellationToken,
    ) {
        let name = self.manifest.name.as_str();
        let mut backoff = BACKOFF_MIN;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let why = match self.start(settings) {
                Ok(mut program) => {
                    lock(&self.status).starts_total += u64::from(program.is_some());
                    let why = tokio::select! {
                        () = stop.cancelled() => String::new(),
                        () = self.ask(events) => "it fails again and again".to_owned(),
                        ended = ended(program.as_mut()) => ended,
                    };
                    if let Some(program) = program {
                        program.stop().await;
                    }
                    why
                }
                Err(error) => format!("it can not be started: {error}"),
            };
            self.withdraw(events).await;
            if stop.is_cancelled() {
                break;
            }
            tracing::warn!(plugin = name, why, "starting it anew");
            self.failing(&why);
            if began.elapsed() >= RAN_WELL {
                backoff = BACKOFF_MIN;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// `None` for a plugin that runs already.
    fn start(&self, settings: &Settings) -> std::io::Result<Option<Program>> {
        let Source::Program {
            command,
            environment,
            limits,
        } = &self.manifest.source
        else {
            return Ok(None);
        };
        Program::start(&Start {
            name: &self.manifest.name,
            launcher: &settings.launcher,
            user: self.user,
            command,
            environment,
            limits: *limits,
            folder: &self.folder,
        })
        .map(Some)
    }

    /// Asks again and again; ends when a program should be started anew.
    async fn ask(&self, events: &mpsc::Sender<Event>) {
        let began = Instant::now();
        let mut described = false;
        let mut failures = 0;
        loop {
            let asked = self.round(&mut described, events).await;
            let mut pause = self.manifest.interval;
            match asked {
                Ok(()) => failures = 0,
                Err(AskError::Away(_)) if failures == 0 && self.is_starting(began) => {
                    pause = STARTING_STEP;
                }
                Err(error) => {
                    failures += 1;
                    described = false;
                    tracing::warn!(plugin = self.manifest.name, %error, "it fails");
                    self.failing(&error.to_string());
                    if failures >= FAILURES_WITHDRAWN {
                        self.withdraw(events).await;
                    }
                    let is_ours = matches!(self.manifest.source, Source::Program { .. });
                    if is_ours && failures >= FAILURES_RESTARTED {
                        return;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.pressed.notified() => {}
            }
        }
    }

    fn is_starting(&self, began: Instant) -> bool {
        let is_ours = matches!(self.manifest.source, Source::Program { .. });
        is_ours && began.elapsed() < STARTING_PATIENCE && lock(&self.status).answers_total == 0
    }

    /// One question and its answer.
    async fn round(
        &self,
        described: &mut bool,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), AskError> {
        let timeout = self.manifest.timeout;
        if !*described {
            let is: Description = self.peer().get("/v1/describe", timeout).await?;
            self.is_who_it_should_be(is)?;
            *described = true;
        }
        let sight = self.look(events).await?;
        let question = ReportRequest {
            time_unix_ms: unix_ms(),
            nodes: sight.nodes.iter().map(|seen| seen.node.clone()).collect(),
            nodes_left_out: sight.left_out,
        };
        let report: Report = self.peer().post("/v1/report", &question, timeout).await?;
        let taken = validate::take(&self.manifest, &sight.nodes, report);
        let nodes = taken.facts.len();
        self.tell(taken.facts, events).await;
        let mut status = lock(&self.status);
        status.state = "running".to_owned();
        status.nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        status.answers_total += 1;
        status.refused_total += taken.refusals.count;
        let refused = taken
            .refusals
            .first
            .map(|first| format!("refused: {first}"));
        let left_out = (sight.left_out > 0).then(|| {
            let (most, more) = (crate::nodes::NODES_MAX, sight.left_out);
            format!("it sees {most} nodes, {more} more fit its manifest")
        });
        let reason = refused.or(left_out).unwrap_or_default();
        if status.reason != reason && !reason.is_empty() {
            tracing::warn!(plugin = self.manifest.name, reason, "not all is taken");
        }
        status.reason = reason;
        Ok(())
    }

    fn is_who_it_should_be(&self, is: Description) -> Result<(), AskError> {
        if is.api != API {
            let api = is.api;
            return Err(AskError::Malformed(format!(
                "it speaks version {api}, not {API}"
            )));
        }
        if is.name != self.manifest.name {
            let name = validate::quoted(&is.name);
            let expected = &self.manifest.name;
            return Err(AskError::Malformed(format!(
                "it is {name}, not {expected:?}"
            )));
        }
        let mut version = message(&is.version);
        version.truncate(version.floor_char_boundary(64));
        lock(&self.status).version = version;
        Ok(())
    }

    async fn look(&self, events: &mpsc::Sender<Event>) -> Result<Sight, AskError> {
        let (answer, answered) = oneshot::channel();
        let ask = Event::Look {
            nodes: Box::new(self.manifest.nodes.clone()),
            answer,
        };
        let seen = async {
            events.send(ask).await.ok()?;
            answered.await.ok()
        };
        let seen = tokio::time::timeout(NODES_PATIENCE, seen).await;
        seen.ok()
            .flatten()
            .ok_or_else(|| AskError::Away("the agent is busy, or ends".to_owned()))
    }

    /// Passes on what changed.
    async fn tell(&self, facts: BTreeMap<Target, PluginFacts>, events: &mpsc::Sender<Event>) {
        let changed = {
            let mut told = lock(&self.told);
            let gone = told.keys().filter(|target| !facts.contains_key(*target));
            let gone = gone.map(|target| target.facts(&self.manifest.name));
            let new = facts
                .iter()
                .filter(|(target, new)| told.get(*target) != Some(*new));
            let changed: Vec<PluginFacts> = gone.chain(new.map(|(_, new)| new.clone())).collect();
            *told = facts;
            changed
        };
        if !changed.is_empty() {
            // The agent may be ending.
            let _ = events.send(Event::Said(changed)).await;
        }
    }

    async fn withdraw(&self, events: &mpsc::Sender<Event>) {
        self.tell(BTreeMap::new(), events).await;
        lock(&self.status).nodes = 0;
    }

    fn failing(&self, why: &str) {
        let mut status = lock(&self.status);
        status.state = "failing".to_owned();
        status.reason = message(why);
        status.failures_total += 1;
    }

    /// Presses a control that the plugin offers at this node now. Gives what came of it, in its words.
    pub(crate) async fn press(
        &self,
        target: &Target,
        control: &str,
    ) -> Result<String, (ControlResult, String)> {
        let offered: BTreeSet<String> = {
            let told = lock(&self.told);
            let facts = told.get(target);
            let controls = facts.map(|facts| facts.controls.iter());
            let keys = controls.into_iter().flatten();
            keys.map(|control| control.key.clone()).collect()
        };
        if !offered.contains(control) {
            let control = validate::quoted(control);
            let why = format!("the plugin offers no control {control} there now");
            return Err((ControlResult::NotFound, why));
        }
        let Ok(_slot) = self.presses.try_acquire() else {
            let why = "another control of this plugin is under way".to_owned();
            return Err((ControlResult::Busy, why));
        };
        let asked = ControlRequest {
            node: target.to_string(),
            control: control.to_owned(),
        };
        tracing::info!(
            plugin = self.manifest.name,
            control,
            node = asked.node,
            "pressed"
        );
        let within = self.manifest.control_timeout;
        let done: Result<ControlAnswer, AskError> =
            self.peer().post("/v1/control", &asked, within).await;
        self.pressed.notify_one();
        match done {
            Ok(answer) => Ok(message(&answer.message)),
            Err(error @ (AskError::Away(_) | AskError::Late(_))) => {
                Err((ControlResult::Unavailable, error.to_string()))
            }
            Err(error) => Err((ControlResult::Failed, error.to_string())),
        }
    }
}

/// Never for a plugin that the agent did not start.
async fn ended(program: Option<&mut Program>) -> String {
    match program {
        None => std::future::pending().await,
        Some(program) => match program.ended().await {
            Ok(status) => format!("it ended ({status})"),
            Err(error) => format!("it is not known how it is: {error}"),
        },
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
