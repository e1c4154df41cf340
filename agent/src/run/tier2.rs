//! Tier 2 as the aggregator asks for it. What was asked for is kept: a container may be known, or run,
//! only later, and one that starts again has a new cgroup.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mesoscope_capture::{Capture, Tier2, memory};
use mesoscope_proto::v1::Configure;

use super::driver::Driver;
use crate::core::node_state::NodeState;

/// What was asked for, and what came of it.
pub(super) struct Tier2Switch {
    asked: Option<Configure>,
    /// Where the last attempt was to attach.
    tried: Vec<Place>,
    on: bool,
    containers: Vec<String>,
}

/// A container's own cgroup. Its inode tells it from the one that had its path before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    container: String,
    path: PathBuf,
    inode: u64,
}

impl Tier2Switch {
    /// As the agent's own configuration has it, as far as that could be done.
    pub(super) fn new(capture: Option<&Capture>) -> Self {
        let on = |capture: &Capture| {
            let mut all = capture.capabilities().into_iter();
            all.any(|one| one.name == "udp-bytes" && one.available)
        };
        Self {
            asked: None,
            tried: Vec::new(),
            on: capture.is_some_and(on),
            containers: Vec::new(),
        }
    }

    /// On somewhere.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// The containers it is on for; none while it is on for the whole node.
    pub(super) fn containers(&self) -> &[String] {
        &self.containers
    }
}

impl Driver {
    /// The aggregator told its settings.
    pub(super) fn configure(&mut self, configure: Configure) {
        tracing::info!(
            node = configure.tier2,
            containers = configure.tier2_containers.len(),
            "the aggregator asks for tier 2"
        );
        let places = self.places(&configure);
        self.tier2.asked = Some(configure);
        self.switch_tier2(places);
    }

    /// Once per second: containers that were asked for may have come, gone, or started again.
    pub(super) fn follow_tier2(&mut self) {
        let Some(asked) = &self.tier2.asked else {
            return;
        };
        if asked.tier2 || asked.tier2_containers.is_empty() {
            return;
        }
        let places = self.places(asked);
        if places != self.tier2.tried {
            self.switch_tier2(places);
        }
    }

    fn places(&self, asked: &Configure) -> Vec<Place> {
        if asked.tier2 {
            return Vec::new();
        }
        let place = |id: &String| place(&self.parts.state, &self.unified_root, id);
        asked.tier2_containers.iter().filter_map(place).collect()
    }

    fn switch_tier2(&mut self, places: Vec<Place>) {
        let Some(capture) = &mut self.parts.capture else {
            return;
        };
        let node = self.tier2.asked.as_ref().is_some_and(|asked| asked.tier2);
        let wanted = match (node, places.is_empty()) {
            (true, _) => Tier2::Node,
            (false, true) => Tier2::Off,
            (false, false) => {
                Tier2::Cgroups(places.iter().map(|place| place.path.clone()).collect())
            }
        };
        match capture.set_tier2(wanted) {
            Ok(()) => {
                self.tier2.on = node || !places.is_empty();
                let ids = places.iter().map(|place| place.container.clone());
                self.tier2.containers = ids.collect();
            }
            Err(error) => tracing::warn!(%error, "tier 2 stays as it was"),
        }
        self.tier2.tried = places;
        memory::give_back();
        self.tell_status();
    }
}

/// Where the container's cgroup is; `None` while it has none that takes these hooks.
fn place(state: &NodeState, unified_root: &Path, id: &str) -> Option<Place> {
    let path = state.container_cgroup_path(id)?;
    let path = unified_root.join(path.trim_start_matches('/'));
    let metadata = std::fs::metadata(&path).ok()?;
    metadata.is_dir().then(|| Place {
        container: id.to_owned(),
        inode: metadata.ino(),
        path,
    })
}
