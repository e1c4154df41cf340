//! Cgroups.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mesoscope_capture::{EventKind, event::CgroupAction};

use super::{Check, Outcome, because, child, ensure, session::Session};

pub const CHECKS: &[Check] = &[
    ("a_cgroup_is_seen_from_its_making_to_its_removal", life),
    ("processes_carry_the_id_of_their_cgroup", ids),
];

/// A cgroup of a check, removed with it.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// In the hierarchy whose cgroups are reported.
    pub fn new(name: &str) -> Result<Self, String> {
        Self::at(&root()?, name)
    }

    /// In the v2 hierarchy, where it is mounted.
    pub fn in_v2(name: &str) -> Result<Self, String> {
        let root = root()?;
        if !root.join("cgroup.controllers").exists() {
            return Err("no v2 hierarchy is mounted".to_owned());
        }
        Self::at(&root, name)
    }

    /// With a limit, in whichever hierarchy has the memory controller.
    pub fn with_memory_limit(name: &str, bytes: u64) -> Result<Self, String> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, files) = if v1.is_dir() {
            (
                v1.to_path_buf(),
                ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            )
        } else {
            (root()?, ["memory.max", "memory.swap.max"])
        };
        let scratch = Self::at(&root, name)?;
        fs::write(scratch.path.join(files[0]), bytes.to_string())
            .map_err(because("limiting memory"))?;
        // Not there without swap.
        let _ = fs::write(
            scratch.path.join(files[1]),
            if v1.is_dir() {
                bytes.to_string()
            } else {
                "0".to_owned()
            },
        );
        Ok(scratch)
    }

    fn at(root: &Path, name: &str) -> Result<Self, String> {
        let path = root.join(format!("mesoscope-check-{name}-{}", std::process::id()));
        fs::create_dir(&path).map_err(because(&format!("making {}", path.display())))?;
        Ok(Self { path })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id.
    pub fn id(&self) -> Result<u64, String> {
        Ok(fs::metadata(&self.path)
            .map_err(because("asking for the inode"))?
            .ino())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A process that ended a moment ago may still be leaving.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Root of the hierarchy whose cgroups are reported: v2 where it is mounted, else v1's memory controller.
fn root() -> Result<PathBuf, String> {
    let v2 = |path: &Path| path.join("cgroup.controllers").exists();
    [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/memory",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| v2(path) || (path.ends_with("memory") && path.join("cgroup.procs").exists()))
    .ok_or_else(|| "no hierarchy is mounted".to_owned())
}

fn life() -> Outcome {
    let mut session = Session::start()?;
    let scratch = Scratch::new("life")?;
    let (id, path) = (scratch.id()?, scratch.path().to_path_buf());
    let name = path
        .file_name()
        .ok_or("no name")?
        .to_string_lossy()
        .into_owned();
    let status = child::command(&["in-cgroup", &path.display().to_string(), "exit", "0"])
        .status()
        .map_err(because("spawning"))?;
    ensure!(status.success(), "child says {status}");
    drop(scratch);
    let action = |wanted: CgroupAction| {
        move |event: &EventKind| match event {
            EventKind::Cgroup {
                action,
                cgroup_id,
                path,
            } if *cgroup_id == id && *action == wanted => Some(path.clone()),
            _ => None,
        }
    };
    for wanted in [
        CgroupAction::Created,
        CgroupAction::Populated,
        CgroupAction::Emptied,
        CgroupAction::Removed,
    ] {
        let told = session.wait(&format!("{wanted:?} of {name}"), action(wanted))?;
        ensure!(told == format!("/{name}"), "path is {told}");
    }
    let order = session.all(|event| match event {
        EventKind::Cgroup {
            action, cgroup_id, ..
        } if *cgroup_id == id => Some(*action),
        _ => None,
    });
    ensure!(
        order
            == [
                CgroupAction::Created,
                CgroupAction::Populated,
                CgroupAction::Emptied,
                CgroupAction::Removed
            ],
        "order is {order:?}"
    );
    Ok(())
}

fn ids() -> Outcome {
    let mut session = Session::start()?;
    let scratch = Scratch::new("ids")?;
    let mut child = child::command(&[
        "in-cgroup",
        &scratch.path().display().to_string(),
        "exit",
        "0",
    ])
    .spawn()
    .map_err(because("spawning"))?;
    let pid = child.id();
    child.wait().map_err(because("waiting"))?;
    let id = session.wait("exit", |event| match event {
        EventKind::Exit {
            process, cgroup_id, ..
        } if process.pid == pid => Some(*cgroup_id),
        _ => None,
    })?;
    ensure!(
        id == scratch.id()?,
        "cgroup is {id} and not {}",
        scratch.id()?
    );
    let execs = session.all(|event| match event {
        EventKind::Exec {
            process, cgroup_id, ..
        } if process.pid == pid => Some(*cgroup_id),
        _ => None,
    });
    ensure!(
        execs.len() == 2 && execs[1] == id && execs[0] != id,
        "cgroups of the execs are {execs:?}"
    );
    Ok(())
}
