//! Network namespaces: which one, and work in another.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::paths::Paths;

/// Runs `work` on a thread of its own inside the network namespace of `link` (such as
/// `/proc/1/ns/net`), so that no other thread changes its namespace.
///
/// # Errors
/// When the link cannot be opened or entered (CAP_SYS_ADMIN).
pub(crate) fn in_network_namespace<T: Send>(
    link: &Path,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let namespace = File::open(link)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("network-namespace".to_owned())
            .spawn_scoped(scope, move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            })?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether `link` is the network namespace that this thread is in.
///
/// # Errors
/// When the link cannot be followed (CAP_SYS_PTRACE for another user's process).
pub(crate) fn is_own(link: &Path) -> io::Result<bool> {
    let theirs = std::fs::metadata(link)?;
    let own = std::fs::metadata("/proc/thread-self/ns/net")?;
    Ok((theirs.dev(), theirs.ino()) == (own.dev(), own.ino()))
}

/// Inode of the host's own network namespace; 0 when not even ours can be read.
#[must_use]
pub fn host_network_namespace(paths: &Paths) -> u64 {
    let link = std::fs::read_link(paths.host_network_namespace());
    link.map_or(0, |link| namespace_inode(&link))
}

/// The inode in a namespace link such as `net:[4026531840]`; 0 when it has another form.
pub(crate) fn namespace_inode(link: &Path) -> u64 {
    let text = link.to_string_lossy();
    text.split_once(":[")
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .and_then(|inode| inode.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_of_links() {
        assert_eq!(
            namespace_inode(Path::new("net:[4026531840]")),
            4_026_531_840
        );
        assert_eq!(namespace_inode(Path::new("net:[")), 0);
    }
}
