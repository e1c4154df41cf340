//! Against a mock runtime on a Unix socket, which speaks the same interface. The real containerd
//! is in `tests/cri.rs`.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::Stream;
use mesoscope_proto::v1::{Container, ContainerState};
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{BroadcastStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::api::runtime_service_server::{RuntimeService, RuntimeServiceServer};
use super::{CriConfig, api, watch};
use crate::runtime::{RuntimeEvent, Watch};

type Answer<T> = Result<Response<T>, Status>;
type Events = Pin<Box<dyn Stream<Item = Result<api::ContainerEventResponse, Status>> + Send>>;

/// A runtime that holds what the test puts into it.
#[derive(Clone, Default)]
struct MockRuntime {
    sandboxes: Arc<Mutex<HashMap<String, api::PodSandboxStatus>>>,
    containers: Arc<Mutex<HashMap<String, (String, api::ContainerStatus)>>>,
    events: Option<broadcast::Sender<api::ContainerEventResponse>>,
}

#[tonic::async_trait]
impl RuntimeService for MockRuntime {
    async fn version(&self, _: Request<api::VersionRequest>) -> Answer<api::VersionResponse> {
        Ok(Response::new(api::VersionResponse {
            runtime_name: "cri-o".to_owned(),
            runtime_version: "1.30.0".to_owned(),
            ..Default::default()
        }))
    }

    async fn list_pod_sandbox(
        &self,
        _: Request<api::ListPodSandboxRequest>,
    ) -> Answer<api::ListPodSandboxResponse> {
        let sandboxes = self.sandboxes.lock().expect("no panic");
        let items = sandboxes.values().map(|status| api::PodSandbox {
            id: status.id.clone(),
            state: status.state,
            ..Default::default()
        });
        let items = items.collect();
        Ok(Response::new(api::ListPodSandboxResponse { items }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<api::PodSandboxStatusRequest>,
    ) -> Answer<api::PodSandboxStatusResponse> {
        let sandboxes = self.sandboxes.lock().expect("no panic");
        let status = sandboxes.get(&request.get_ref().pod_sandbox_id).cloned();
        let status = Some(status.ok_or_else(|| Status::not_found("no such sandbox"))?);
        Ok(Response::new(api::PodSandboxStatusResponse { status }))
    }

    async fn list_containers(
        &self,
        _: Request<api::ListContainersRequest>,
    ) -> Answer<api::ListContainersResponse> {
        let containers = self.containers.lock().expect("no panic");
        let containers = containers.values().map(|(sandbox, status)| api::Container {
            id: status.id.clone(),
            pod_sandbox_id: sandbox.clone(),
            state: status.state,
            ..Default::default()
        });
        let containers = containers.collect();
        Ok(Response::new(api::ListContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<api::ContainerStatusRequest>,
    ) -> Answer<api::ContainerStatusResponse> {
        let containers = self.containers.lock().expect("no panic");
        let found = containers.get(&request.get_ref().container_id).cloned();
        let (_, status) = found.ok_or_else(|| Status::not_found("no such container"))?;
        let info = r#"{"runtimeSpec":{"process":{"args":["nginx"],"env":["A=1"]}}}"#;
        Ok(Response::new(api::ContainerStatusResponse {
            status: Some(status),
            info: HashMap::from([("info".to_owned(), info.to_owned())]),
        }))
    }

    async fn start_container(
        &self,
        _: Request<api::StartContainerRequest>,
    ) -> Answer<api::StartContainerResponse> {
        Err(Status::unimplemented("a mock is watched only"))
    }

    async fn stop_container(
        &self,
        _: Request<api::StopContainerRequest>,
    ) -> Answer<api::StopContainerResponse> {
        Err(Status::unimplemented("a mock is watched only"))
    }

    async fn remove_container(
        &self,
        _: Request<api::RemoveContainerRequest>,
    ) -> Answer<api::RemoveContainerResponse> {
        Err(Status::unimplemented("a mock is watched only"))
    }

    async fn exec(&self, _: Request<api::ExecRequest>) -> Answer<api::ExecResponse> {
        Err(Status::unimplemented("a mock is watched only"))
    }

    async fn attach(&self, _: Request<api::AttachRequest>) -> Answer<api::AttachResponse> {
        Err(Status::unimplemented("a mock is watched only"))
    }

    type GetContainerEventsStream = Events;

    async fn get_container_events(&self, _: Request<api::GetEventsRequest>) -> Answer<Events> {
        let Some(events) = &self.events else {
            return Err(Status::unimplemented("no events"));
        };
        let stream = BroadcastStream::new(events.subscribe());
        let stream =
            stream.map(|event| event.map_err(|lagged| Status::data_loss(lagged.to_string())));
        Ok(Response::new(Box::pin(stream)))
    }
}

impl MockRuntime {
    fn put_pod(&self, sandbox: &str, container: &str, state: api::ContainerState) {
        let status = api::PodSandboxStatus {
            id: sandbox.to_owned(),
            metadata: Some(api::PodSandboxMetadata {
                name: "web-0".to_owned(),
                namespace: "shop".to_owned(),
                ..Default::default()
            }),
            network: Some(api::PodSandboxNetworkStatus {
                ip: "10.1.2.3".to_owned(),
                additional_ips: vec![api::PodIp {
                    ip: "fd00::3".to_owned(),
                }],
            }),
            ..Default::default()
        };
        self.sandboxes
            .lock()
            .expect("no panic")
            .insert(sandbox.to_owned(), status);
        let pod = [
            ("io.kubernetes.pod.name", "web-0"),
            ("io.kubernetes.pod.namespace", "shop"),
        ];
        let status = api::ContainerStatus {
            id: container.to_owned(),
            metadata: Some(api::ContainerMetadata {
                name: "nginx".to_owned(),
                attempt: 2,
            }),
            state: state.into(),
            started_at: 5,
            exit_code: 137,
            reason: "OOMKilled".to_owned(),
            image: Some(api::ImageSpec {
                image: "nginx:1".to_owned(),
                ..Default::default()
            }),
            labels: pod
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Default::default()
        };
        let entry = (sandbox.to_owned(), status);
        self.containers
            .lock()
            .expect("no panic")
            .insert(container.to_owned(), entry);
    }

    fn remove(&self, container: &str) {
        self.containers.lock().expect("no panic").remove(container);
    }

    fn send(&self, container: &str, sandbox: &str, kind: api::ContainerEventType) {
        let status = api::PodSandboxStatus {
            id: sandbox.to_owned(),
            ..Default::default()
        };
        let events = self.events.as_ref().expect("a runtime with events");
        let event = api::ContainerEventResponse {
            container_id: container.to_owned(),
            container_event_type: kind.into(),
            pod_sandbox_status: Some(status),
            ..Default::default()
        };
        events.send(event).expect("somebody listens");
    }

    fn serve(&self, socket: &Path) -> Serving {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let service = RuntimeServiceServer::new(self.clone());
        let socket = socket.to_path_buf();
        runtime.spawn(async move {
            let listener = UnixListener::bind(&socket).expect("a free path");
            let server = Server::builder().add_service(service);
            let connections = UnixListenerStream::new(listener);
            server
                .serve_with_incoming(connections)
                .await
                .expect("it serves");
        });
        Serving(Some(runtime))
    }
}

/// A server on a runtime of its own, so that its end also ends the connections it has.
struct Serving(Option<tokio::runtime::Runtime>);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn start(socket: &Path) -> Watch {
    watch(CriConfig {
        socket: Some(socket.to_path_buf()),
        poll_interval: Duration::from_millis(50),
        ..CriConfig::default()
    })
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
    let found = tokio::time::timeout(Duration::from_secs(20), search).await;
    found.expect("told within 20 s")
}

async fn upserted(watch: &mut Watch, id: &str) -> Container {
    next(watch, |event| match event {
        RuntimeEvent::Upsert(container) if container.id == id => Some(*container),
        _ => None,
    })
    .await
}

async fn removed(watch: &mut Watch, wanted: &str) {
    next(watch, |event| {
        matches!(event, RuntimeEvent::Removed { id } if id == wanted).then_some(())
    })
    .await;
}

fn assert_is_web(container: &Container) {
    assert_eq!(
        (container.name.as_str(), container.runtime.as_str()),
        ("nginx", "cri-o")
    );
    assert_eq!(
        (
            container.pod_name.as_str(),
            container.pod_namespace.as_str()
        ),
        ("web-0", "shop")
    );
    assert_eq!(container.addresses.len(), 2);
    assert_eq!(container.network_mode, "pod");
    assert_eq!(
        (container.image.as_str(), container.restarts),
        ("nginx:1", 2)
    );
    assert_eq!(container.command, ["nginx"]);
}

#[tokio::test]
async fn a_runtime_with_events_is_not_polled() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("crio.sock");
    let (events, _keep) = broadcast::channel(16);
    let runtime = MockRuntime {
        events: Some(events),
        ..Default::default()
    };
    runtime.put_pod("pod1", "container1", api::ContainerState::ContainerRunning);
    let _server = runtime.serve(&socket);
    let mut watch = start(&socket);
    let pod = upserted(&mut watch, "pod1").await;
    assert_eq!((pod.name.as_str(), pod.pod_name.as_str()), ("POD", "web-0"));
    let found = upserted(&mut watch, "container1").await;
    assert_is_web(&found);
    assert_eq!(found.state(), ContainerState::Running);
    next(&mut watch, |event| {
        matches!(event, RuntimeEvent::Listed { containers: 2 }).then_some(())
    })
    .await;

    // A pod that comes is told before its container, which has its addresses.
    runtime.put_pod("pod2", "container2", api::ContainerState::ContainerCreated);
    runtime.send(
        "container2",
        "pod2",
        api::ContainerEventType::ContainerCreatedEvent,
    );
    assert_is_web(&upserted(&mut watch, "container2").await);
    runtime.put_pod("pod2", "container2", api::ContainerState::ContainerExited);
    runtime.send(
        "container2",
        "pod2",
        api::ContainerEventType::ContainerStoppedEvent,
    );
    let ended = upserted(&mut watch, "container2").await;
    assert_eq!(
        (ended.state(), ended.exit_code, ended.oom_killed),
        (ContainerState::Exited, 137, true)
    );
    runtime.remove("container2");
    runtime.send(
        "container2",
        "pod2",
        api::ContainerEventType::ContainerDeletedEvent,
    );
    removed(&mut watch, "container2").await;
    assert_eq!(watch.stats.events_total(), 3);
}

#[tokio::test]
async fn a_runtime_without_events_is_polled_and_may_go_and_return() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("containerd.sock");
    let mut watch = start(&socket);
    let missing = next(&mut watch, disconnected).await;
    assert!(missing.contains("does not exist"), "{missing}");

    let runtime = MockRuntime::default();
    runtime.put_pod("pod1", "container1", api::ContainerState::ContainerCreated);
    let server = runtime.serve(&socket);
    assert_is_web(&upserted(&mut watch, "container1").await);
    runtime.put_pod("pod1", "container1", api::ContainerState::ContainerRunning);
    assert_eq!(
        upserted(&mut watch, "container1").await.state(),
        ContainerState::Running
    );
    assert!(watch.stats.capability("cri").available);

    drop(server);
    std::fs::remove_file(&socket).expect("the socket");
    next(&mut watch, disconnected).await;
    assert!(!watch.stats.capability("cri").available);
    runtime.remove("container1");
    let _server = runtime.serve(&socket);
    removed(&mut watch, "container1").await;
    assert_eq!(watch.stats.connects_total(), 2);
}

fn disconnected(event: RuntimeEvent) -> Option<String> {
    match event {
        RuntimeEvent::Disconnected { reason } => Some(reason),
        _ => None,
    }
}
