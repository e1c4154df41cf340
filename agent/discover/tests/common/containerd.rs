//! A containerd of a test's own, with its own folders and socket.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends when this is dropped.
pub struct Containerd(Child);

impl Containerd {
    pub fn start(folder: &Path, socket: &Path) -> Self {
        let config = folder.join("config.toml");
        let text = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n[grpc]\naddress = {socket:?}\n\
             [debug]\naddress = {debug:?}\n[plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"docker.io/library/{image}\"\nrestrict_oom_score_adj = true\n",
            root = folder.join("root"),
            state = folder.join("state"),
            debug = folder.join("debug.sock"),
            image = super::IMAGE,
        );
        std::fs::write(&config, text).expect("a file");
        let log = std::fs::File::create(folder.join("log")).expect("a file");
        let child = Command::new("containerd")
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.expect("containerd is installed (Debian: docker.io brings it)"))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
