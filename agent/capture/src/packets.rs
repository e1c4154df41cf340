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

/// The hooks that are attached, and where.
#[derive(Default)]
pub struct Packets {
    links: Vec<Link>,
    on: Tier2,
    failures: Vec<String>,
}

impl Packets {
    /// Attaches where `tier2` says and detaches everywhere else.
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
        let mut links = Vec::new();
        match tier2 {
            Tier2::Off => {}
            Tier2::Node => match root {
                Ok(root) => at(ebpf, root.as_fd(), "the root", &mut links, &mut failures),
                Err(reason) => failures.push(reason.clone()),
            },
            Tier2::Cgroups(paths) => {
                for path in paths {
                    match open(path) {
                        Ok(directory) => at(
                            ebpf,
                            directory.as_fd(),
                            &path.display().to_string(),
                            &mut links,
                            &mut failures,
                        ),
                        Err(reason) => failures.push(reason),
                    }
                }
            }
        }
        if links.is_empty() && !failures.is_empty() {
            let reason = failures.join("; ");
            if self.links.is_empty() {
                self.failures = failures;
            }
            return Err(kernel("turning tier 2 on", reason));
        }
        self.links = links;
        self.failures = failures;
        self.on = tier2.clone();
        Ok(())
    }

    /// What the hooks give now.
    pub fn capabilities(&self) -> Vec<Capability> {
        // Both directions at one directory at least.
        let available = self
            .links
            .iter()
            .filter(|link| matches!(link, Link::Packets(_)))
            .count()
            >= 2;
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
    links: &mut Vec<Link>,
    failures: &mut Vec<String>,
) {
    for name in ["packet_in", "packet_out", "socket_release"] {
        match attach(ebpf, name, directory) {
            Ok(link) => links.push(link),
            Err(reason) => failures.push(format!("{name} at {title}: {reason}")),
        }
    }
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
