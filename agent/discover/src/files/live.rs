//! Files of a container that runs, through the root that its first process has.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use mesoscope_proto::v1::{FileEntry, FileKind, FileListing};
use rand::Rng;
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RawMode, RenameFlags, ResolveFlags, Statx, StatxFlags, fchmod,
    fchown, fstatfs, openat, openat2, readlinkat, renameat, renameat_with, statx, unlinkat,
};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::Slot;
use super::bounds::{DOWNLOAD_BYTES_MAX, NAMES_MAX, PIECES_MAX};
use super::kind::{entry, is_of_the_kernel, kind, target, text};
use super::path::base_name;
use super::stream::{FileSink, FileStream, PieceWriter, on_a_thread, spawn};
use super::walk;
use crate::control::ControlError;

/// Paths are resolved as in the container, and links of `/proc` lead nowhere.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
/// `openat2` gives up where `..` meets a folder that is moved at this moment.
const RACE_TRIES: u32 = 16;
/// A file that is written may belong to a process that ends meanwhile.
const TEMPORARY_TRIES: u32 = 4;

/// The root of a container's first process.
#[derive(Debug, Clone)]
pub(crate) struct LiveRoot(Arc<OwnedFd>);

impl LiveRoot {
    /// That of process `pid`, where it is one of container `id`. `None` where this agent can't have
    /// it: another namespace of process numbers, too few capabilities, a kernel before 5.6.
    pub(crate) fn of_process(pid: u32, id: &str) -> Option<Self> {
        let path = format!("/proc/{pid}");
        // What is opened stays that process's, also when its number is given again.
        let process = openat(
            CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let process = process.ok()?;
        let cgroup = openat(
            &process,
            "cgroup",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let mut text = String::new();
        File::from(cgroup.ok()?).read_to_string(&mut text).ok()?;
        if !text.contains(id) {
            return None;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(&process, "root", flags, Mode::empty()).ok()?;
        openat2(&root, ".", flags, Mode::empty(), INSIDE).ok()?;
        Some(Self(Arc::new(root)))
    }

    pub(super) async fn list(
        &self,
        path: String,
        after: &str,
        limit: usize,
        slot: Slot,
    ) -> Result<FileListing, ControlError> {
        let (root, after) = (self.clone(), after.to_owned());
        on_a_thread(slot, move || root.list_now(&path, &after, limit)).await
    }

    fn list_now(&self, path: &str, after: &str, limit: usize) -> Result<FileListing, ControlError> {
        let folder = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
        let said = |error: Errno| explain(path, error);
        // The least names after the given one, and one more.
        let mut names: BTreeSet<(String, CString)> = BTreeSet::new();
        let mut seen = 0;
        let mut incomplete = String::new();
        for found in Dir::read_from(&folder).map_err(said)? {
            let found = found.map_err(said)?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            seen += 1;
            if seen > NAMES_MAX {
                incomplete = format!(
                    "there are more than {NAMES_MAX} names, and the others were not looked at"
                );
                break;
            }
            let shown = text(name.to_bytes()).0;
            if shown.as_str() <= after {
                continue;
            }
            names.insert((shown, name.to_owned()));
            if names.len() > limit + 1 {
                names.pop_last();
            }
        }
        let more = names.len() > limit;
        let entries = names.iter().take(limit);
        // What is gone meanwhile is left out.
        let entries = entries.filter_map(|(_, name)| stat_entry(&folder, name));
        Ok(FileListing {
            entries: entries.collect(),
            more,
            incomplete,
        })
    }

    pub(super) async fn read(
        &self,
        path: String,
        head_bytes: u64,
        slot: Slot,
    ) -> Result<(FileEntry, FileStream), ControlError> {
        let root = self.clone();
        let (sender, stream) = FileStream::channel();
        let opened = on_a_thread((), {
            let path = path.clone();
            move || root.open_to_read(&path)
        });
        let (found, fd) = opened.await?;
        let folder = found.kind() == FileKind::Folder;
        let bytes = match head_bytes {
            0 => found.size_bytes,
            head => found.size_bytes.min(head),
        };
        if bytes > DOWNLOAD_BYTES_MAX {
            return Err(too_large(bytes));
        }
        let name = found.name.clone();
        spawn(move || {
            let sender = Arc::new(sender);
            let mut writer = PieceWriter::new(sender.clone());
            let done = if folder {
                walk::tar(fd, &name, &mut writer)
            } else {
                // What is written meanwhile is not waited for.
                let copied = io::copy(&mut File::from(fd).take(bytes), &mut writer);
                copied
                    .map(|_| ())
                    .map_err(|error| explain_io(&path, &error))
            };
            let done = done.and_then(|()| {
                let flushed = writer.flush();
                flushed.map_err(|error| explain_io(&path, &error))
            });
            if let Err(error) = done {
                // Whoever reads may be gone.
                let _ = sender.blocking_send(Err(error));
            }
            drop(slot);
        })?;
        Ok((found, stream))
    }

    /// Looks what it is before it is opened: a pipe would wait, a device do something.
    fn open_to_read(&self, path: &str) -> Result<(FileEntry, OwnedFd), ControlError> {
        let found = self.open(path, OFlags::PATH)?;
        let stat = stat_of(&found).map_err(|error| explain(path, error))?;
        let told = entry(base_name(path).as_bytes(), &stat, String::new());
        if !matches!(told.kind(), FileKind::File | FileKind::Folder) {
            return Err(special(path));
        }
        not_of_the_kernel(path, &found)?;
        // The same inode, whatever its name leads to by now.
        let again = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(CWD, again, flags, Mode::empty());
        Ok((told, opened.map_err(|error| explain(path, error))?))
    }

    pub(super) async fn write(
        &self,
        folder: String,
        name: String,
        size_bytes: u64,
        replace: bool,
        slot: Slot,
    ) -> Result<FileSink, ControlError> {
        let root = self.clone();
        let begun = on_a_thread((), move || Writing::begin(&root, &folder, name, replace));
        let writing = begun.await?;
        let (sender, bytes) = mpsc::channel(PIECES_MAX);
        let done = spawn(move || {
            let done = writing.run(bytes, size_bytes);
            drop(slot);
            done
        })?;
        Ok(FileSink::new(sender, done))
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, ControlError> {
        let flags = flags | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            match openat2(&*self.0, path, flags, Mode::empty(), INSIDE) {
                Ok(fd) => return Ok(fd),
                Err(Errno::AGAIN) if tries < RACE_TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(explain(path, error)),
            }
        }
    }
}

/// A file that is being written, under another name until it is whole.
struct Writing {
    folder: OwnedFd,
    file: File,
    temporary: String,
    name: String,
    replace: bool,
    path: String,
    renamed: bool,
}

impl Writing {
    fn begin(
        root: &LiveRoot,
        folder_path: &str,
        name: String,
        replace: bool,
    ) -> Result<Self, ControlError> {
        let path = format!("{}/{name}", folder_path.trim_end_matches('/'));
        let said = |error: Errno| explain(&path, error);
        let folder = root.open(folder_path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        not_of_the_kernel(&path, &folder)?;
        let of_folder = stat_of(&folder).map_err(said)?;
        let before = match stat_at(&folder, name.as_str()) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(said(error)),
        };
        if let Some(before) = &before {
            refuse_what_is_there(&path, before, replace)?;
        }
        let (temporary, file) = temporary(&folder).map_err(said)?;
        let (owner, mode) = match &before {
            // Never with more rights than somebody set for other contents.
            Some(before) => (before, RawMode::from(before.stx_mode) & 0o777),
            None => (&of_folder, 0o644),
        };
        let writing = Self {
            folder,
            file: File::from(file),
            temporary,
            name,
            replace,
            path: path.clone(),
            renamed: false,
        };
        let user = rustix::fs::Uid::from_raw(owner.stx_uid);
        let group = rustix::fs::Gid::from_raw(owner.stx_gid);
        fchown(&writing.file, Some(user), Some(group)).map_err(said)?;
        fchmod(&writing.file, Mode::from_raw_mode(mode)).map_err(said)?;
        Ok(writing)
    }

    fn run(
        mut self,
        mut bytes: mpsc::Receiver<hyper::body::Bytes>,
        size_bytes: u64,
    ) -> Result<(), ControlError> {
        let mut left = size_bytes;
        while let Some(piece) = bytes.blocking_recv() {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            left = left
                .checked_sub(length)
                .ok_or_else(|| ControlError::Failed("more bytes came than were told".to_owned()))?;
            self.file
                .write_all(&piece)
                .map_err(|error| explain_io(&self.path, &error))?;
        }
        if left > 0 {
            return Err(ControlError::Failed(format!(
                "the upload broke off {left} bytes before its end; nothing was changed"
            )));
        }
        let (from, to) = (self.temporary.as_str(), self.name.as_str());
        let named = if self.replace {
            renameat(&self.folder, from, &self.folder, to)
        } else {
            renameat_with(&self.folder, from, &self.folder, to, RenameFlags::NOREPLACE)
        };
        named.map_err(|error| explain(&self.path, error))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.renamed {
            // The container may be gone, and its files with it.
            let _ = unlinkat(&self.folder, self.temporary.as_str(), AtFlags::empty());
        }
    }
}

fn temporary(folder: &OwnedFd) -> Result<(String, OwnedFd), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut last = Errno::EXIST;
    for _ in 0..TEMPORARY_TRIES {
        let name = format!(".mesoscope-upload-{:016x}", rand::rng().random::<u64>());
        match openat(folder, name.as_str(), flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => return Ok((name, file)),
            Err(error) => last = error,
        }
        if last != Errno::EXIST {
            break;
        }
    }
    Err(last)
}

fn refuse_what_is_there(path: &str, before: &Statx, replace: bool) -> Result<(), ControlError> {
    let what = match kind(u32::from(before.stx_mode)) {
        FileKind::File if replace => return Ok(()),
        FileKind::File => "exists already",
        FileKind::Folder => "is a folder",
        FileKind::Link => "is a link; write to where it leads",
        _ => "is a device, pipe or socket",
    };
    Err(ControlError::Conflict(format!("{path} {what}")))
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS;

/// Without asking a server far away, and without mounting anything.
fn unasked() -> AtFlags {
    AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC
}

pub(super) fn stat_at(folder: &OwnedFd, name: impl rustix::path::Arg) -> Result<Statx, Errno> {
    statx(folder, name, unasked(), WANTED)
}

pub(super) fn stat_of(fd: &OwnedFd) -> Result<Statx, Errno> {
    statx(fd, "", unasked() | AtFlags::EMPTY_PATH, WANTED)
}

fn stat_entry(folder: &OwnedFd, name: &CString) -> Option<FileEntry> {
    let stat = stat_at(folder, name).ok()?;
    let leads = if kind(u32::from(stat.stx_mode)) == FileKind::Link {
        let says = readlinkat(folder, name, Vec::new());
        says.map(|says| target(says.to_bytes())).unwrap_or_default()
    } else {
        String::new()
    };
    Some(entry(name.to_bytes(), &stat, leads))
}

fn not_of_the_kernel(path: &str, fd: &OwnedFd) -> Result<(), ControlError> {
    let file_system = fstatfs(fd).map_err(|error| explain(path, error))?;
    let number = u64::try_from(file_system.f_type).unwrap_or_default();
    if is_of_the_kernel(number) {
        return Err(ControlError::Conflict(format!(
            "{path} is a switch of the kernel's and not a file; a terminal reaches it"
        )));
    }
    Ok(())
}

pub(super) fn too_large(bytes: u64) -> ControlError {
    ControlError::TooLarge(format!(
        "{bytes} bytes are more than the {DOWNLOAD_BYTES_MAX} that are carried; a terminal can cut or pack it"
    ))
}

pub(super) fn special(path: &str) -> ControlError {
    ControlError::Conflict(format!(
        "{path} is a device, pipe or socket, which are not opened"
    ))
}

pub(super) fn explain_io(path: &str, error: &io::Error) -> ControlError {
    match Errno::from_io_error(error) {
        Some(error) => explain(path, error),
        None => ControlError::Failed(format!("{path}: {error}")),
    }
}

pub(super) fn explain(path: &str, error: Errno) -> ControlError {
    let say = |text: &str| format!("{path}: {text}");
    match error {
        Errno::NOENT => ControlError::NoFile(say("there is no such file or folder")),
        Errno::NOTDIR => ControlError::Conflict(say("it, or a part of its path, is no folder")),
        Errno::ISDIR => ControlError::Conflict(say("it is a folder")),
        Errno::EXIST => ControlError::Conflict(say("it exists already")),
        Errno::LOOP => {
            ControlError::Conflict(say("its links lead round in circles, or into /proc"))
        }
        Errno::NAMETOOLONG => ControlError::Conflict(say("its name is too long")),
        Errno::ROFS => ControlError::Conflict(say("its file system is read-only")),
        Errno::BUSY => ControlError::Conflict(say(
            "it is mounted into the container by itself, and can't be replaced",
        )),
        Errno::NOSPC | Errno::DQUOT => ControlError::Conflict(say("there is no room left for it")),
        Errno::ACCESS | Errno::PERM => ControlError::Failed(say(
            "the agent may not: it lacks CAP_DAC_OVERRIDE (to write also CAP_CHOWN and CAP_FOWNER), or the file is immutable",
        )),
        Errno::STALE | Errno::IO | Errno::TIMEDOUT => {
            ControlError::Unavailable(say(&format!("its disk does not give it: {error}")))
        }
        other => ControlError::Failed(say(&other.to_string())),
    }
}
