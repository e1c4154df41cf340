//! All plugins of an agent: one task each, as many as there are manifests at the moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesoscope_proto::v1::{ControlResult, PluginFacts, PluginPress, PluginStatus};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::folder::{Folder, Found};
use crate::manifest::{Manifest, Nodes};
use crate::nodes::{Sight, Target};
use crate::plugin::Plugin;
use crate::user::User;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Questions and answers of plugins that wait for the agent.
const EVENTS_MAX: usize = 16;

/// Where plugins are, and how they are started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of manifests.
    pub folder: PathBuf,
    /// Where each plugin gets a folder for its socket.
    pub run_folder: PathBuf,
    /// A binary that begins with [`crate::launch::if_asked`].
    pub launcher: PathBuf,
}

/// What plugins want of the agent.
#[derive(Debug)]
pub enum Event {
    /// One wants to know which nodes there are.
    Look {
        /// Those that it may see.
        nodes: Box<Nodes>,
        /// What there is.
        answer: oneshot::Sender<Sight>,
    },
    /// One says something new of nodes; facts with nothing in them take away what it said.
    Said(Vec<PluginFacts>),
}

/// The plugins of an agent.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    slots: Arc<Mutex<BTreeMap<String, Slot>>>,
}

/// A manifest's file, and what became of it.
#[derive(Debug)]
struct Slot {
    running: Option<Running>,
    /// Why the file as it is now is not used.
    refused: Option<String>,
}

#[derive(Debug)]
struct Running {
    plugin: Arc<Plugin>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Plugins {
    /// How each plugin is, by the names of their files.
    #[must_use]
    pub fn statuses(&self) -> Vec<PluginStatus> {
        let slots = self.lock();
        slots.iter().map(|(file, slot)| slot.status(file)).collect()
    }

    /// Presses a control. Gives what came of it, in the plugin's words.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn press(&self, press: &PluginPress) -> Result<String, (ControlResult, String)> {
        let plugin = {
            let slots = self.lock();
            let mut running = slots.values().filter_map(|slot| slot.running.as_ref());
            let found = running.find(|running| running.plugin.manifest.name == press.plugin);
            found.map(|running| running.plugin.clone())
        };
        let Some(plugin) = plugin else {
            let name = crate::validate::quoted(&press.plugin);
            let why = format!("this agent has no plugin {name}");
            return Err((ControlResult::NotFound, why));
        };
        let target = Target::of(&press.container_id, press.process.as_ref());
        plugin.press(&target, &press.control).await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn status(&self, file: &str) -> PluginStatus {
        let refused = self.refused.as_deref();
        match &self.running {
            Some(running) => {
                let mut status = running.plugin.status();
                if let Some(why) = refused {
                    status.reason = format!("{file} is refused, the one before goes on: {why}");
                }
                status
            }
            None => PluginStatus {
                name: file.to_owned(),
                label: file.to_owned(),
                state: "refused".to_owned(),
                reason: refused.unwrap_or_default().to_owned(),
                ..PluginStatus::default()
            },
        }
    }
}

/// Runs the plugins of a folder until `stop`. The agent hears of them by the receiver, and must go on
/// listening until the task has ended.
#[must_use]
pub fn start(
    settings: Settings,
    stop: CancellationToken,
) -> (Plugins, mpsc::Receiver<Event>, JoinHandle<()>) {
    let (events, heard) = mpsc::channel(EVENTS_MAX);
    let plugins = Plugins::default();
    let manager = Manager {
        settings: Arc::new(settings),
        plugins: plugins.clone(),
        events,
        folder: Folder::default(),
    };
    let task = tokio::spawn(manager.run(stop));
    (plugins, heard, task)
}

struct Manager {
    settings: Arc<Settings>,
    plugins: Plugins,
    events: mpsc::Sender<Event>,
    folder: Folder,
}

impl Manager {
    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let before = self.folder.problem.clone();
            let found = self.folder.look(&self.settings.folder);
            if let Some(problem) = &self.folder.problem
                && before.as_ref() != Some(problem)
            {
                tracing::error!(problem, "no plugins");
            }
            if let Some(found) = found {
                self.reload(found).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.reload(BTreeMap::new()).await;
    }

    /// Ends what is gone, starts what is new, and leaves alone what is as it was.
    async fn reload(&mut self, found: BTreeMap<String, Found>) {
        let mut ending = Vec::new();
        {
            let mut slots = self.plugins.lock();
            slots.retain(|file, slot| {
                let stays = match (found.get(file), &slot.running) {
                    (None, _) => false,
                    // What is no manifest any more changes nothing.
                    (Some(Found::Refused(_)), _) | (_, None) => return true,
                    (Some(Found::Manifest(manifest)), Some(running)) => {
                        running.plugin.manifest == **manifest
                    }
                };
                if !stays {
                    ending.extend(slot.running.take());
                }
                stays
            });
        }
        for running in ending {
            running.stop.cancel();
            tracing::info!(plugin = running.plugin.manifest.name, "ended");
            // It never panics on purpose; what it said is taken away by then.
            let _ = running.task.await;
        }
        for (file, found) in found {
            let refused = match found {
                Found::Refused(why) => Some(why),
                Found::Manifest(manifest) => self.ensure(&file, *manifest).err(),
            };
            if let Some(why) = &refused {
                tracing::error!(file, why, "a manifest is refused");
            }
            let mut slots = self.plugins.lock();
            let slot = slots.entry(file).or_insert(Slot {
                running: None,
                refused: None,
            });
            slot.refused = refused;
        }
    }

    fn ensure(&self, file: &str, manifest: Manifest) -> Result<(), String> {
        let mut slots = self.plugins.lock();
        if slots.get(file).is_some_and(|slot| slot.running.is_some()) {
            return Ok(());
        }
        // A file that was refused goes on with its earlier manifest, whose name another may have taken.
        let mut running = slots.values().filter_map(|slot| slot.running.as_ref());
        if running.any(|running| running.plugin.manifest.name == manifest.name) {
            return Err(format!("another plugin has the name {:?}", manifest.name));
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = User::find(&manifest.user, &passwd)?;
        let name = manifest.name.clone();
        let plugin = Arc::new(Plugin::new(manifest, user, &self.settings));
        let stop = CancellationToken::new();
        let (settings, events) = (self.settings.clone(), self.events.clone());
        let task = tokio::spawn({
            let (plugin, stop) = (plugin.clone(), stop.clone());
            async move { plugin.run(&settings, &events, &stop).await }
        });
        tracing::info!(plugin = name, file, uid = user.uid, "started");
        let running = Running { plugin, stop, task };
        slots.insert(
            file.to_owned(),
            Slot {
                running: Some(running),
                refused: None,
            },
        );
        Ok(())
    }
}
