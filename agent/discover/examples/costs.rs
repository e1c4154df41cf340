//! What each sampler costs per pass, in CPU time of this process: `cargo run --release -p
//! mesoscope-discover --example costs`. Needs root (it makes cgroups) and some 10,000 descriptors.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, hierarchies};
use mesoscope_capture::event::ProcessId;
use mesoscope_discover::cgroups::{
    CgroupTree, ContainerCgroup, ContainerSampler, ContainerTarget, Hierarchy,
};
use mesoscope_discover::host::{HostSampler, host};
use mesoscope_discover::paths::Paths;
use mesoscope_discover::processes::{ProcessReader, ProcessSampler, SamplerLimits};
use mesoscope_discover::sock_diag::SockDiag;
use rustix::time::{ClockId, clock_gettime};

const PROCESSES: usize = 1000;
const CONTAINERS: usize = 50;
const CONNECTIONS: usize = 2000;
const PASSES: u32 = 21;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths = Paths::default();
    println!(
        "{PROCESSES} processes, {CONTAINERS} containers, {CONNECTIONS} connections (both ends); median of {PASSES}"
    );
    processes(&paths)?;
    machine(&paths)?;
    containers(&paths)?;
    sockets(&paths)?;
    Ok(())
}

fn processes(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        children.push(Command::new("sleep").arg("600").spawn()?);
    }
    let tree = CgroupTree::discover(paths)?;
    let mut reader = ProcessReader::new(paths);
    let snapshot = reader.snapshot(&tree)?;
    let count = snapshot.processes.len();
    measure(&format!("processes: snapshot of {count}"), || {
        reader.snapshot(&tree).map(drop)
    })?;
    let ids: Vec<ProcessId> = snapshot
        .processes
        .iter()
        .filter_map(|process| process.key)
        .map(|key| ProcessId {
            pid: key.pid,
            start_boottime_ns: key.start_boottime_ns,
        })
        .collect();
    let mut sampler = ProcessSampler::new(&paths.proc, SamplerLimits::default())?;
    let mut out = Vec::new();
    measure(&format!("processes: sample of {count}"), || {
        sampler.sample(ids.iter().copied(), &mut out);
        Ok::<_, std::io::Error>(())
    })?;
    children.iter_mut().try_for_each(end)?;
    Ok(())
}

fn end(child: &mut Child) -> std::io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

fn machine(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    measure("host: what it is", || {
        std::hint::black_box(host(paths));
        Ok::<_, std::io::Error>(())
    })?;
    let mut sampler = HostSampler::new(paths);
    measure("host: sample", || sampler.sample().map(drop))?;
    Ok(())
}

fn containers(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    let made = MadeCgroups::make(&paths.cgroup)?;
    let mut tree = CgroupTree::discover(paths)?;
    let cgroups = tree.len();
    measure(&format!("cgroups: walk of {cgroups}"), || {
        tree.refresh().map(drop)
    })?;
    let pid = std::process::id();
    let targets: Vec<ContainerTarget> = made
        .paths
        .iter()
        .map(|path| ContainerTarget {
            container: Arc::new(ContainerCgroup {
                id: path.trim_start_matches('/').to_owned(),
                runtime: "docker",
                cgroup_id: 1,
                path: path.clone(),
                hierarchy: Hierarchy::Unified,
            }),
            pid: Some(pid),
        })
        .collect();
    let mut sampler = ContainerSampler::new(paths);
    let mut out = Vec::new();
    measure(&format!("containers: sample of {CONTAINERS}"), || {
        sampler.sample(&targets, &mut out);
        Ok::<_, std::io::Error>(())
    })?;
    measure(
        &format!("containers: {CONTAINERS} by cgroups-rs, loaded before"),
        {
            let loaded: Vec<Cgroup> = made.paths.iter().map(|path| load(path)).collect();
            move || {
                loaded.iter().for_each(figures);
                Ok::<_, std::io::Error>(())
            }
        },
    )?;
    Ok(())
}

fn load(path: &str) -> Cgroup {
    Cgroup::load(hierarchies::auto(), path.trim_start_matches('/'))
}

fn figures(cgroup: &Cgroup) {
    if let Some(memory) = cgroup.controller_of::<MemController>() {
        memory.memory_stat();
    }
    if let Some(cpu) = cgroup.controller_of::<CpuAcctController>() {
        cpu.cpuacct();
    }
    if let Some(pids) = cgroup.controller_of::<PidController>() {
        // A kernel without the controller has no figure.
        let _ = pids.get_pid_current();
    }
}

fn sockets(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(TcpStream::connect(address)?);
        open.push(listener.accept()?.0);
    }
    let mut diag = SockDiag::new(paths)?;
    let count = diag.sockets()?.sockets.len();
    measure(&format!("sock_diag: {count} sockets, owners known"), || {
        diag.sockets().map(drop)
    })?;
    measure(
        &format!("sock_diag: {count} sockets, owners searched"),
        || SockDiag::new(paths)?.sockets().map(drop),
    )?;
    Ok(())
}

/// Cgroups in every hierarchy, removed when this is dropped.
struct MadeCgroups {
    folders: Vec<PathBuf>,
    paths: Vec<String>,
}

impl MadeCgroups {
    fn make(root: &Path) -> std::io::Result<Self> {
        let mut made = Self {
            folders: Vec::new(),
            paths: Vec::new(),
        };
        let hierarchies: Vec<PathBuf> = if root.join("cgroup.controllers").exists() {
            vec![root.to_path_buf()]
        } else {
            let entries = fs::read_dir(root)?.flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.map(|entry| entry.path()).collect()
        };
        for number in 0..CONTAINERS {
            let name = format!("{number:064x}");
            for hierarchy in &hierarchies {
                let folder = hierarchy.join(&name);
                fs::create_dir(&folder)?;
                made.folders.push(folder);
            }
            made.paths.push(format!("/{name}"));
        }
        Ok(made)
    }
}

impl Drop for MadeCgroups {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = fs::remove_dir(folder) {
                eprintln!("{} stays behind: {error}", folder.display());
            }
        }
    }
}

/// Prints the median CPU time of `PASSES` runs.
fn measure<E>(name: &str, mut work: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let mut times = Vec::new();
    for _ in 0..PASSES {
        let before = cpu_time();
        work()?;
        times.push(cpu_time().saturating_sub(before));
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("{name}: {:.3} ms", median.as_secs_f64() * 1e3);
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
