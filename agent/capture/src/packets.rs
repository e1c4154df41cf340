//! Tier 2: attaching and detaching the per-packet hooks.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSkbAttachType, Program, cgroup_skb::CgroupSkbLink,
        cgroup_sock::CgroupSockLink,
    },
};

use rustix::fs::fstat;

use crate::{
    Capability, CaptureError, Tier2,
    capability::TIER2,
    error::{chain, kernel},
    mounts::is_v2,
    privileges::explained,
};

/// Dropping it detaches.
#[expect(dead_code, reason = "held, not read")]
enum Link {
    Packets(CgroupSkbLink),
    Release(CgroupSockLink),
}

/// The hooks at one directory.
struct Place {
    /// Of the directory: the cgroup's id, which no later cgroup gets again.
    inode: u64,
    links: Vec<Link>,
}

/// The hooks that are attached, and where.
#[derive(Default)]
pub struct Packets {
    places: Vec<Place>,
    on: Tier2,
    failures: Vec<String>,
}

impl Packets {
    /// Attaches where `tier2` says and detaches everywhere else. Hooks that stay are not touched: two at
    /// once would count a packet twice, none would miss it.
    ///
    /// # Errors
    /// When nothing of what was asked for could be attached; what was attached before stays then.
    pub fn set(
        &mut self,
        ebpf: &mut Ebpf,
        root: &Result<OwnedFd, String>,
        tier2: &Tier2,
    ) -> Result<(), CaptureError> {
        let mut failures = Vec::new();
        let mut wanted: Vec<(u64, String, OwnedFd)> = Vec::new();
        let mut want = |title: String, directory: OwnedFd| match fstat(&directory) {
            Ok(stat) => wanted.push((stat.st_ino, title, directory)),
            Err(error) => failures.push(format!("{title}: {error}")),
        };
        let mut unknown = Vec::new();
        match tier2 {
            Tier2::Off => {}
            Tier2::Node => match root.as_ref().map(OwnedFd::try_clone) {
                Ok(Ok(root)) => want("the root".to_owned(), root),
                Ok(Err(error)) => unknown.push(error.to_string()),
                Err(reason) => unknown.push(reason.clone()),
            },
            Tier2::Cgroups(paths) => {
                for path in paths {
                    // Hooks of a cgroup run for those below it too.
                    let is_covered = paths
                        .iter()
                        .any(|other| path != other && path.starts_with(other));
                    match open(path) {
                        Ok(directory) if !is_covered => {
                            want(path.display().to_string(), directory.into());
                        }
                        Ok(_) => {}
                        Err(reason) => unknown.push(reason),
                    }
                }
            }
        }
        failures.append(&mut unknown);
        let mut before = std::mem::take(&mut self.places);
        let mut places = Vec::with_capacity(wanted.len());
        wanted.sort_by_key(|(inode, ..)| *inode);
        wanted.dedup_by_key(|(inode, ..)| *inode);
        for (inode, title, directory) in wanted {
            if let Some(index) = before.iter().position(|place| place.inode == inode) {
                places.push(before.swap_remove(index));
                continue;
            }
            let links = at(ebpf, directory.as_fd(), &title, &mut failures);
            if !links.is_empty() {
                places.push(Place { inode, links });
            }
        }
        if places.is_empty() && !failures.is_empty() {
            self.places = before;
            let reason = failures.join("; ");
            if self.places.is_empty() {
                self.failures = failures;
            }
            return Err(kernel("turning tier 2 on", reason));
        }
        self.places = places;
        self.failures = failures;
        self.on = tier2.clone();
        Ok(())
    }

    /// What the hooks give now.
    pub fn capabilities(&self) -> Vec<Capability> {
        // Both directions at one directory at least.
        let available = self.places.iter().any(|place| {
            let packets = |link: &&Link| matches!(link, Link::Packets(_));
            place.links.iter().filter(packets).count() == 2
        });
        let mut reasons = self.failures.clone();
        match &self.on {
            Tier2::Off if reasons.is_empty() => reasons.push(
                "tier 2 is off: turn it on for the agent (--tier2 node) or for chosen containers"
                    .to_owned(),
            ),
            Tier2::Cgroups(paths) => {
                reasons.push(format!("for {} chosen cgroups only", paths.len()))
            }
            _ => {}
        }
        TIER2
            .map(|name| Capability {
                name,
                available,
                provider: if available { "cgroup_skb" } else { "" },
                reason: explained(reasons.join("; ")),
            })
            .into()
    }
}

fn open(path: &Path) -> Result<File, String> {
    let directory = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if is_v2(path) {
        Ok(directory)
    } else {
        Err(format!(
            "{}: not in the v2 hierarchy, the only one that has these hooks",
            path.display()
        ))
    }
}

fn at(
    ebpf: &mut Ebpf,
    directory: BorrowedFd<'_>,
    title: &str,
    failures: &mut Vec<String>,
) -> Vec<Link> {
    let mut links = Vec::new();
    for name in ["packet_in", "packet_out", "socket_release"] {
        match attach(ebpf, name, directory) {
            Ok(link) => links.push(link),
            Err(reason) => failures.push(format!("{name} at {title}: {reason}")),
        }
    }
    links
}

/// Loads the program if it is not loaded yet, and attaches it to one more directory.
fn attach(ebpf: &mut Ebpf, name: &str, directory: BorrowedFd<'_>) -> Result<Link, String> {
    let mode = CgroupAttachMode::Single;
    let direction = if name == "packet_in" {
        CgroupSkbAttachType::Ingress
    } else {
        CgroupSkbAttachType::Egress
    };
    match ebpf.program_mut(name) {
        Some(Program::CgroupSkb(program)) => {
            if program.fd().is_err() {
                program.load().map_err(|error| chain(&error))?;
            }
            let link = program
                .attach(directory, direction, mode)
                .map_err(|error| chain(&error))?;
            program
                .take_link(link)
                .map(Link::Packets)
                .map_err(|error| chain(&error))
        }
        Some(Program::CgroupSock(program)) => {
            if program.fd().is_err() {
                program.load().map_err(|error| chain(&error))?;
            }
            let link = program
                .attach(directory, mode)
                .map_err(|error| chain(&error))?;
            program
                .take_link(link)
                .map(Link::Release)
                .map_err(|error| chain(&error))
        }
        _ => Err(format!(
            "the object has no program {name} of the right type"
        )),
    }
}
