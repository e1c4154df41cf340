//! Against the real containerd (Debian's, a part of docker.io), a private one with its own folders
//! and socket.

mod common;

use std::time::Duration;

use common::containerd::Containerd;
use common::cri_client::{self, Kubelet};
use common::{next_matching, next_state, until_listed};
use mesoscope_discover::cgroups::CgroupTree;
use mesoscope_discover::cri::{CriConfig, watch};
use mesoscope_discover::paths::Paths;
use mesoscope_discover::runtime::RuntimeEvent;
use mesoscope_proto::v1::ContainerState;

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
        let (runtime, version) = next_matching(&mut watch, |event| match event {
            RuntimeEvent::Connected { runtime, version } => {
                Some((runtime.clone(), version.clone()))
            }
            _ => None,
        })
        .await;
        assert_eq!(runtime, "containerd");
        assert!(version.contains('.'), "{version}");
        for _ in 0..2 {
            next_matching(&mut watch, |event| {
                matches!(event, RuntimeEvent::Listed { containers: 0 }).then_some(())
            })
            .await;
        }
        assert_eq!(watch.stats.connects_total(), round);
        assert_eq!(watch.stats.errors_total(), 0);
        assert!(watch.stats.capability("cri").available);
        drop(containerd);
        next_matching(&mut watch, |event| {
            matches!(event, RuntimeEvent::Disconnected { .. }).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_of_the_real_containerd() {
    common::make_image();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("containerd.sock");
    let mut watch = watch(CriConfig {
        socket: Some(socket.clone()),
        poll_interval: Duration::from_millis(100),
        ..CriConfig::default()
    });
    let _containerd = Containerd::start(folder.path(), &socket);
    until_listed(&mut watch).await;
    cri_client::import_image(folder.path(), &socket);

    let mut kubelet = Kubelet::connect(&socket).await;
    let pod = kubelet.run_pod("web-0", "shop").await;
    let container = kubelet.start_container(&pod).await;

    let sandbox = next_state(&mut watch, &pod.id, |told| {
        told.state() == ContainerState::Running
    })
    .await;
    assert_eq!(
        (sandbox.name.as_str(), sandbox.network_mode.as_str()),
        ("POD", "host")
    );
    let running = next_state(&mut watch, &container, |told| {
        told.state() == ContainerState::Running
    })
    .await;
    assert_eq!(
        (running.name.as_str(), running.runtime.as_str()),
        ("nginx", "containerd")
    );
    assert_eq!(
        (running.pod_name.as_str(), running.pod_namespace.as_str()),
        ("web-0", "shop")
    );
    assert_eq!(
        running.image,
        format!("docker.io/library/{}", common::IMAGE)
    );
    assert!(
        running.image_id.starts_with("sha256:"),
        "{}",
        running.image_id
    );
    assert_eq!(running.command, ["/bin/sleep", "500"]);
    assert!(
        running
            .environment
            .iter()
            .any(|variable| variable.key == "GREETING")
    );
    assert_eq!(
        (running.network_mode.as_str(), running.restarts),
        ("host", 3)
    );
    assert!(running.started_unix_ns >= running.created_unix_ns && running.created_unix_ns > 0);
    let limits = running.limits.expect("told");
    assert!((limits.cpus - 0.5).abs() < 1e-9);
    assert_eq!(limits.memory_bytes, 64 << 20);

    // The kernel knows both by the same ids.
    let tree = CgroupTree::discover(&Paths::default()).expect("cgroups are mounted");
    for id in [&pod.id, &container] {
        assert!(tree.container_by_id(id).is_some(), "{id}");
    }

    kubelet.stop_container(&container).await;
    let exited = next_state(&mut watch, &container, |told| {
        told.state() == ContainerState::Exited
    })
    .await;
    assert_eq!(exited.exit_code, 137);
    assert!(exited.finished_unix_ns > exited.started_unix_ns);
    kubelet.remove(&pod, &container).await;
    // One poll may find both gone; their order says nothing.
    let mut left = vec![container, pod.id.clone()];
    while !left.is_empty() {
        let gone = next_matching(&mut watch, |event| match event {
            RuntimeEvent::Removed { id } => Some(id.clone()),
            _ => None,
        })
        .await;
        left.retain(|id| *id != gone);
    }
    assert_eq!(watch.stats.errors_total(), 0);
}
