//! Attach, then snapshot, then replay.

use anyhow::Context;
use mesoscope_capture::{Capture, CaptureError, Clock, memory};
use mesoscope_discover::cgroups::CgroupTree;
use mesoscope_discover::conntrack;
use mesoscope_discover::names::{Names, NamesConfig};
use mesoscope_discover::{cri, docker, time};

use super::cgroups::SharedTree;
use super::driver::{Driver, Parts, Rungs};
use super::edges::{self, Edges};
use super::reader::{Answer, Reader, Request};
use super::runtimes::RuntimeSource;
use crate::config::Config;
use crate::core::node_state::{Limits, NodeState, SocketsFound};
use crate::core::session::{Identity, Session};
use crate::core::startup::{Startup, World};

/// While the world is read, the kernel's buffer is drained this often.
const DRAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// Attaches, reads the world, and returns what goes on from there.
///
/// # Errors
/// When no thread can be started; anything else that is missing is a lower rung.
pub(super) async fn start(config: &Config, edges: &Edges) -> anyhow::Result<Driver> {
    let generation = time::unix_now_ns();
    let mut capture = attach(config);
    let paths = edges::paths(config);
    let tree = CgroupTree::discover(&paths)
        .map_err(|error| tracing::warn!(%error, "containers can not be told by their cgroups"))
        .ok();
    let cgroup_capability = tree.as_ref().map(CgroupTree::capability);
    let tree = SharedTree::new(tree);
    let mut state = NodeState::new(Limits::default(), Clock::new(), Box::new(tree.clone()));
    if config.omit_arguments {
        state.omit_arguments();
    }
    let mut reader = Reader::start(paths.clone()).context("starting the reader's thread")?;
    let rungs = Rungs::of(
        &capture
            .as_ref()
            .map(Capture::capabilities)
            .unwrap_or_default(),
    );

    let mut startup = Startup::default();
    let mut world = World::default();
    reader.ask(Request::Host);
    reader.ask(Request::Processes);
    if !rungs.sockets {
        reader.ask(Request::Sockets);
    }
    let mut hostname = String::new();
    let (mut processes_read, mut sockets_read) = (false, rungs.sockets);
    while !(processes_read && sockets_read) {
        if let Some(capture) = &mut capture {
            capture.drain(&mut |event| startup.event(event));
        }
        let answer = tokio::select! {
            answer = reader.answers.recv() => answer,
            () = tokio::time::sleep(DRAIN) => continue,
        };
        match answer.context("the reader's thread ended")?.0 {
            Answer::Host(host) => {
                hostname.clone_from(&host.hostname);
                state.set_host(*host);
            }
            Answer::Processes {
                began,
                ended,
                processes,
            } => {
                world.read = (began, ended);
                world.processes = processes.unwrap_or_default();
                processes_read = true;
            }
            Answer::Sockets {
                began,
                ended,
                sockets,
            } => {
                world.sockets =
                    sockets.map(|sockets| rungs.pass(&paths, began, ended, sockets, true));
                sockets_read = true;
            }
            _ => {}
        }
    }
    if let Some(capture) = capture.as_mut().filter(|_| rungs.sockets) {
        world.sockets = all_sockets(capture, rungs);
        capture.drain(&mut |event| startup.event(event));
    }
    let (lost, processes) = (startup.lost, world.processes.len());
    let replayed = startup.finish(&mut state, world);
    let identity = Identity {
        agent_id: edges.agent_id.clone(),
        hostname,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation,
    };
    memory::give_back();
    tracing::info!(
        agent_id = identity.agent_id,
        processes,
        replayed,
        "the world is read"
    );
    let spool_bytes = usize::try_from(config.spool_bytes.as_u64()).unwrap_or(usize::MAX);
    let names = NamesConfig {
        reverse_lookups: config.reverse_lookups,
        cache_entries_max: 4_096,
        ..NamesConfig::default()
    };
    let conntrack = conntrack::watch(&edges::conntrack_config(config));
    let parts = Parts {
        session: Session::new(identity, spool_bytes),
        capture,
        rungs,
        state,
        reader,
        tree,
        paths,
        docker: (
            docker::watch(edges::docker_config(config)),
            RuntimeSource::default(),
        ),
        cri: (
            cri::watch(edges::cri_config(config)),
            RuntimeSource::default(),
        ),
        conntrack: conntrack
            .map_err(|error| tracing::info!(%error, "no conntrack"))
            .ok(),
        names: Names::start(&names)
            .map_err(|error| tracing::info!(%error, "no names of addresses"))
            .ok(),
        fixed: vec![
            cgroup_capability
                .unwrap_or_else(|| edges::missing("containers", "no cgroup hierarchy is mounted")),
            conntrack::capability(&edges::conntrack_config(config), &config.proc_root),
        ],
        lost,
    };
    Ok(Driver::new(config, parts))
}

/// The capture, or none with a reason in the log.
fn attach(config: &Config) -> Option<Capture> {
    match Capture::start(&edges::capture_config(config)) {
        Ok(capture) => {
            for capability in capture.capabilities() {
                if !capability.available {
                    tracing::info!(
                        capability = capability.name,
                        reason = capability.reason,
                        "not available"
                    );
                }
            }
            Some(capture)
        }
        Err(error) => {
            tracing::warn!(%error, "no kernel programs: living on /proc and sock_diag");
            None
        }
    }
}

/// A pass over all sockets by the kernel's iterator.
pub(super) fn all_sockets(capture: &mut Capture, rungs: Rungs) -> Option<SocketsFound> {
    let started = Clock::now_mono_ns();
    match capture.sockets() {
        Ok(sockets) => Some(SocketsFound {
            started,
            ended: Clock::now_mono_ns(),
            sockets,
            namespaces: None,
            adopted: true,
            tells_ends: !rungs.tcp,
        }),
        Err(CaptureError::NoSnapshot(_)) => None,
        Err(error) => {
            tracing::warn!(%error, "a pass over the sockets failed");
            None
        }
    }
}
