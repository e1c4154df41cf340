//! Against the real containerd (Debian's, a part of docker.io), a private one with its own folders
//! and socket.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mesoscope_discover::cri::{CriConfig, watch};
use mesoscope_discover::runtime::{RuntimeEvent, Watch};

struct Containerd(Child);

impl Containerd {
    fn start(folder: &Path, socket: &Path) -> Self {
        let config = folder.join("config.toml");
        let text = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n[grpc]\naddress = {socket:?}\n\
             [debug]\naddress = {debug:?}\n",
            root = folder.join("root"),
            state = folder.join("state"),
            debug = folder.join("debug.sock"),
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

async fn next<T>(watch: &mut Watch, wanted: impl Fn(RuntimeEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = watch.events.recv().await.expect("the watcher runs on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), search).await;
    found.expect("told within 30 s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_containerd_answers_and_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("containerd.sock");
    let mut watch = watch(CriConfig {
        socket: Some(socket.clone()),
        poll_interval: Duration::from_millis(200),
        ..CriConfig::default()
    });
    for round in 1..=2 {
        let containerd = Containerd::start(folder.path(), &socket);
        let (runtime, version) = next(&mut watch, |event| match event {
            RuntimeEvent::Connected { runtime, version } => Some((runtime, version)),
            _ => None,
        })
        .await;
        assert_eq!(runtime, "containerd");
        assert!(version.contains('.'), "{version}");
        for _ in 0..2 {
            next(&mut watch, |event| {
                matches!(event, RuntimeEvent::Listed { containers: 0 }).then_some(())
            })
            .await;
        }
        assert_eq!(watch.stats.connects_total(), round);
        assert_eq!(watch.stats.errors_total(), 0);
        assert!(watch.stats.capability("cri").available);
        drop(containerd);
        next(&mut watch, |event| {
            matches!(event, RuntimeEvent::Disconnected { .. }).then_some(())
        })
        .await;
    }
}
