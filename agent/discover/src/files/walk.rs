//! A folder as a tar: what the folder's own file systems hold, links as links, nothing followed.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mesoscope_proto::v1::FileKind;
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, Statx, fstatfs, openat, openat2, readlinkat};
use tar::{Builder, EntryType, Header};

use super::bounds::{DEPTH_MAX, DOWNLOAD_BYTES_MAX, ENTRIES_MAX};
use super::kind::{is_of_the_kernel, kind};
use super::live::{explain, explain_io, stat_at, stat_of, too_large};
use crate::control::ControlError;

/// What was packed so far.
#[derive(Default)]
struct Packed {
    entries: usize,
    bytes: u64,
}

/// A folder that is being packed.
struct Open {
    folder: OwnedFd,
    entries: Dir,
    path: PathBuf,
    device: (u32, u32),
}

/// Packs `folder` under `name`. Devices, pipes and sockets are left out, and the kernel's own file
/// systems.
pub(super) fn tar(
    folder: OwnedFd,
    name: &str,
    writer: &mut impl Write,
) -> Result<(), ControlError> {
    let mut builder = Builder::new(writer);
    let mut packed = Packed::default();
    let path = PathBuf::from(name);
    let stat = stat_of(&folder).map_err(|error| explain(name, error))?;
    packed.folder(&mut builder, &path, &stat)?;
    let device = (stat.stx_dev_major, stat.stx_dev_minor);
    let mut open = vec![Open::new(folder, path, device)?];
    while let Some(last) = open.last_mut() {
        let Some(found) = last.entries.next() else {
            open.pop();
            continue;
        };
        let found = found.map_err(|error| explain(&last.path.to_string_lossy(), error))?;
        let file_name = found.file_name().to_owned();
        if matches!(file_name.to_bytes(), b"." | b"..") {
            continue;
        }
        let deeper = packed.take(&mut builder, last, &file_name)?;
        if let Some(deeper) = deeper {
            if open.len() >= DEPTH_MAX {
                return Err(ControlError::TooLarge(format!(
                    "folders lie in one another more than {DEPTH_MAX} deep"
                )));
            }
            open.push(deeper);
        }
    }
    builder.finish().map_err(|error| explain_io(name, &error))
}

impl Open {
    fn new(folder: OwnedFd, path: PathBuf, device: (u32, u32)) -> Result<Self, ControlError> {
        let entries = Dir::read_from(&folder);
        Ok(Self {
            entries: entries.map_err(|error| explain(&path.to_string_lossy(), error))?,
            folder,
            path,
            device,
        })
    }
}

impl Packed {
    /// Packs an entry; gives a folder to go on with.
    fn take(
        &mut self,
        builder: &mut Builder<impl Write>,
        of: &Open,
        name: &CString,
    ) -> Result<Option<Open>, ControlError> {
        use std::os::unix::ffi::OsStrExt;
        let path = of.path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        // What is gone meanwhile, or was made something else, is left out.
        let Ok(stat) = stat_at(&of.folder, name) else {
            return Ok(None);
        };
        match kind(u32::from(stat.stx_mode)) {
            FileKind::Folder => {
                let flags = OFlags::RDONLY
                    | OFlags::DIRECTORY
                    | OFlags::NOFOLLOW
                    | OFlags::NONBLOCK
                    | OFlags::CLOEXEC;
                let Ok(folder) = openat(&of.folder, name, flags, Mode::empty()) else {
                    return Ok(None);
                };
                let device = (stat.stx_dev_major, stat.stx_dev_minor);
                if device != of.device && of_the_kernel(&folder) {
                    return Ok(None);
                }
                self.folder(builder, &path, &stat)?;
                Ok(Some(Open::new(folder, path, device)?))
            }
            FileKind::File => {
                if let Some(file) = open_file(&of.folder, name) {
                    self.file(builder, &path, &stat, file)?;
                }
                Ok(None)
            }
            FileKind::Link => {
                if let Ok(says) = readlinkat(&of.folder, name, Vec::new()) {
                    let says = std::ffi::OsStr::from_bytes(says.to_bytes());
                    self.link(builder, &path, &stat, Path::new(says))?;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), ControlError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.entries > ENTRIES_MAX {
            return Err(ControlError::TooLarge(format!(
                "there are more than {ENTRIES_MAX} entries in it; take a folder in it"
            )));
        }
        if self.bytes > DOWNLOAD_BYTES_MAX {
            return Err(too_large(self.bytes));
        }
        Ok(())
    }

    fn folder(
        &mut self,
        builder: &mut Builder<impl Write>,
        path: &Path,
        stat: &Statx,
    ) -> Result<(), ControlError> {
        self.count(0)?;
        let mut header = header(stat, EntryType::Directory, 0);
        let done = builder.append_data(&mut header, path, io::empty());
        done.map_err(|error| explain_io(&path.to_string_lossy(), &error))
    }

    fn link(
        &mut self,
        builder: &mut Builder<impl Write>,
        path: &Path,
        stat: &Statx,
        says: &Path,
    ) -> Result<(), ControlError> {
        self.count(0)?;
        let mut header = header(stat, EntryType::Symlink, 0);
        let done = builder.append_link(&mut header, path, says);
        done.map_err(|error| explain_io(&path.to_string_lossy(), &error))
    }

    /// A file that grows or shrinks meanwhile has the size that it had before: cut, or filled up
    /// with zeros, as other packers do.
    fn file(
        &mut self,
        builder: &mut Builder<impl Write>,
        path: &Path,
        stat: &Statx,
        file: File,
    ) -> Result<(), ControlError> {
        self.count(stat.stx_size)?;
        let mut header = header(stat, EntryType::Regular, stat.stx_size);
        let whole = file.chain(io::repeat(0)).take(stat.stx_size);
        let done = builder.append_data(&mut header, path, whole);
        done.map_err(|error| explain_io(&path.to_string_lossy(), &error))
    }
}

/// `None` where it is no file by now, or one of the kernel's that is mounted there.
fn open_file(folder: &OwnedFd, name: &CString) -> Option<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    let found = openat2(folder, name, flags, Mode::empty(), resolve).ok()?;
    let stat = stat_of(&found).ok()?;
    if kind(u32::from(stat.stx_mode)) != FileKind::File || of_the_kernel(&found) {
        return None;
    }
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(rustix::fs::CWD, again, flags, Mode::empty()).ok()?;
    Some(File::from(file))
}

fn of_the_kernel(fd: &OwnedFd) -> bool {
    fstatfs(fd).is_ok_and(|told| is_of_the_kernel(u64::try_from(told.f_type).unwrap_or_default()))
}

fn header(stat: &Statx, kind: EntryType, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size_bytes);
    header.set_mode(u32::from(stat.stx_mode) & 0o7777);
    header.set_uid(stat.stx_uid.into());
    header.set_gid(stat.stx_gid.into());
    header.set_mtime(u64::try_from(stat.stx_mtime.tv_sec).unwrap_or_default());
    header
}
