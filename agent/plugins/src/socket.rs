//! Reaching the socket of a plugin, and nobody else.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use tokio::net::UnixStream;

use std::os::fd::AsRawFd;

/// Connects to a socket that this user made and listens on. Its last part is not followed when it is a
/// link; and what is checked is what is connected to, whatever the plugin does meanwhile.
///
/// # Errors
/// The text says what is there instead.
pub async fn connect(path: &Path, uid: u32) -> Result<UnixStream, String> {
    let shown = path.display();
    let found = rustix::fs::open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("{shown}: {}", io::Error::from(error)))?;
    let stat = rustix::fs::fstat(&found).map_err(|error| format!("{shown}: {error}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(format!("{shown} is no socket, or a link to one"));
    }
    if stat.st_uid != uid {
        let owner = stat.st_uid;
        return Err(format!("{shown} belongs to user {owner}, not to {uid}"));
    }
    let stream = UnixStream::connect(format!("/proc/self/fd/{}", found.as_raw_fd()))
        .await
        .map_err(|error| format!("{shown}: {error}"))?;
    let peer = stream
        .peer_cred()
        .map_err(|error| format!("{shown}: who listens there: {error}"))?
        .uid();
    if peer != uid {
        return Err(format!("user {peer} listens on {shown}, not {uid}"));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn only_a_socket_of_that_user_is_connected_to() {
        let uid = rustix::process::geteuid().as_raw();
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real");
        let listener = UnixListener::bind(&real).expect("bound");
        connect(&real, uid).await.expect("it listens");
        let refused = connect(&real, uid + 1).await.expect_err("another user's");
        assert!(refused.contains("belongs to user"), "{refused}");

        let link = folder.path().join("link");
        symlink(&real, &link).expect("linked");
        let refused = connect(&link, uid).await.expect_err("a link");
        assert!(refused.contains("no socket"), "{refused}");

        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let refused = connect(&file, uid).await.expect_err("a file");
        assert!(refused.contains("no socket"), "{refused}");
        assert!(connect(&folder.path().join("none"), uid).await.is_err());

        drop(listener);
        assert!(connect(&real, uid).await.is_err(), "nobody listens");
    }
}
