//! Against the real engine on the usual socket. Fails where there is none: start `dockerd`.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{TestContainer, docker, next_matching, next_state, until_listed, until_removed};
use mesoscope_capture::event::ProcessId;
use mesoscope_discover::cgroups::{CgroupTree, ContainerSampler, ContainerTarget, limits};
use mesoscope_discover::docker::{DockerConfig, watch};
use mesoscope_discover::paths::Paths;
use mesoscope_discover::processes::ProcessReader;
use mesoscope_discover::runtime::RuntimeEvent;
use mesoscope_proto::v1::{Container, ContainerState, KeyValue};
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

fn is(state: ContainerState) -> impl Fn(&Container) -> bool {
    move |container| container.state() == state && !container.image_id.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_from_start_to_removal() {
    let mut watch = watch(DockerConfig::default());
    until_listed(&mut watch).await;
    let capability = watch.stats.capability("docker");
    assert!(capability.available, "{capability:?}");
    assert!(capability.provider.starts_with("docker "), "{capability:?}");

    let name = format!("mesoscope-discover-{}", std::process::id());
    let options = [
        "--name",
        &name,
        "--label",
        "tier=web",
        "--env",
        "GREETING=hello=world",
        "--memory",
        "64m",
        "--cpus",
        "0.1",
        "--pids-limit",
        "40",
        "--publish",
        "127.0.0.1::80",
        "--volume",
        "/tmp:/data:ro",
        "--label",
        "io.kubernetes.pod.name=web-0",
        "--hostname",
        "webhost",
    ];
    let container = TestContainer::run(&options, &["/bin/sleep", "600"]);
    let early = next_state(&mut watch, &container.id, |_| true).await;
    assert_eq!(
        (early.name.as_str(), early.image.as_str()),
        (name.as_str(), common::IMAGE)
    );

    let running = next_state(&mut watch, &container.id, is(ContainerState::Running)).await;
    assert_eq!(running.name, name);
    assert_eq!(running.image, common::IMAGE);
    assert!(running.image_id.starts_with("sha256:"));
    assert!(running.started_unix_ns >= running.created_unix_ns && running.created_unix_ns > 0);
    assert_eq!(running.finished_unix_ns, 0);
    let label = KeyValue {
        key: "tier".into(),
        value: "web".into(),
    };
    assert!(running.labels.contains(&label), "{:?}", running.labels);
    let variable = KeyValue {
        key: "GREETING".into(),
        value: "hello=world".into(),
    };
    assert!(running.environment.contains(&variable));
    assert_eq!(running.ports.len(), 1, "{:?}", running.ports);
    assert_eq!(running.ports[0].container_port, 80);
    assert!(running.ports[0].host_port > 0);
    assert!(
        running
            .mounts
            .iter()
            .any(|mount| mount.destination == "/data" && mount.read_only)
    );
    assert_eq!(running.addresses.len(), 1);
    assert_eq!(running.command, ["/bin/sleep", "600"]);
    assert_eq!(running.hostname, "webhost");
    assert_eq!(running.pod_name, "web-0");
    let allowed = running.limits.expect("the engine tells limits");
    assert!((allowed.cpus - 0.1).abs() < 1e-9);
    assert_eq!((allowed.memory_bytes, allowed.pids), (64 << 20, 40));

    assert_the_kernel_agrees(&container, &running);

    docker(&["rename", &container.id, &format!("{name}-b")]);
    next_state(&mut watch, &container.id, |found| {
        found.name.ends_with("-b")
    })
    .await;
    docker(&["pause", &container.id]);
    next_state(&mut watch, &container.id, is(ContainerState::Paused)).await;
    docker(&["unpause", &container.id]);
    next_state(&mut watch, &container.id, is(ContainerState::Running)).await;
    docker(&["stop", "--time", "0", &container.id]);
    let exited = next_state(&mut watch, &container.id, is(ContainerState::Exited)).await;
    assert_eq!(exited.exit_code, 137);
    assert!(exited.finished_unix_ns > exited.started_unix_ns);
    docker(&["rm", &container.id]);
    until_removed(&mut watch, &container.id).await;
    assert!(watch.stats.events_total() >= 6);
    assert_eq!(watch.stats.errors_total(), 0);
}

/// Cgroup tree, process reader and sampler see the container that the engine told of.
fn assert_the_kernel_agrees(container: &TestContainer, told: &Container) {
    let paths = Paths::default();
    let mut tree = CgroupTree::discover(&paths).expect("cgroups are mounted");
    let found = tree
        .container_by_id(&container.id)
        .expect("the container has a cgroup")
        .clone();
    assert_eq!(tree.path(found.cgroup_id), Some(found.path.as_str()));
    assert_eq!(limits(&found), told.limits.expect("told"));

    let pid = container.pid();
    let mut reader = ProcessReader::new(&paths);
    let processes = reader.snapshot(&tree).expect("a procfs").processes;
    let process = processes
        .iter()
        .find(|process| process.key.is_some_and(|key| key.pid == pid))
        .expect("the container's first process");
    assert_eq!(process.container_id, container.id);
    assert_eq!(process.cgroup_id, found.cgroup_id);
    assert_eq!(process.namespaced_pid, 1);
    assert_eq!(process.argv, ["/bin/sleep", "600"]);
    assert!(
        process.executable.ends_with("/bin/busybox"),
        "{}",
        process.executable
    );
    let key = process.key.expect("set");
    let id = ProcessId {
        pid,
        start_boottime_ns: key.start_boottime_ns,
    };
    let details = reader.details(id, &tree).expect("it lives");
    assert_eq!(details.container_id, container.id);
    assert!(details.parent.is_some());
    let another = ProcessId {
        start_boottime_ns: key.start_boottime_ns + 10_000_000,
        ..id
    };
    assert_eq!(reader.details(another, &tree), None);

    // Work without end: the limit of a tenth of a core holds it back, also on a busy machine.
    let spin = "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done";
    docker(&["exec", "--detach", &container.id, "/bin/sh", "-c", spin]);
    let mut sampler = ContainerSampler::new(&paths);
    let targets = [ContainerTarget {
        container: found.clone(),
        pid: Some(pid),
    }];
    let mut metrics = Vec::new();
    sampler.sample(&targets, &mut metrics);
    std::thread::sleep(Duration::from_secs(2));
    sampler.sample(&targets, &mut metrics);
    let [metrics] = metrics.as_slice() else {
        panic!("one container");
    };
    assert!((0.02..0.2).contains(&metrics.cpu_cores_used), "{metrics:?}");
    assert!(metrics.cpu_throttled_fraction > 0.2, "{metrics:?}");
    assert!(
        metrics.memory_used_bytes > 0 && metrics.processes >= 2,
        "{metrics:?}"
    );

    let removed = tree
        .removed(found.cgroup_id)
        .expect("the container's own cgroup");
    assert_eq!(removed.id, container.id);
    assert!(tree.created(found.cgroup_id, &found.path).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_killed_for_want_of_memory() {
    let mut watch = watch(DockerConfig::default());
    until_listed(&mut watch).await;
    let hungry = ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M"];
    let options = ["--memory", "16m", "--memory-swap", "16m"];
    let container = TestContainer::run(&options, &hungry);
    let exited = next_state(&mut watch, &container.id, is(ContainerState::Exited)).await;
    assert_eq!(exited.exit_code, 137);
    // An engine that hears of the end before it hears of the kill forgets to say so; the agent knows
    // it from the kernel. Here it is told as the engine has it, also when that comes late.
    let says = docker(&["inspect", "--format", "{{.State.OOMKilled}}", &container.id]);
    if says == "true" && !exited.oom_killed {
        next_state(&mut watch, &container.id, |found| found.oom_killed).await;
    } else {
        assert_eq!(exited.oom_killed.to_string(), says);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_a_moment_keeps_its_name() {
    let mut watch = watch(DockerConfig::default());
    until_listed(&mut watch).await;
    common::make_image();
    let name = format!("mesoscope-moment-{}", std::process::id());
    docker(&[
        "run",
        "--rm",
        "--name",
        &name,
        "--label",
        "a=b",
        common::IMAGE,
        "/bin/sh",
        "-c",
        "exit 0",
    ]);
    let told = next_matching(&mut watch, |event| match event {
        RuntimeEvent::Upsert(container) if container.name == name => Some(container.clone()),
        _ => None,
    })
    .await;
    assert_eq!(told.image, common::IMAGE);
    assert_eq!(
        told.labels,
        [KeyValue {
            key: "a".into(),
            value: "b".into()
        }]
    );
    until_removed(&mut watch, &told.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_and_returns() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let mut watch = watch(DockerConfig {
        socket: socket.clone(),
        ..DockerConfig::default()
    });
    let missing = next_matching(&mut watch, disconnected).await;
    assert!(missing.contains("does not exist"), "{missing}");
    assert!(!watch.stats.capability("docker").available);

    let proxy = Proxy::start(&socket);
    until_listed(&mut watch).await;
    let stays = TestContainer::run(&[], &["/bin/sleep", "600"]);
    let goes = TestContainer::run(&[], &["/bin/sleep", "600"]);
    next_state(&mut watch, &stays.id, is(ContainerState::Running)).await;
    next_state(&mut watch, &goes.id, is(ContainerState::Running)).await;

    proxy.stop();
    next_matching(&mut watch, disconnected).await;
    docker(&["rm", "--force", &goes.id]);
    docker(&["kill", &stays.id]);
    let proxy = Proxy::start(&socket);
    let (mut exited, mut removed) = (false, false);
    next_matching(&mut watch, |event| {
        match event {
            RuntimeEvent::Upsert(found) if found.id == stays.id => {
                exited = found.state() == ContainerState::Exited;
            }
            RuntimeEvent::Removed { id } if *id == goes.id => removed = true,
            RuntimeEvent::Listed { .. } => return Some(()),
            _ => {}
        }
        None
    })
    .await;
    assert!(exited && removed, "exited: {exited}, removed: {removed}");
    assert_eq!(watch.stats.connects_total(), 2);
    assert_eq!(watch.stats.disconnects_total(), 1);
    proxy.stop();
}

fn disconnected(event: &RuntimeEvent) -> Option<String> {
    match event {
        RuntimeEvent::Disconnected { reason } => Some(reason.clone()),
        _ => None,
    }
}

/// Stands for an engine that can be stopped without harm to others.
struct Proxy {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Proxy {
    fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a free path");
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.expect("a connection");
                connections.spawn(async move {
                    let mut engine = UnixStream::connect("/var/run/docker.sock")
                        .await
                        .expect("dockerd runs");
                    // Either side may end the connection.
                    let _ = copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        });
        Self {
            socket: socket.to_path_buf(),
            task,
        }
    }

    fn stop(self) {
        self.task.abort();
        std::fs::remove_file(&self.socket).expect("the socket");
    }
}
