//! The thread for everything that blocks: `/proc`, cgroup files, sock_diag.

use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use mesoscope_capture::{Clock, MonoNs, ProcessId, Socket};
use mesoscope_discover::cgroups::{CgroupTree, ContainerSampler, ContainerTarget};
use mesoscope_discover::host::{self, HostSampler};
use mesoscope_discover::paths::Paths;
use mesoscope_discover::processes::{ProcessReader, ProcessSampler, SamplerLimits};
use mesoscope_discover::sock_diag::SockDiag;
use mesoscope_proto::v1;
use tokio::sync::mpsc;

use super::duties::thread_cpu;

/// Requests that wait at most; the driver asks for each thing only when the last answer came.
const REQUESTS_MAX: usize = 16;

/// What the reader is asked for.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Request {
    Processes,
    Details(Vec<ProcessId>),
    ProcessMetrics(Vec<ProcessId>),
    ContainerMetrics(Vec<ContainerTarget>),
    HostMetrics,
    Host,
    Sockets,
}

/// What it read, and the CPU time that it took.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Answer {
    /// Every process, or none when they could not be read; the reading began and ended then.
    Processes {
        began: MonoNs,
        ended: MonoNs,
        processes: Option<Vec<v1::Process>>,
    },
    Details(Vec<v1::Process>),
    ProcessMetrics(Vec<v1::ProcessMetrics>),
    ContainerMetrics(Vec<v1::ContainerMetrics>),
    HostMetrics(Option<Box<v1::HostMetrics>>),
    Host(Box<v1::Host>),
    /// Sockets by sock_diag, where the kernel programs give none.
    Sockets {
        began: MonoNs,
        ended: MonoNs,
        sockets: Option<Vec<Socket>>,
    },
}

/// The driver's side.
#[derive(Debug)]
pub struct Reader {
    requests: std_mpsc::SyncSender<Request>,
    /// Answers with the CPU time that each took, in the order of the requests.
    pub answers: mpsc::Receiver<(Answer, Duration)>,
}

impl Reader {
    /// Starts the thread. It ends with the reader.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(paths: Paths) -> std::io::Result<Self> {
        let (requests, requested) = std_mpsc::sync_channel(REQUESTS_MAX);
        let (answer, answers) = mpsc::channel(REQUESTS_MAX);
        std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || Files::new(&paths).serve(&requested, &answer))?;
        Ok(Self { requests, answers })
    }

    /// Asks. False when too much waits already; then it has to be asked again later.
    pub fn ask(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }
}

struct Files {
    paths: Paths,
    tree: Option<CgroupTree>,
    processes: ProcessReader,
    process_metrics: Option<ProcessSampler>,
    containers: ContainerSampler,
    host: HostSampler,
    sockets: Option<SockDiag>,
}

impl Files {
    fn new(paths: &Paths) -> Self {
        let note = |what: &'static str| move |error: mesoscope_discover::Error| tracing::warn!(%error, "{what}");
        Self {
            paths: paths.clone(),
            tree: CgroupTree::discover(paths)
                .map_err(note("no cgroup tree"))
                .ok(),
            processes: ProcessReader::new(paths),
            process_metrics: ProcessSampler::new(&paths.proc, SamplerLimits::default())
                .map_err(note("no process metrics"))
                .ok(),
            containers: ContainerSampler::new(paths),
            host: HostSampler::new(paths),
            sockets: None,
        }
    }

    fn serve(
        mut self,
        requested: &std_mpsc::Receiver<Request>,
        answers: &mpsc::Sender<(Answer, Duration)>,
    ) {
        while let Ok(request) = requested.recv() {
            // On a busy machine most of the time that it takes is not its own.
            let before = thread_cpu();
            let answer = self.answer(request);
            let cost = thread_cpu().saturating_sub(before);
            if answers.blocking_send((answer, cost)).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Processes => self.all_processes(),
            Request::Details(ids) => Answer::Details(self.details(ids)),
            Request::ProcessMetrics(ids) => {
                let mut metrics = Vec::new();
                if let Some(sampler) = &mut self.process_metrics {
                    sampler.sample(ids, &mut metrics);
                }
                Answer::ProcessMetrics(metrics)
            }
            Request::ContainerMetrics(targets) => {
                let mut metrics = Vec::new();
                self.containers.sample(&targets, &mut metrics);
                Answer::ContainerMetrics(metrics)
            }
            Request::HostMetrics => Answer::HostMetrics(self.host.sample().ok().map(Box::new)),
            Request::Host => Answer::Host(Box::new(host::host(&self.paths))),
            Request::Sockets => self.all_sockets(),
        }
    }

    fn all_processes(&mut self) -> Answer {
        let began = Clock::now_mono_ns();
        if let Some(Err(error)) = self.tree.as_mut().map(CgroupTree::refresh) {
            tracing::warn!(%error, "the cgroup tree could not be walked");
        }
        let read = self.tree.as_ref().map(|tree| self.processes.snapshot(tree));
        let processes = match read {
            Some(Ok(snapshot)) => Some(snapshot.processes),
            Some(Err(error)) => {
                tracing::warn!(%error, "processes could not be read");
                None
            }
            None => None,
        };
        Answer::Processes {
            began,
            ended: Clock::now_mono_ns(),
            processes,
        }
    }

    fn details(&mut self, ids: Vec<ProcessId>) -> Vec<v1::Process> {
        let Some(tree) = &self.tree else {
            return Vec::new();
        };
        ids.into_iter()
            .filter_map(|id| self.processes.details(id, tree))
            .collect()
    }

    fn all_sockets(&mut self) -> Answer {
        let began = Clock::now_mono_ns();
        if self.sockets.is_none() {
            self.sockets = SockDiag::new(&self.paths)
                .map_err(|error| tracing::warn!(%error, "no sock_diag"))
                .ok();
        }
        let pass = self.sockets.as_mut().map(SockDiag::sockets);
        let sockets = match pass {
            Some(Ok(pass)) => Some(pass.sockets),
            Some(Err(error)) => {
                tracing::warn!(%error, "sockets could not be read");
                None
            }
            None => None,
        };
        Answer::Sockets {
            began,
            ended: Clock::now_mono_ns(),
            sockets,
        }
    }
}
