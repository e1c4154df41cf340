//! A real Docker engine to test against.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod containerd;
pub mod cri_client;
pub mod namespace;

use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::Duration;

use mesoscope_discover::runtime::{RuntimeEvent, Watch};
use mesoscope_proto::v1::Container;

/// Made of busybox-static, since no registry can be asked.
pub const IMAGE: &str = "mesoscope-discover-test:sleeps";

static IMAGE_MADE: Once = Once::new();

/// Runs `docker` and gives its output; fails with what it said.
pub fn docker(arguments: &[&str]) -> String {
    let output = docker_output(arguments);
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn docker_output(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).output();
    output.expect("docker is installed (Debian: docker.io)")
}

/// Makes the image, once.
pub fn make_image() {
    IMAGE_MADE.call_once(|| {
        let known = docker_output(&["image", "inspect", IMAGE]);
        if known.status.success() {
            return;
        }
        let root = tempfile::tempdir().expect("a folder");
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        std::fs::copy("/bin/busybox", bin.join("busybox"))
            .expect("a static busybox (Debian: busybox-static)");
        for applet in ["sh", "sleep", "dd", "httpd", "wget", "ip", "nc", "cat"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
        }
        let mut tar = Command::new("tar")
            .args(["-C", root.path().to_str().expect("UTF-8"), "-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar is installed");
        let import = Command::new("docker")
            .args([
                "import",
                "--change",
                "CMD [\"/bin/sleep\", \"600\"]",
                "-",
                IMAGE,
            ])
            .stdin(tar.stdout.take().expect("piped"))
            .output()
            .expect("docker is installed (Debian: docker.io)");
        assert!(tar.wait().expect("tar ends").success());
        assert!(
            import.status.success(),
            "docker import: {}",
            String::from_utf8_lossy(&import.stderr)
        );
    });
}

/// A container that is removed when this is dropped.
pub struct TestContainer {
    pub id: String,
}

impl TestContainer {
    /// `docker run --detach OPTIONS IMAGE COMMAND`.
    pub fn run(options: &[&str], command: &[&str]) -> Self {
        make_image();
        let arguments = [&["run", "--detach"], options, &[IMAGE], command].concat();
        Self {
            id: docker(&arguments),
        }
    }

    pub fn pid(&self) -> u32 {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &self.id]);
        pid.parse().expect("a pid")
    }
}

impl Drop for TestContainer {
    fn drop(&mut self) {
        docker_output(&["rm", "--force", &self.id]);
    }
}

/// The next event that `wanted` accepts; fails after 30 s with what came instead.
pub async fn next_matching<T>(
    watch: &mut Watch,
    mut wanted: impl FnMut(&RuntimeEvent) -> Option<T>,
) -> T {
    let mut others = Vec::new();
    let search = async {
        loop {
            let event = watch.events.recv().await.expect("the watcher runs on");
            if let Some(found) = wanted(&event) {
                return found;
            }
            others.push(summary(&event));
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), search).await;
    found.unwrap_or_else(|_| panic!("not told within 30 s; instead: {others:#?}"))
}

/// The next state of container `id` that `wanted` accepts.
pub async fn next_state(
    watch: &mut Watch,
    id: &str,
    wanted: impl Fn(&Container) -> bool,
) -> Container {
    next_matching(watch, |event| match event {
        RuntimeEvent::Upsert(container) if container.id == id && wanted(container) => {
            Some((**container).clone())
        }
        _ => None,
    })
    .await
}

pub async fn until_listed(watch: &mut Watch) {
    let listed = |event: &RuntimeEvent| matches!(event, RuntimeEvent::Listed { .. }).then_some(());
    next_matching(watch, listed).await;
}

pub async fn until_removed(watch: &mut Watch, removed_id: &str) {
    next_matching(watch, |event| {
        matches!(event, RuntimeEvent::Removed { id } if id == removed_id).then_some(())
    })
    .await;
}

fn summary(event: &RuntimeEvent) -> String {
    match event {
        RuntimeEvent::Upsert(container) => {
            format!(
                "{} {} {:?}",
                container.id,
                container.name,
                container.state()
            )
        }
        other => format!("{other:?}"),
    }
}
