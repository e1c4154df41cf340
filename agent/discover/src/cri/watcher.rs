//! How the runtime is reached and followed, for [`reconnect`](crate::runtime::reconnect).

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::CriConfig;
use super::connection::{Client, connect};
use super::session::{Session, Told};
use crate::runtime::reconnect::{Ended, Outlet, Runtime};

/// A runtime that speaks the CRI.
pub(super) struct CriRuntime {
    config: CriConfig,
    /// What was told in an earlier session: the next list says what is gone by then.
    known: FxHashMap<String, Told>,
}

impl CriRuntime {
    pub(super) fn new(config: CriConfig) -> Self {
        Self {
            config,
            known: FxHashMap::default(),
        }
    }
}

impl Runtime for CriRuntime {
    /// With its name and version.
    type Connection = (Client, String, String);

    const SILENT: &'static str = "no container runtime answers by the CRI";
    const PAUSE_FIRST: Duration = Duration::from_millis(500);
    const PAUSE_LONGEST: Duration = Duration::from_secs(15);

    async fn connect(&self) -> Result<Self::Connection, String> {
        connect(self.config.socket.as_deref()).await
    }

    async fn follow(
        &mut self,
        (client, runtime, version): Self::Connection,
        outlet: &Outlet,
    ) -> Ended {
        Session::new(&self.config, client, runtime, outlet, &mut self.known)
            .run(version)
            .await
    }
}
