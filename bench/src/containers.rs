//! Containers for the workloads, made here: no image is pulled.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const IMAGE: &str = "mesoscope-bench:local";
const APPLETS: [&str; 6] = ["sh", "httpd", "wget", "sleep", "true", "usleep"];

/// The Docker engine, where one answers.
#[derive(Clone, Debug)]
pub struct Docker;

impl Docker {
    /// The engine, with the image of the benches loaded; None where no engine answers.
    pub fn connect(actor: &Path) -> Result<Option<Self>> {
        let answers = Command::new("docker")
            .args(["version", "--format", "{{.Server.Version}}"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !answers {
            return Ok(None);
        }
        remove_leftovers()?;
        import_image(actor).context("making the image of the benches")?;
        Ok(Some(Self))
    }

    /// Starts a container in the background.
    pub fn run(&self, options: &[&str], command: &[&str]) -> Result<Container> {
        let mut arguments = vec!["run", "--detach", "--label", "mesoscope-bench"];
        arguments.extend(options);
        arguments.push(IMAGE);
        arguments.extend(command);
        let mut container = Container {
            id: docker(&arguments)?,
            pid: 0,
            address: String::new(),
        };
        let format = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let inspected = docker(&["inspect", "--format", format, &container.id])?;
        let (pid, address) = inspected.split_once(' ').unwrap_or((&inspected, ""));
        container.pid = pid.parse()?;
        address.clone_into(&mut container.address);
        Ok(container)
    }
}

/// A running container; it is removed when this is dropped.
pub struct Container {
    /// Full id.
    pub id: String,
    /// Pid of its first process in the host's namespace.
    pub pid: u32,
    /// Its address in its network, if any.
    pub address: String,
}

impl Container {
    /// Waits for its first process to end.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        while Path::new(&format!("/proc/{}", self.pid)).exists() {
            if started.elapsed() > limit {
                bail!("container {} still runs after {limit:?}", self.id);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", &self.id]);
    }
}

fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .context("starting docker")?;
    if !output.status.success() {
        bail!(
            "docker {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Removes what a bench that was killed has left: its containers that no longer run, and the image,
/// which would stay without a name beside the new one.
fn remove_leftovers() -> Result<()> {
    let mut list = vec![
        "ps",
        "--all",
        "--quiet",
        "--filter",
        "label=mesoscope-bench",
    ];
    list.extend(["--filter", "status=exited", "--filter", "status=created"]);
    let ended = docker(&list)?;
    if !ended.is_empty() {
        let mut remove = vec!["rm", "--force"];
        remove.extend(ended.lines());
        docker(&remove)?;
    }
    // Refused where there is none, or where a bench that still runs uses it.
    let _ = docker(&["image", "rm", IMAGE]);
    Ok(())
}

/// Busybox, the actor and the libraries that it is linked with.
fn import_image(actor: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    let bin = root.path().join("bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::create_dir_all(root.path().join("www"))?;
    std::fs::write(root.path().join("www/index.html"), "hello\n")?;
    let busybox = static_busybox()?;
    std::fs::copy(&busybox, bin.join("busybox"))?;
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", bin.join(applet))?;
    }
    std::fs::copy(actor, bin.join("actor"))?;
    for library in libraries(actor)? {
        let inside = root.path().join(library.strip_prefix("/")?);
        std::fs::create_dir_all(inside.parent().context("a library is in a folder")?)?;
        std::fs::copy(&library, inside)?;
    }
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(root.path())
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting tar")?;
    let archive = tar.stdout.take().context("the archive is piped")?;
    let status = Command::new("docker")
        .args(["import", "--change", "ENV PATH=/bin", "-", IMAGE])
        .stdin(archive)
        .stdout(Stdio::null())
        .status()?;
    if !status.success() || !tar.wait()?.success() {
        bail!("docker import failed");
    }
    Ok(())
}

fn static_busybox() -> Result<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .context("busybox is not installed: `apt-get install busybox-static`")
}

/// The shared libraries of a program, its loader included; none where it is static.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("starting ldd")?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// The servers and clients of the standard workload.
pub struct Servers {
    clients: Vec<Container>,
    servers: Vec<Container>,
}

impl Servers {
    /// `count` busybox httpd and as many clients that fetch from all of them in turn, with a pause
    /// of 100 ms after each.
    pub fn start(docker: &Docker, count: usize) -> Result<Self> {
        let servers: Vec<Container> = (0..count)
            .map(|_| docker.run(&[], &["httpd", "-f", "-p", "8080", "-h", "/www"]))
            .collect::<Result<_>>()?;
        let addresses: Vec<&str> = servers
            .iter()
            .map(|server| server.address.as_str())
            .collect();
        let script = format!(
            "while true; do for a in {}; do wget -q -O /dev/null http://$a:8080/; usleep 100000; done; done",
            addresses.join(" ")
        );
        let clients = (0..count)
            .map(|_| docker.run(&[], &["sh", "-c", &script]))
            .collect::<Result<_>>()?;
        Ok(Self { clients, servers })
    }

    /// Starts all of them again, the servers first and in their order, so that each gets the
    /// address that it had.
    pub fn restart(&self) -> Result<()> {
        for container in self.servers.iter().chain(&self.clients) {
            start_again(&container.id)?;
        }
        Ok(())
    }
}

/// An engine that has just come up may still be clearing the container's last task away.
fn start_again(id: &str) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    loop {
        match docker(&["start", id]) {
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
            Ok(_) => return Ok(()),
        }
    }
}

/// Runs a container that ends at once.
pub fn run_once() -> Result<()> {
    docker(&["run", "--rm", "--label", "mesoscope-bench", IMAGE, "true"]).map(drop)
}

/// A child that is ended when this is dropped.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
