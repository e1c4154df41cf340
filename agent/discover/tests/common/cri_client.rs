//! What a kubelet asks of a runtime, as far as a test needs it. Numbers are those of the public
//! interface (k8s.io/cri-api, pkg/apis/runtime/v1).

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

const NAMESPACE_NODE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxSecurity {
    #[prost(message, optional, tag = "1")]
    namespace_options: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxSandbox {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security_context: Option<SandboxSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<SandboxMetadata>,
    #[prost(string, tag = "3")]
    log_directory: String,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxSandbox>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<SandboxConfig>,
}

/// Every other request and answer holds an id, and some a time limit.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Resources {
    #[prost(int64, tag = "1")]
    cpu_period: i64,
    #[prost(int64, tag = "2")]
    cpu_quota: i64,
    #[prost(int64, tag = "4")]
    memory_limit_in_bytes: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerSecurity {
    #[prost(message, optional, tag = "3")]
    namespace_options: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxContainer {
    #[prost(message, optional, tag = "1")]
    resources: Option<Resources>,
    #[prost(message, optional, tag = "2")]
    security_context: Option<ContainerSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<Image>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    envs: Vec<KeyValue>,
    #[prost(map = "string, string", tag = "9")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "11")]
    log_path: String,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainer>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<SandboxConfig>,
}

/// A pod that runs.
pub struct Pod {
    pub id: String,
    config: SandboxConfig,
}

pub struct Kubelet(Grpc<Channel>);

impl Kubelet {
    pub async fn connect(socket: &Path) -> Self {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()));
        let channel = endpoint.expect("a path").connect().await;
        Self(Grpc::new(channel.expect("it answers")))
    }

    async fn call<T: Message + Default + Send + Sync + 'static>(
        &mut self,
        method: &str,
        request: T,
    ) -> String {
        self.0.ready().await.expect("it answers");
        let path = format!("/runtime.v1.RuntimeService/{method}");
        let path = PathAndQuery::try_from(path).expect("a path");
        let codec = ProstCodec::<T, Id>::default();
        let answer = self
            .0
            .unary(tonic::Request::new(request), path, codec)
            .await;
        let answer = answer.unwrap_or_else(|status| panic!("{method}: {status}"));
        answer.into_inner().id
    }

    /// A pod on the host's network, which needs no network plugin.
    pub async fn run_pod(&mut self, name: &str, namespace: &str) -> Pod {
        self.run_pod_with_logs(name, namespace, Path::new("")).await
    }

    /// The same, whose containers' logs go to a folder.
    pub async fn run_pod_with_logs(&mut self, name: &str, namespace: &str, logs: &Path) -> Pod {
        let config = SandboxConfig {
            metadata: Some(SandboxMetadata {
                name: name.to_owned(),
                uid: format!("uid-{}", std::process::id()),
                namespace: namespace.to_owned(),
            }),
            log_directory: logs.display().to_string(),
            linux: Some(LinuxSandbox {
                cgroup_parent: format!("/kubepods/pod{}", std::process::id()),
                security_context: Some(SandboxSecurity {
                    namespace_options: Some(NamespaceOption {
                        network: NAMESPACE_NODE,
                    }),
                }),
            }),
        };
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
        };
        let id = self.call("RunPodSandbox", request).await;
        Pod { id, config }
    }

    /// "nginx", at its third restart, half a core and 64 MiB.
    pub async fn start_container(&mut self, pod: &Pod) -> String {
        let id = self.create_container(pod, &["/bin/sleep", "500"], "").await;
        self.call(
            "StartContainer",
            Id {
                id: id.clone(),
                timeout: 0,
            },
        )
        .await;
        id
    }

    /// The same, not started; its log is this file in the pod's folder.
    pub async fn create_container(&mut self, pod: &Pod, command: &[&str], log: &str) -> String {
        let metadata = pod.config.metadata.clone().expect("set");
        let labels = HashMap::from([
            ("io.kubernetes.pod.name".to_owned(), metadata.name),
            ("io.kubernetes.pod.namespace".to_owned(), metadata.namespace),
        ]);
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "nginx".to_owned(),
                attempt: 3,
            }),
            image: Some(Image {
                image: super::IMAGE.to_owned(),
            }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            log_path: log.to_owned(),
            envs: vec![KeyValue {
                key: "GREETING".to_owned(),
                value: "hello".to_owned(),
            }],
            labels,
            linux: Some(LinuxContainer {
                resources: Some(Resources {
                    cpu_period: 100_000,
                    cpu_quota: 50_000,
                    memory_limit_in_bytes: 64 << 20,
                }),
                security_context: Some(ContainerSecurity {
                    namespace_options: Some(NamespaceOption {
                        network: NAMESPACE_NODE,
                    }),
                }),
            }),
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        self.call("CreateContainer", request).await
    }

    pub async fn stop_container(&mut self, id: &str) {
        self.call(
            "StopContainer",
            Id {
                id: id.to_owned(),
                timeout: 0,
            },
        )
        .await;
    }

    pub async fn remove(&mut self, pod: &Pod, container: &str) {
        self.call(
            "RemoveContainer",
            Id {
                id: container.to_owned(),
                timeout: 0,
            },
        )
        .await;
        self.remove_pod(pod).await;
    }

    pub async fn remove_pod(&mut self, pod: &Pod) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.call(
                method,
                Id {
                    id: pod.id.clone(),
                    timeout: 0,
                },
            )
            .await;
        }
    }
}

impl Drop for Pod {
    /// The pod's own cgroups are the kubelet's to remove.
    fn drop(&mut self) {
        let Some(linux) = &self.config.linux else {
            return;
        };
        let entries = std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let hierarchies = entries.map(|entry| entry.path());
        for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
            let pod = hierarchy.join(linux.cgroup_parent.trim_start_matches('/'));
            // Not every hierarchy has it, and other pods may still be in the folder above.
            let _ = std::fs::remove_dir(&pod);
            let _ = pod.parent().map(std::fs::remove_dir);
        }
    }
}

/// Hands the test's image from the Docker engine to containerd.
pub fn import_image(folder: &Path, socket: &Path) {
    let archive = folder.join("image.tar");
    let archive = archive.to_str().expect("UTF-8");
    super::docker(&["save", "--output", archive, super::IMAGE]);
    let imported = Command::new("ctr")
        .arg("--address")
        .arg(socket)
        .args(["--namespace", "k8s.io", "images", "import", archive])
        .output()
        .expect("ctr comes with containerd");
    assert!(
        imported.status.success(),
        "ctr images import: {}",
        String::from_utf8_lossy(&imported.stderr)
    );
}
