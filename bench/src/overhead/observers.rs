//! What can be attached to the work and taken off it again.

use anyhow::{Context, Result, bail};
use mesoscope_capture::{Capture, CaptureConfig, Tier2};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a consumer empties the ring buffer, as the agent does.
const DRAIN_EVERY: Duration = Duration::from_millis(75);

/// Something that watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observer {
    /// Nothing: the control of the method.
    Nothing,
    /// Our kernel programs, always-on tiers.
    Tiers01,
    /// Ours with the per-packet hooks.
    Tier2,
    /// Debian's libbpf-tools: each exec.
    Execsnoop,
    /// Debian's libbpf-tools: each end of a TCP connection.
    Tcplife,
}

impl Observer {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "control",
            Self::Tiers01 => "tiers_0_1",
            Self::Tier2 => "tier_2",
            Self::Execsnoop => "execsnoop",
            Self::Tcplife => "tcplife",
        }
    }

    /// Says why it cannot be attached on this machine, where it can't.
    pub fn missing(self) -> Option<String> {
        match self.attach() {
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// Attaches it; it is detached when the answer is dropped.
    pub fn attach(self) -> Result<Attached> {
        Ok(match self {
            Self::Nothing => Attached::Nothing,
            Self::Tiers01 => Attached::Ours(Consumer::start(Tier2::Off)?),
            Self::Tier2 => Attached::Ours(Consumer::start(Tier2::Node)?),
            Self::Execsnoop => Attached::Peer(Peer::start("execsnoop", 2)?),
            Self::Tcplife => Attached::Peer(Peer::start("tcplife", 1)?),
        })
    }
}

/// An observer at work.
pub enum Attached {
    /// Nothing is attached.
    Nothing,
    /// Our capture.
    Ours(Consumer),
    /// Another's tool.
    Peer(Peer),
}

impl Attached {
    /// CPU time that the observer's own process or thread has used.
    pub fn cpu(&self) -> Result<Duration> {
        match self {
            Self::Nothing => Ok(Duration::ZERO),
            Self::Ours(consumer) => consumer.cpu(),
            Self::Peer(peer) => crate::usage::process_cpu(peer.0.id()),
        }
    }
}

/// Our capture, and the thread that empties its ring buffer.
pub struct Consumer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    thread_id: i32,
}

impl Consumer {
    fn start(tier2: Tier2) -> Result<Self> {
        let config = CaptureConfig {
            tier2: tier2.clone(),
            events_per_second_per_cgroup: 1_000_000,
            ..CaptureConfig::default()
        };
        let mut capture = Capture::start(&config)?;
        let wanted: &[&str] = if tier2 == Tier2::Off {
            &["process-events", "tcp-events", "connect-pid"]
        } else {
            &["udp-bytes", "protocol-recognition"]
        };
        for name in wanted {
            let capability = capture
                .capabilities()
                .into_iter()
                .find(|capability| capability.name == *name);
            let capability =
                capability.with_context(|| format!("the capture does not know {name}"))?;
            if !capability.available {
                bail!("{name}: {}", capability.reason);
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let (tell, asked) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let _ = tell.send(rustix::thread::gettid().as_raw_nonzero().get());
            while !told.load(Ordering::Relaxed) {
                capture.drain(&mut |event| {
                    std::hint::black_box(&event);
                });
                std::thread::park_timeout(DRAIN_EVERY);
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
            thread_id: asked.recv()?,
        })
    }

    fn cpu(&self) -> Result<Duration> {
        crate::usage::thread_cpu(self.thread_id)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// A tool of libbpf-tools.
pub struct Peer(Child);

impl Peer {
    /// Starts it and waits until its programs are attached: it opens its event poll after that.
    fn start(name: &str, links: usize) -> Result<Self> {
        let path = ["/usr/sbin", "/usr/bin"]
            .into_iter()
            .map(|folder| PathBuf::from(folder).join(name))
            .find(|path| path.is_file())
            .with_context(|| format!("{name} is not installed: `apt-get install libbpf-tools`"))?;
        let mut child = Command::new(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let begun = Instant::now();
        while !attached(child.id(), links) {
            if child.try_wait()?.is_some() || begun.elapsed() > Duration::from_secs(5) {
                let _ = child.kill();
                let output = child.wait_with_output()?;
                bail!(
                    "{name} did not attach (is tracefs mounted at /sys/kernel/tracing?): {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self(child))
    }
}

fn attached(pid: u32, links: usize) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let targets: Vec<String> = entries
        .filter_map(|entry| {
            std::fs::read_link(entry.ok()?.path())
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        })
        .collect();
    let count = |wanted: &str| {
        targets
            .iter()
            .filter(|target| target.as_str() == wanted)
            .count()
    };
    count("anon_inode:bpf_link") >= links && count("anon_inode:[eventpoll]") >= 1
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
