//! From the runtime's answers to our messages.

use std::collections::HashMap;
use std::net::IpAddr;

use mesoscope_proto::address;
use mesoscope_proto::v1::{Container, ContainerLimits, ContainerState, Mount};
use serde_json::Value;

use super::api;
use crate::runtime::fields::{LIST_MAX, cores, cut, environment, key_values, pod_of};

/// A pod sandbox: the container that holds the pod's namespaces, named "POD" as by the kubelet.
pub(super) fn sandbox(runtime: &str, status: api::PodSandboxStatus) -> Container {
    let ready = status.state() == api::PodSandboxState::SandboxReady;
    let network_mode = network_mode(&status);
    let metadata = status.metadata.unwrap_or_default();
    let network = status.network.unwrap_or_default();
    let additional = network.additional_ips.into_iter().map(|address| address.ip);
    let addresses = std::iter::once(network.ip)
        .chain(additional)
        .take(LIST_MAX)
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(address::to_bytes)
        .collect();
    Container {
        id: status.id,
        runtime: runtime.to_owned(),
        name: "POD".to_owned(),
        state: if ready {
            ContainerState::Running
        } else {
            ContainerState::Exited
        }
        .into(),
        created_unix_ns: unix_ns(status.created_at),
        started_unix_ns: unix_ns(status.created_at),
        restarts: metadata.attempt,
        labels: key_values(status.labels),
        addresses,
        network_mode,
        hostname: cut(metadata.name.clone()),
        pod_name: cut(metadata.name),
        pod_namespace: cut(metadata.namespace),
        ..Container::default()
    }
}

fn network_mode(status: &api::PodSandboxStatus) -> String {
    let options = status.linux.as_ref().and_then(|linux| {
        let namespaces = linux.namespaces.as_ref()?;
        namespaces.options.as_ref()
    });
    let is_host = options.is_some_and(|options| options.network() == api::NamespaceMode::Node);
    if is_host { "host" } else { "pod" }.to_owned()
}

/// A container, with what the runtime adds in its own words (`info`, JSON): the OCI specification.
pub(super) fn container(
    runtime: &str,
    status: api::ContainerStatus,
    info: &HashMap<String, String>,
) -> Container {
    let state = match status.state() {
        api::ContainerState::ContainerCreated => ContainerState::Created,
        api::ContainerState::ContainerRunning => ContainerState::Running,
        api::ContainerState::ContainerExited => ContainerState::Exited,
        api::ContainerState::ContainerUnknown => ContainerState::Unspecified,
    };
    let specification = specification(info);
    let metadata = status.metadata.unwrap_or_default();
    let image = status.image.unwrap_or_default();
    let labels = key_values(status.labels);
    let (pod_name, pod_namespace) = pod_of(&labels);
    let from_status = status.resources.and_then(|resources| resources.linux);
    let limits = from_status.map_or_else(
        || limits_of(&specification),
        |linux| {
            limits(
                linux.cpu_quota,
                linux.cpu_period,
                linux.memory_limit_in_bytes,
            )
        },
    );
    Container {
        id: status.id,
        runtime: runtime.to_owned(),
        name: cut(metadata.name),
        image: cut(first_of(image.user_specified_image, image.image)),
        image_id: cut(first_of(status.image_id, status.image_ref)),
        state: state.into(),
        created_unix_ns: unix_ns(status.created_at),
        started_unix_ns: unix_ns(status.started_at),
        finished_unix_ns: unix_ns(status.finished_at),
        exit_code: status.exit_code,
        oom_killed: status.reason == "OOMKilled",
        restarts: metadata.attempt,
        labels,
        environment: environment(texts(&specification["process"]["env"])),
        mounts: mounts(status.mounts),
        limits: Some(limits),
        hostname: text(&specification["hostname"]),
        command: texts(&specification["process"]["args"]),
        pod_name,
        pod_namespace,
        ..Container::default()
    }
}

fn first_of(first: String, second: String) -> String {
    if first.is_empty() { second } else { first }
}

/// The OCI runtime specification, as containerd and CRI-O hand it out; null elsewhere.
fn specification(info: &HashMap<String, String>) -> Value {
    let parsed = info
        .get("info")
        .and_then(|info| serde_json::from_str(info).ok());
    let mut parsed: Value = parsed.unwrap_or_default();
    parsed
        .get_mut("runtimeSpec")
        .map(Value::take)
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    cut(value.as_str().unwrap_or("").to_owned())
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.take(LIST_MAX).map(text).collect()
}

fn limits_of(specification: &Value) -> ContainerLimits {
    let resources = &specification["linux"]["resources"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let cpu = &resources["cpu"];
    ContainerLimits {
        pids: u64::try_from(number(&resources["pids"]["limit"])).unwrap_or(0),
        ..limits(
            number(&cpu["quota"]),
            number(&cpu["period"]),
            number(&resources["memory"]["limit"]),
        )
    }
}

fn limits(quota: i64, period: i64, memory: i64) -> ContainerLimits {
    ContainerLimits {
        cpus: cores(quota, period),
        memory_bytes: u64::try_from(memory).unwrap_or(0),
        pids: 0,
    }
}

fn mounts(mounts: Vec<api::Mount>) -> Vec<Mount> {
    let mounts = mounts.into_iter().take(LIST_MAX);
    mounts
        .map(|mount| Mount {
            source: cut(mount.host_path),
            destination: cut(mount.container_path),
            read_only: mount.readonly,
            r#type: "bind".to_owned(),
        })
        .collect()
}

/// Runtimes give 0, and some the year 1, for "never".
fn unix_ns(nanoseconds: i64) -> u64 {
    u64::try_from(nanoseconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_specification_adds() {
        let info = r#"{"pid":7,"runtimeSpec":{"hostname":"web","process":{"args":["nginx","-g"],
            "env":["A=b=c","ODD"]},"linux":{"resources":{"cpu":{"quota":50000,"period":100000},
            "memory":{"limit":1024},"pids":{"limit":9}}}}}"#;
        let info = HashMap::from([("info".to_owned(), info.to_owned())]);
        let found = container("containerd", api::ContainerStatus::default(), &info);
        assert_eq!(found.command, ["nginx", "-g"]);
        assert_eq!(found.environment[0].value, "b=c");
        let limits = found.limits.expect("set");
        assert!((limits.cpus - 0.5).abs() < 1e-9);
        assert_eq!((limits.memory_bytes, limits.pids), (1024, 9));
    }

    proptest! {
        #[test]
        fn any_info_is_survived(text in ".{0,200}", number in any::<i64>(), key in "[a-z]{0,9}") {
            let odd = serde_json::json!({"runtimeSpec": {"process": key, "linux": {"resources":
                {"cpu": {"quota": number, "period": number}, "memory": number}}}}).to_string();
            for info in [text, odd] {
                let info = HashMap::from([("info".to_owned(), info)]);
                let status = api::ContainerStatus { started_at: number, ..Default::default() };
                container("cri-o", status, &info);
            }
        }
    }
}
