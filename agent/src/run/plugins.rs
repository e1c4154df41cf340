//! What plugins want of this node: to see its nodes, and to say something of them.

use mesoscope_plugins::{Event, Plugins};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::edges;
use crate::config::Config;

/// The plugins, and what they want.
#[derive(Debug)]
pub(super) struct PluginsLink {
    pub(super) plugins: Plugins,
    events: mpsc::Receiver<Event>,
}

impl Driver {
    /// Starts the plugins, where the configuration names a folder of them.
    pub(super) fn start_plugins(
        &mut self,
        config: &Config,
        stop: CancellationToken,
    ) -> Option<JoinHandle<()>> {
        let (plugins, events, task) = mesoscope_plugins::start(edges::plugins(config)?, stop);
        self.plugins = Some(PluginsLink { plugins, events });
        Some(task)
    }

    /// One plugin wants something.
    pub(super) fn plugin(&mut self, event: Event) {
        let state = &mut self.parts.state;
        match event {
            Event::Look { nodes, answer } => {
                // It may have been stopped meanwhile.
                let _ = answer.send(state.sight(&nodes));
            }
            Event::Said(said) => said.into_iter().for_each(|facts| state.plugin_said(facts)),
        }
    }
}

/// What a plugin wants next; never without plugins.
pub(super) async fn event(link: Option<&mut PluginsLink>) -> Option<Event> {
    match link {
        Some(link) => link.events.recv().await,
        None => std::future::pending().await,
    }
}
