//! Files of a container: browsed, read, and written, never out of its root.
//!
//! * `live`: of a container that runs, through the root that its first process has; `walk`: a folder
//!   of it as a tar.
//! * `engine`: of one that does not, through the Docker engine's archives.
//! * `stream`: bytes between the threads that wait for disks and the rest.
//! * `kind`: what a file is; `bounds`: what is carried at most.
//!
//! **Which way.** `/proc/PID/root` shows what the container's processes see: its volumes, its `tmpfs`,
//! whatever the engine. Paths are resolved in it by the kernel (`openat2` with `RESOLVE_IN_ROOT`): `..`,
//! absolute links and links that change meanwhile end at the container's root, and links of `/proc`
//! lead nowhere. What is no file or folder is never opened. A container that does not run has no
//! such root; neither is it open to an agent without the capabilities or the process numbers for it. There
//! the engine packs and unpacks archives, in the container's root, too.

mod bounds;
mod engine;
mod kind;
mod live;
mod path;
mod stream;
mod walk;

use std::sync::Arc;

use mesoscope_proto::v1::{FileEntry, FileListing};
use tokio::sync::OwnedSemaphorePermit;

pub use bounds::{DOWNLOAD_BYTES_MAX, ENTRIES_MAX, LISTED_MAX, NAMES_MAX, UPLOAD_BYTES_MAX};
pub use stream::{FileSink, FileStream};

pub(crate) use engine::Archive;
pub(crate) use live::LiveRoot;

use crate::control::ControlError;

/// What is held while a thread works on files, so that one that waits for a disk for ever is counted.
pub type Slot = Arc<OwnedSemaphorePermit>;

/// The files of one container.
#[derive(Debug)]
pub struct Files {
    way: Way,
    slot: Slot,
}

#[derive(Debug)]
enum Way {
    Live(LiveRoot),
    Archive(Archive),
}

impl Files {
    pub(crate) fn live(root: LiveRoot, slot: Slot) -> Self {
        Self {
            way: Way::Live(root),
            slot,
        }
    }

    pub(crate) fn archive(archive: Archive, slot: Slot) -> Self {
        Self {
            way: Way::Archive(archive),
            slot,
        }
    }

    /// Whether they are seen as the container's processes see them.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.way, Way::Live(_))
    }

    /// What is in a folder, by name: up to `limit` entries after the name `after`.
    ///
    /// # Errors
    /// [`ControlError`]; also when it is no folder.
    pub async fn list(
        &self,
        path: &str,
        after: &str,
        limit: usize,
    ) -> Result<FileListing, ControlError> {
        let path = path::absolute(path)?;
        let limit = limit.clamp(1, LISTED_MAX);
        match &self.way {
            Way::Live(root) => root.list(path, after, limit, self.slot.clone()).await,
            Way::Archive(archive) => archive.list(path, after, limit, self.slot.clone()).await,
        }
    }

    /// What is there, and its bytes: of a file from its start, at most `head_bytes` where that is not
    /// 0; of a folder, as a tar.
    ///
    /// # Errors
    /// [`ControlError`]; also when it is neither file nor folder, or larger than is carried.
    pub async fn read(
        &self,
        path: &str,
        head_bytes: u64,
    ) -> Result<(FileEntry, FileStream), ControlError> {
        let path = path::absolute(path)?;
        match &self.way {
            Way::Live(root) => root.read(path, head_bytes, self.slot.clone()).await,
            Way::Archive(archive) => archive.read(path, head_bytes, self.slot.clone()).await,
        }
    }

    /// A file that is made of the bytes that follow, or replaced where `replace` says so.
    ///
    /// # Errors
    /// [`ControlError`]; also when there is something else, or no room.
    pub async fn write(
        &self,
        path: &str,
        size_bytes: u64,
        replace: bool,
    ) -> Result<FileSink, ControlError> {
        if size_bytes > UPLOAD_BYTES_MAX {
            return Err(ControlError::TooLarge(format!(
                "{size_bytes} bytes are more than the {UPLOAD_BYTES_MAX} that a file may have that is written here"
            )));
        }
        let (folder, name) = path::folder_and_name(path)?;
        match &self.way {
            Way::Live(root) => {
                root.write(folder, name, size_bytes, replace, self.slot.clone())
                    .await
            }
            Way::Archive(archive) => archive.write(folder, name, size_bytes, replace).await,
        }
    }
}
