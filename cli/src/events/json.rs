//! An event as one flat JSON object: enum names as words, what is not known left out.

use mesoscope_proto::v1::{
    self, ConnectionState, Direction, Endpoint, EventKind, Process, ProcessCause,
};
use serde::Serialize;

use super::line::{action_name, container_id, gap_name, protocol_name, state_name};
use crate::text;

/// What `events --json` prints. The order of the fields is the order in the output.
#[derive(Debug, Default, Serialize)]
pub struct Event {
    time: String,
    kind: &'static str,
    host: String,
    agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_state: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    container_oom_killed: bool,
    #[serde(skip_serializing_if = "is_zero")]
    container_oom_kills: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_last_oom_kill: Option<String>,
    #[serde(flatten)]
    process: Option<Who>,
    #[serde(flatten)]
    exit: Option<Exit>,
    #[serde(flatten)]
    connection: Option<Connection>,
    #[serde(flatten)]
    peer: Option<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_container_id: Option<String>,
    #[serde(flatten)]
    cgroup: Option<Cgroup>,
    #[serde(flatten)]
    gap: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_event: Option<String>,
}

#[derive(Debug, Serialize)]
struct Who {
    pid: u32,
    start_boottime_ns: u64,
    name: String,
    argv: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    argv_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_pid: Option<u32>,
    uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
}

#[derive(Debug, Serialize)]
struct Exit {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    oom: bool,
    #[serde(skip_serializing_if = "is_false")]
    inferred: bool,
    #[serde(skip_serializing_if = "is_zero")]
    lifetime_ns: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cpu_ns: u64,
    #[serde(skip_serializing_if = "is_zero")]
    rss_bytes_max: u64,
}

#[derive(Debug, Serialize)]
struct Connection {
    cookie: u64,
    protocol: &'static str,
    direction: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    translated_local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    translated_remote: Option<String>,
    bytes_sent: u64,
    bytes_received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ns: Option<u64>,
    rtt_us: u32,
    retransmits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    application_seen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    adopted: bool,
}

#[derive(Debug, Serialize)]
struct Peer {
    peer_pid: u32,
    peer_name: String,
    peer_argv: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Cgroup {
    cgroup_action: &'static str,
    cgroup_id: u64,
    cgroup_path: String,
}

#[derive(Debug, Serialize)]
struct Gap {
    gap: &'static str,
    what: String,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Event {
    /// The flat form.
    pub fn of(event: &v1::Event) -> Self {
        let container = event.container.as_ref();
        let peer_container = event.peer_container.as_ref();
        let id = container.map_or_else(|| container_id(event), |container| &container.id);
        Self {
            time: text::time(event.time_unix_ns),
            kind: kind_name(event.kind()),
            host: event.hostname.clone(),
            agent_id: event.agent_id.clone(),
            container: container.and_then(|container| known(&container.name)),
            container_id: known(id),
            image: container.and_then(|container| known(&container.image)),
            container_state: container.map(|container| state_name(container.state())),
            container_oom_killed: container.is_some_and(|container| container.oom_killed),
            container_oom_kills: container.map_or(0, |container| container.oom_kills),
            container_last_oom_kill: container
                .and_then(|container| known(&text::time(container.last_oom_kill_unix_ns))),
            process: event.process.as_ref().map(Who::of),
            exit: event.process.as_ref().and_then(Exit::of),
            connection: event.connection.as_ref().map(Connection::of),
            peer: event.peer_process.as_ref().map(|process| Peer {
                peer_pid: process.key.as_ref().map_or(0, |key| key.pid),
                peer_name: process.name.clone(),
                peer_argv: process.argv.clone(),
            }),
            peer_container: peer_container.and_then(|container| known(&container.name)),
            peer_container_id: peer_container.and_then(|container| known(&container.id)),
            cgroup: event.cgroup.as_ref().map(|cgroup| Cgroup {
                cgroup_action: action_name(cgroup.action()),
                cgroup_id: cgroup.cgroup_id,
                cgroup_path: cgroup.path.clone(),
            }),
            gap: event.gap.as_ref().map(|gap| Gap {
                gap: gap_name(gap.kind()),
                what: gap.what.clone(),
                since: text::time(gap.since_unix_ns),
                until: known(&text::time(gap.until_unix_ns)),
                count: gap.count,
                detail: known(&gap.detail),
            }),
            agent_event: known(&event.agent_event),
        }
    }
}

impl Who {
    fn of(process: &Process) -> Self {
        let key = process.key.unwrap_or_default();
        Self {
            pid: key.pid,
            start_boottime_ns: key.start_boottime_ns,
            name: process.name.clone(),
            argv: process.argv.clone(),
            argv_truncated: process.argv_truncated,
            cause: match process.cause() {
                ProcessCause::Unspecified => None,
                ProcessCause::Snapshot => Some("snapshot"),
                ProcessCause::Fork => Some("fork"),
                ProcessCause::Exec => Some("exec"),
                ProcessCause::Update => Some("update"),
            },
            parent_pid: process.parent.map(|parent| parent.pid),
            uid: process.uid,
            user: known(&process.user),
            cwd: known(&process.cwd),
            executable: known(&process.executable),
            started: known(&text::time(process.started_unix_ns)),
        }
    }
}

impl Exit {
    fn of(process: &Process) -> Option<Self> {
        let exit = process.exit.as_ref()?;
        let seen = !exit.inferred;
        Some(Self {
            exit_code: (seen && exit.signal == 0).then_some(exit.code),
            signal: (seen && exit.signal != 0).then(|| text::signal_name(exit.signal)),
            oom: exit.oom,
            inferred: exit.inferred,
            lifetime_ns: match process.started_unix_ns {
                0 => 0,
                started => exit.time_unix_ns.saturating_sub(started),
            },
            cpu_ns: exit.cpu_ns,
            rss_bytes_max: exit.rss_bytes_max,
        })
    }
}

impl Connection {
    fn of(connection: &v1::Connection) -> Self {
        let lived = connection
            .closed_unix_ns
            .checked_sub(connection.opened_unix_ns);
        Self {
            cookie: connection.cookie,
            protocol: protocol_name(connection.protocol()),
            direction: match connection.direction() {
                Direction::Unspecified => "unknown",
                Direction::Outbound => "outbound",
                Direction::Inbound => "inbound",
            },
            state: match connection.state() {
                ConnectionState::Unspecified => "unknown",
                ConnectionState::Open => "open",
                ConnectionState::Closed => "closed",
                ConnectionState::Reset => "reset",
                ConnectionState::Failed => "failed",
            },
            local: address(connection.local.as_ref()),
            remote: address(connection.remote.as_ref()),
            translated_local: address(connection.translated_local.as_ref()),
            translated_remote: address(connection.translated_remote.as_ref()),
            bytes_sent: connection.bytes_sent,
            bytes_received: connection.bytes_received,
            opened: known(&text::time(connection.opened_unix_ns)),
            closed: known(&text::time(connection.closed_unix_ns)),
            duration_ns: lived.filter(|_| connection.opened_unix_ns != 0),
            rtt_us: connection.rtt_us,
            retransmits: connection.retransmits,
            errno: (connection.error != 0).then_some(connection.error),
            error: (connection.error != 0).then(|| text::errno(connection.error)),
            application: known(&connection.application),
            application_seen: connection.application_seen,
            server_name: known(&connection.server_name),
            adopted: connection.adopted,
        }
    }
}

fn kind_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Unspecified => "unknown",
        EventKind::ProcessStarted => "process_started",
        EventKind::ProcessExec => "process_exec",
        EventKind::ProcessExited => "process_exited",
        EventKind::ConnectionOpened => "connection_opened",
        EventKind::ConnectionClosed => "connection_closed",
        EventKind::ConnectionFailed => "connection_failed",
        EventKind::Container => "container",
        EventKind::Cgroup => "cgroup",
        EventKind::Gap => "gap",
        EventKind::Agent => "agent",
    }
}

fn address(endpoint: Option<&Endpoint>) -> Option<String> {
    Some(endpoint?.socket_addr()?.to_string())
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_proto::v1::{ProcessExit, ProcessKey};

    fn flat(event: &v1::Event) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(Event::of(event)).expect("plain data") {
            serde_json::Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_exit_is_flat_and_in_words() {
        let event = v1::Event {
            kind: EventKind::ProcessExited.into(),
            time_unix_ns: 1_700_000_000_000_000_000,
            hostname: "node-1".into(),
            process: Some(Process {
                key: Some(ProcessKey {
                    pid: 42,
                    start_boottime_ns: 5,
                }),
                name: "sh".into(),
                argv: vec!["sh".into(), "-c".into(), "kill -9 $$".into()],
                exit: Some(ProcessExit {
                    signal: 9,
                    ..ProcessExit::default()
                }),
                ..Process::default()
            }),
            ..v1::Event::default()
        };
        let map = flat(&event);
        assert_eq!(map["kind"], "process_exited");
        assert_eq!(map["time"], "2023-11-14T22:13:20.000Z");
        assert_eq!(map["pid"], 42);
        assert_eq!(map["argv"][2], "kill -9 $$");
        assert_eq!(map["signal"], "SIGKILL");
        assert!(!map.contains_key("exit_code") && !map.contains_key("container"));
        assert!(map.values().all(|value| !value.is_object()), "{map:?}");
    }

    #[test]
    fn a_container_tells_of_kills_only_where_there_were_any() {
        let event = |oom_kills| v1::Event {
            kind: EventKind::Container.into(),
            container: Some(v1::Container {
                id: "c".into(),
                state: v1::ContainerState::Running.into(),
                oom_kills,
                last_oom_kill_unix_ns: oom_kills * 1_700_000_000_000_000_000,
                ..v1::Container::default()
            }),
            ..v1::Event::default()
        };
        let map = flat(&event(1));
        assert_eq!(map["container_state"], "running");
        assert_eq!(map["container_oom_kills"], 1);
        assert_eq!(map["container_last_oom_kill"], "2023-11-14T22:13:20.000Z");
        assert!(!map.contains_key("container_oom_killed"));
        assert!(flat(&event(0)).keys().all(|key| !key.contains("oom")));
    }

    #[test]
    fn a_failed_connection_says_why() {
        let remote: std::net::SocketAddr = "[::1]:80".parse().expect("literal");
        let event = v1::Event {
            kind: EventKind::ConnectionFailed.into(),
            connection: Some(v1::Connection {
                remote: Some(remote.into()),
                state: ConnectionState::Failed.into(),
                error: 111,
                opened_unix_ns: 10,
                closed_unix_ns: 15,
                ..v1::Connection::default()
            }),
            ..v1::Event::default()
        };
        let map = flat(&event);
        assert_eq!(map["remote"], "[::1]:80");
        assert_eq!(map["error"], "Connection refused");
        assert_eq!(map["errno"], 111);
        assert_eq!(map["duration_ns"], 5);
        assert!(!map.contains_key("local"));
    }
}
