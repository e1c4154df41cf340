//! From the engine's answers to our messages.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, EventActor, HostConfig, MountPoint, NetworkSettings, PortMap,
};
use mesoscope_proto::address;
use mesoscope_proto::v1::{Container, ContainerLimits, ContainerState, Mount, PortMapping};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::runtime::fields::{LIST_MAX, cores, cut, environment, key_values, pod_of};

/// A container as the engine describes it.
pub(super) fn container(runtime: &str, inspect: ContainerInspectResponse) -> Container {
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    let host_config = inspect.host_config.unwrap_or_default();
    let network = inspect.network_settings.unwrap_or_default();
    let labels = key_values(config.labels.unwrap_or_default());
    let (pod_name, pod_namespace) = pod_of(&labels);
    Container {
        id: inspect.id.unwrap_or_default(),
        runtime: runtime.to_owned(),
        name: name(&inspect.name.unwrap_or_default()),
        image: cut(config.image.unwrap_or_default()),
        image_id: inspect.image.unwrap_or_default(),
        state: state_by_name(
            &state
                .status
                .map_or_else(String::new, |name| name.to_string()),
        )
        .into(),
        created_unix_ns: unix_ns(&inspect.created.unwrap_or_default()),
        started_unix_ns: unix_ns(&state.started_at.unwrap_or_default()),
        finished_unix_ns: unix_ns(&state.finished_at.unwrap_or_default()),
        exit_code: i32::try_from(state.exit_code.unwrap_or(0)).unwrap_or(-1),
        oom_killed: state.oom_killed.unwrap_or(false),
        restarts: u32::try_from(inspect.restart_count.unwrap_or(0)).unwrap_or(0),
        environment: environment(config.env.unwrap_or_default()),
        ports: ports(&network, &host_config),
        mounts: mounts(inspect.mounts.unwrap_or_default(), &host_config),
        addresses: addresses(&network),
        limits: Some(limits(&host_config)),
        network_mode: host_config.network_mode.unwrap_or_default(),
        hostname: config.hostname.unwrap_or_default(),
        command: command(inspect.path, inspect.args),
        labels,
        pod_name,
        pod_namespace,
        ..Container::default()
    }
}

/// The little that an event says of a container: its name, image and labels. It is told at once,
/// since the engine answers no question about a container while it starts it, and never again
/// once it is gone.
pub(super) fn from_event(runtime: &str, actor: EventActor, state: ContainerState) -> Container {
    let mut attributes = actor.attributes.unwrap_or_default();
    let name = attributes.remove("name").unwrap_or_default();
    let image = attributes.remove("image").unwrap_or_default();
    let exit_code = attributes.remove("exitCode");
    for other in ["signal", "execDuration", "oldName", "execID"] {
        attributes.remove(other);
    }
    let labels = key_values(attributes);
    let (pod_name, pod_namespace) = pod_of(&labels);
    Container {
        id: actor.id.unwrap_or_default(),
        runtime: runtime.to_owned(),
        name: self::name(&name),
        image: cut(image),
        state: state.into(),
        exit_code: exit_code.and_then(|code| code.parse().ok()).unwrap_or(0),
        labels,
        pod_name,
        pod_namespace,
        ..Container::default()
    }
}

/// The engine's names begin with a slash.
fn name(name: &str) -> String {
    cut(name.trim_start_matches('/').to_owned())
}

/// By the word that inspect and list share.
pub(super) fn state_by_name(name: &str) -> ContainerState {
    match name {
        "created" => ContainerState::Created,
        "running" | "stopping" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "exited" | "removing" => ContainerState::Exited,
        "dead" => ContainerState::Dead,
        _ => ContainerState::Unspecified,
    }
}

/// Nanoseconds since 1970; 0 for the engine's "never" (the year 1) and for what is no time.
fn unix_ns(rfc3339: &str) -> u64 {
    OffsetDateTime::parse(rfc3339, &Rfc3339)
        .ok()
        .and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok())
        .unwrap_or(0)
}

/// The ports as they are bound; of a container that does not run, as they will be.
fn ports(network: &NetworkSettings, host_config: &HostConfig) -> Vec<PortMapping> {
    let bound = network.ports.as_ref().filter(|ports| !ports.is_empty());
    let Some(map) = bound.or(host_config.port_bindings.as_ref()) else {
        return Vec::new();
    };
    let mut list = port_mappings(map);
    list.sort_unstable_by(|a, b| {
        (a.container_port, &a.protocol, &a.host_address, a.host_port).cmp(&(
            b.container_port,
            &b.protocol,
            &b.host_address,
            b.host_port,
        ))
    });
    list.truncate(LIST_MAX);
    list
}

fn port_mappings(map: &PortMap) -> Vec<PortMapping> {
    let mut list = Vec::new();
    for (port, bindings) in map {
        // "80/tcp"; without a protocol it is TCP.
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let Ok(container_port) = number.parse::<u16>() else {
            continue;
        };
        let exposed = PortMapping {
            protocol: protocol.to_owned(),
            container_port: u32::from(container_port),
            ..PortMapping::default()
        };
        match bindings.as_deref() {
            None | Some([]) => list.push(exposed),
            Some(bindings) => list.extend(bindings.iter().map(|binding| {
                let host_port = binding.host_port.as_deref().unwrap_or("");
                PortMapping {
                    host_address: binding.host_ip.clone().unwrap_or_default(),
                    host_port: host_port.parse::<u16>().map_or(0, u32::from),
                    ..exposed.clone()
                }
            })),
        }
    }
    list
}

fn mounts(points: Vec<MountPoint>, host_config: &HostConfig) -> Vec<Mount> {
    let listed = points.into_iter().map(|point| Mount {
        // The name of a volume says more than the engine's own folder for it.
        source: cut(point.name.or(point.source).unwrap_or_default()),
        destination: cut(point.destination.unwrap_or_default()),
        read_only: point.rw == Some(false),
        r#type: point.typ.map(|kind| kind.to_string()).unwrap_or_default(),
    });
    let temporary = host_config
        .tmpfs
        .iter()
        .flatten()
        .map(|(path, options)| Mount {
            source: String::new(),
            destination: cut(path.clone()),
            read_only: options.split(',').any(|option| option == "ro"),
            r#type: "tmpfs".to_owned(),
        });
    listed.chain(temporary).take(LIST_MAX).collect()
}

fn addresses(network: &NetworkSettings) -> Vec<Vec<u8>> {
    let mut list: Vec<_> = network
        .networks
        .iter()
        .flat_map(HashMap::values)
        .flat_map(|endpoint| [&endpoint.ip_address, &endpoint.global_ipv6_address])
        .filter_map(|text| text.as_deref()?.parse::<IpAddr>().ok())
        .take(LIST_MAX)
        .map(address::to_bytes)
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

#[expect(clippy::cast_precision_loss, reason = "cores; 52 bits are plenty")]
fn limits(host_config: &HostConfig) -> ContainerLimits {
    let nano_cpus = host_config.nano_cpus.unwrap_or(0).max(0);
    ContainerLimits {
        cpus: if nano_cpus > 0 {
            nano_cpus as f64 / 1e9
        } else {
            cores(
                host_config.cpu_quota.unwrap_or(0),
                host_config.cpu_period.unwrap_or(0),
            )
        },
        memory_bytes: u64::try_from(host_config.memory.unwrap_or(0)).unwrap_or(0),
        pids: u64::try_from(host_config.pids_limit.unwrap_or(0)).unwrap_or(0),
    }
}

fn command(path: Option<String>, arguments: Option<Vec<String>>) -> Vec<String> {
    path.into_iter()
        .chain(arguments.unwrap_or_default())
        .take(LIST_MAX)
        .map(cut)
        .collect()
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::KeyValue;
    use proptest::prelude::*;

    use super::*;

    /// What engine 28 answers, shortened.
    const INSPECT: &str = r#"{
        "Id": "4f1bd2a8b6ab9f7e0c2c1d4a5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081",
        "Created": "2026-01-02T03:04:05.123456789Z",
        "Path": "sh", "Args": ["-c", "sleep 1"],
        "State": {"Status": "exited", "OOMKilled": true, "ExitCode": 137,
            "StartedAt": "2026-01-02T03:04:06Z", "FinishedAt": "2026-01-02T05:04:07+02:00"},
        "Image": "sha256:aa", "Name": "/web", "RestartCount": 2,
        "HostConfig": {"NetworkMode": "bridge", "Memory": 67108864, "NanoCpus": 1500000000,
            "PidsLimit": 50, "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "Tmpfs": {"/run": "ro,size=64k"}},
        "Mounts": [{"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data",
            "Destination": "/data", "RW": false}],
        "Config": {"Hostname": "web1", "Env": ["PATH=/bin", "EMPTY=", "ODD", "A=b=c"],
            "Image": "busybox:1", "Labels": {"b": "2", "io.kubernetes.pod.name": "web-0",
            "io.kubernetes.pod.namespace": "shop"}},
        "NetworkSettings": {"Ports": {}, "Networks": {"bridge": {"IPAddress": "172.17.0.2",
            "GlobalIPv6Address": ""}}}
    }"#;

    #[test]
    fn everything_is_taken_over() {
        let inspect = serde_json::from_str(INSPECT).expect("the engine's form");
        let found = container("docker", inspect);
        assert_eq!(found.name, "web");
        assert_eq!(found.state(), ContainerState::Exited);
        assert_eq!(found.created_unix_ns, 1_767_323_045_123_456_789);
        assert_eq!(
            found.finished_unix_ns - found.started_unix_ns,
            1_000_000_000
        );
        assert_eq!(
            (found.exit_code, found.oom_killed, found.restarts),
            (137, true, 2)
        );
        assert_eq!(
            found.environment[3],
            KeyValue {
                key: "A".into(),
                value: "b=c".into()
            }
        );
        assert_eq!(found.ports.len(), 1);
        assert_eq!(
            (found.ports[0].host_port, found.ports[0].container_port),
            (8080, 80)
        );
        assert_eq!(found.mounts[0].source, "data");
        assert!(found.mounts.iter().all(|mount| mount.read_only));
        assert_eq!(found.addresses, [vec![172, 17, 0, 2]]);
        let limits = found.limits.expect("set");
        assert!((limits.cpus - 1.5).abs() < 1e-9);
        assert_eq!((limits.memory_bytes, limits.pids), (64 << 20, 50));
        assert_eq!(found.command, ["sh", "-c", "sleep 1"]);
        assert_eq!(
            (found.pod_name.as_str(), found.pod_namespace.as_str()),
            ("web-0", "shop")
        );
    }

    #[test]
    fn never_is_zero() {
        assert_eq!(unix_ns("0001-01-01T00:00:00Z"), 0);
        assert_eq!(unix_ns(""), 0);
        assert_eq!(unix_ns("1970-01-01T00:00:00.000000001Z"), 1);
    }

    proptest! {
        #[test]
        fn any_texts_are_survived(text in ".{0,40}", port in "[0-9/a-z]{0,12}", number in any::<i64>()) {
            unix_ns(&text);
            let inspect = serde_json::json!({
                "Name": text, "Created": text, "RestartCount": number,
                "State": {"ExitCode": number},
                "HostConfig": {"Memory": number, "NanoCpus": number, "CpuPeriod": number,
                    "CpuQuota": number, "PidsLimit": number,
                    "PortBindings": {port: [{"HostPort": text}]}},
                "NetworkSettings": {"Networks": {"n": {"IPAddress": text}}},
                "Config": {"Env": [text]},
            });
            let inspect = serde_json::from_value(inspect).expect("right types");
            let found = container("docker", inspect);
            prop_assert!(found.limits.is_some_and(|limits| limits.cpus >= 0.0));
        }
    }
}
