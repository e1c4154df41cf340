//! How the engine is reached and followed, for [`reconnect`](crate::runtime::reconnect).

use std::time::Duration;

use bollard::Docker;
use bollard::models::SystemVersion;
use mesoscope_proto::v1::ContainerState;
use rustc_hash::FxHashMap;

use super::DockerConfig;
use super::connection::connect;
use super::session::Session;
use crate::runtime::reconnect::{Ended, Outlet, Runtime};

/// The Docker engine.
pub(super) struct Engine {
    config: DockerConfig,
    /// Containers told in an earlier session: the next list says which are gone by then.
    known: FxHashMap<String, ContainerState>,
}

impl Engine {
    pub(super) fn new(config: DockerConfig) -> Self {
        Self {
            config,
            known: FxHashMap::default(),
        }
    }
}

impl Runtime for Engine {
    type Connection = (Docker, SystemVersion);

    const SILENT: &'static str = "the Docker engine does not answer";
    const PAUSE_FIRST: Duration = Duration::from_millis(250);
    const PAUSE_LONGEST: Duration = Duration::from_secs(10);

    async fn connect(&self) -> Result<Self::Connection, String> {
        connect(&self.config.socket).await
    }

    async fn follow(&mut self, (docker, version): Self::Connection, outlet: &Outlet) -> Ended {
        let mut session = Session::new(&self.config, docker, &version, outlet, &mut self.known);
        session.run(&version).await
    }
}
