//! A network namespace of the test's own.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Removed when this is dropped.
pub struct TestNamespace {
    name: String,
}

impl TestNamespace {
    pub fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mesoscope-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name]);
        Self { name }
    }

    pub fn link(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn inode(&self) -> u64 {
        std::fs::metadata(self.link())
            .expect("made by ip netns")
            .ino()
    }

    /// `ip ARGUMENTS` inside.
    pub fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name], arguments].concat());
    }

    /// A command inside.
    pub fn run(&self, command: &[&str]) {
        run("ip", &[&["netns", "exec", &self.name], command].concat());
    }

    /// Work on a thread inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.link()).expect("made by ip netns");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter");
                work()
            });
            thread.join().expect("the work inside")
        })
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.name]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (root and iproute2?)"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
