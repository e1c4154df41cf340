//! The real Docker engine on its usual socket, and containers of busybox in it.

use std::process::{Command, Stdio};
use std::sync::Once;

/// Where the engine listens.
pub const SOCKET: &str = "/var/run/docker.sock";
/// Made of busybox-static, since no registry can be asked.
const IMAGE: &str = "mesoscope-agent-test:busybox";

static IMAGE_MADE: Once = Once::new();

/// Runs `docker` and gives its output; fails with what it said.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("docker is installed (Debian: docker.io)");
    assert!(
        output.status.success(),
        "docker {arguments:?} (does dockerd run?): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn make_image() {
    IMAGE_MADE.call_once(|| {
        let root = tempfile::tempdir().expect("a folder");
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        std::fs::copy("/bin/busybox", bin.join("busybox"))
            .expect("a static busybox (Debian: busybox-static)");
        for applet in ["sh", "sleep", "dd"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
        }
        let mut tar = Command::new("tar")
            .args(["-C", root.path().to_str().expect("UTF-8"), "-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar is installed");
        let import = Command::new("docker")
            .args(["import", "-", IMAGE])
            .stdin(tar.stdout.take().expect("piped"))
            .output()
            .expect("docker is installed (Debian: docker.io)");
        assert!(tar.wait().expect("tar ends").success());
        assert!(
            import.status.success(),
            "docker import (does dockerd run?): {}",
            String::from_utf8_lossy(&import.stderr)
        );
    });
}

/// A container that is removed when this is dropped.
pub struct Container {
    /// Its full id.
    pub id: String,
}

impl Container {
    /// `docker run --detach OPTIONS IMAGE COMMAND`.
    pub fn run(options: &[&str], command: &[&str]) -> Self {
        make_image();
        let arguments = [&["run", "--detach"], options, &[IMAGE], command].concat();
        Self {
            id: docker(&arguments),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A test that fails does so for its own reason.
        let _ = Command::new("docker")
            .args(["rm", "--force", &self.id])
            .output();
    }
}
