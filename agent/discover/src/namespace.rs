//! Work in another network namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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

/// Whether `link` is the network namespace that we are in.
pub(crate) fn is_own(link: &Path) -> bool {
    match (
        std::fs::read_link(link),
        std::fs::read_link("/proc/self/ns/net"),
    ) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    }
}
