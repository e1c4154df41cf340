//! An event as one aligned line.

use mesoscope_proto::v1::{
    CgroupAction, Connection, ConnectionState, Container, ContainerState, Direction, Event,
    EventKind, Gap, GapKind, Process, Protocol,
};

use crate::output::{Output, Style};
use crate::text;

const TIME: usize = 12;
const KIND: usize = 9;
const HOST: usize = 12;
const CONTAINER: usize = 16;

/// What stands above the columns.
pub fn head() -> String {
    format!(
        "{:<TIME$}  {:<KIND$}  {:<HOST$}  {:<CONTAINER$}  WHAT",
        "TIME (UTC)", "KIND", "HOST", "CONTAINER"
    )
}

/// The line.
pub fn of(event: &Event, output: &Output) -> String {
    let (kind, style) = kind(event.kind());
    let host = if event.hostname.is_empty() {
        &event.agent_id
    } else {
        &event.hostname
    };
    let container = text::container(event.container.as_ref(), container_id(event));
    let what = match event.kind() {
        EventKind::ProcessStarted | EventKind::ProcessExec | EventKind::ProcessExited => event
            .process
            .as_ref()
            .map(|process| process_text(event.kind(), process, output)),
        EventKind::ConnectionOpened | EventKind::ConnectionClosed | EventKind::ConnectionFailed => {
            event
                .connection
                .as_ref()
                .map(|connection| connection_text(event, connection, output))
        }
        EventKind::Container => event
            .container
            .as_ref()
            .map(|container| container_text(container, output)),
        EventKind::Cgroup => event.cgroup.as_ref().map(|cgroup| {
            format!(
                "{} {}",
                action_name(cgroup.action()),
                text::printable(&cgroup.path)
            )
        }),
        EventKind::Gap => event.gap.as_ref().map(gap_text),
        EventKind::Agent => Some(text::printable(&event.agent_event)),
        EventKind::Unspecified => None,
    };
    let line = format!(
        "{}  {}  {}  {}  {}",
        output.paint(
            Style::Dim,
            &text::fit(&text::time_of_day(event.time_unix_ns), TIME)
        ),
        output.paint(style, &text::fit(kind, KIND)),
        text::fit(&text::printable(host), HOST),
        output.paint(
            Style::Name,
            &text::fit(
                if container.is_empty() {
                    "-"
                } else {
                    &container
                },
                CONTAINER
            )
        ),
        what.unwrap_or_default(),
    );
    line.trim_end().to_owned()
}

/// The id of the container that it happened in, where only the id is known.
pub fn container_id(event: &Event) -> &str {
    let of_process = event
        .process
        .as_ref()
        .map(|process| process.container_id.as_str());
    let of_connection = event
        .connection
        .as_ref()
        .map(|connection| connection.container_id.as_str());
    let of_cgroup = event
        .cgroup
        .as_ref()
        .map(|cgroup| cgroup.container_id.as_str());
    let of_gap = event.gap.as_ref().map(|gap| gap.container_id.as_str());
    [of_process, of_connection, of_cgroup, of_gap]
        .into_iter()
        .flatten()
        .find(|id| !id.is_empty())
        .unwrap_or("")
}

fn kind(kind: EventKind) -> (&'static str, Style) {
    match kind {
        EventKind::Unspecified => ("?", Style::Plain),
        EventKind::ProcessStarted => ("started", Style::Good),
        EventKind::ProcessExec => ("exec", Style::Good),
        EventKind::ProcessExited => ("exited", Style::Plain),
        EventKind::ConnectionOpened => ("opened", Style::Good),
        EventKind::ConnectionClosed => ("closed", Style::Plain),
        EventKind::ConnectionFailed => ("failed", Style::Bad),
        EventKind::Container => ("container", Style::Name),
        EventKind::Cgroup => ("cgroup", Style::Plain),
        EventKind::Gap => ("gap", Style::Warning),
        EventKind::Agent => ("agent", Style::Warning),
    }
}

fn process_text(kind: EventKind, process: &Process, output: &Output) -> String {
    let pid = process.key.as_ref().map_or(0, |key| key.pid);
    let command = text::command(process);
    let mut facts = format!("pid {pid}");
    match (kind, &process.exit) {
        (EventKind::ProcessExited, Some(exit)) => {
            facts.push_str(", ");
            facts.push_str(&text::exit(exit));
            let lived = exit.time_unix_ns.saturating_sub(process.started_unix_ns);
            if process.started_unix_ns != 0 && lived != 0 {
                facts.push_str(&format!(", lived {}", text::duration(lived)));
            }
            if exit.cpu_ns != 0 {
                facts.push_str(&format!(", cpu {}", text::duration(exit.cpu_ns)));
            }
            if exit.rss_bytes_max != 0 {
                facts.push_str(&format!(", memory {}", text::bytes(exit.rss_bytes_max)));
            }
        }
        _ => {
            if let Some(parent) = &process.parent {
                facts.push_str(&format!(", parent {}", parent.pid));
            }
            if !process.user.is_empty() {
                facts.push_str(&format!(", {}", text::printable(&process.user)));
            }
        }
    }
    format!(
        "{command}  {}",
        output.paint(Style::Dim, &format!("({facts})"))
    )
}

fn container_text(container: &Container, output: &Output) -> String {
    let mut text = format!(
        "{} {}",
        state_name(container.state()),
        text::printable(&container.image)
    );
    let killed = if container.oom_killed {
        "killed for want of memory".to_owned()
    } else if container.oom_kills > 0 {
        format!(
            "killed in it for want of memory: {}, the last at {}",
            container.oom_kills,
            text::time(container.last_oom_kill_unix_ns)
        )
    } else {
        return text;
    };
    text.push_str("  ");
    text.push_str(&output.paint(Style::Bad, &format!("({killed})")));
    text
}

fn connection_text(event: &Event, connection: &Connection, output: &Output) -> String {
    // What the address translation made of it is what a person looks for.
    let local = connection
        .translated_local
        .as_ref()
        .or(connection.local.as_ref());
    let remote = connection
        .translated_remote
        .as_ref()
        .or(connection.remote.as_ref());
    let own = end(local, event.process.as_ref(), None);
    let peer_container = event.peer_container.as_ref();
    let peer = end(
        remote,
        event.peer_process.as_ref(),
        peer_container.map(|container| text::container(Some(container), "")),
    );
    let arrow = match connection.direction() {
        Direction::Outbound => "→",
        Direction::Inbound => "←",
        Direction::Unspecified => "↔",
    };
    let mut facts = vec![protocol_name(connection.protocol()).to_owned()];
    if !connection.application.is_empty() {
        facts.push(text::printable(&connection.application));
    }
    if !connection.server_name.is_empty() {
        facts.push(text::printable(&connection.server_name));
    }
    if connection.bytes_sent + connection.bytes_received > 0 {
        facts.push(format!(
            "sent {}, received {}",
            text::bytes(connection.bytes_sent),
            text::bytes(connection.bytes_received)
        ));
    }
    if connection.closed_unix_ns > connection.opened_unix_ns && connection.opened_unix_ns != 0 {
        facts.push(text::duration(
            connection.closed_unix_ns - connection.opened_unix_ns,
        ));
    }
    if connection.rtt_us > 0 {
        facts.push(format!(
            "rtt {}",
            text::duration(u64::from(connection.rtt_us) * 1000)
        ));
    }
    if connection.retransmits > 0 {
        facts.push(format!("{} retransmits", connection.retransmits));
    }
    let mut line = format!(
        "{own} {arrow} {peer}  {}",
        output.paint(Style::Dim, &format!("({})", facts.join(", ")))
    );
    if connection.error != 0 {
        line.push_str("  ");
        line.push_str(&output.paint(Style::Bad, &text::errno(connection.error)));
    } else if connection.state() == ConnectionState::Reset {
        line.push_str("  ");
        line.push_str(&output.paint(Style::Bad, "reset"));
    }
    line
}

/// One end: who, where.
fn end(
    endpoint: Option<&mesoscope_proto::v1::Endpoint>,
    process: Option<&Process>,
    container: Option<String>,
) -> String {
    let address = text::endpoint(endpoint);
    let who = process.map(|process| {
        let pid = process.key.as_ref().map_or(0, |key| key.pid);
        format!("{}[{pid}]", text::program(process))
    });
    match (who, container) {
        (Some(who), Some(container)) => format!("{container}/{who} {address}"),
        (Some(who), None) => format!("{who} {address}"),
        (None, Some(container)) => format!("{container} {address}"),
        (None, None) => address,
    }
}

fn gap_text(gap: &Gap) -> String {
    let mut text = format!("{} {}", gap_name(gap.kind()), text::printable(&gap.what));
    if gap.count > 0 {
        text.push_str(&format!(" {} events", gap.count));
    }
    text.push_str(&format!(", since {}", text::time(gap.since_unix_ns)));
    if gap.until_unix_ns != 0 {
        text.push_str(&format!(" until {}", text::time(gap.until_unix_ns)));
    }
    if !gap.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&text::printable(&gap.detail));
    }
    text
}

pub fn gap_name(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Unspecified => "unknown",
        GapKind::Lost => "lost",
        GapKind::Throttled => "throttled",
        GapKind::Spool => "spool",
        GapKind::Governor => "governor",
        GapKind::Capability => "capability",
    }
}

pub fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Unspecified => "",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

pub fn state_name(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Unspecified => "unknown",
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Removed => "removed",
    }
}

pub fn action_name(action: CgroupAction) -> &'static str {
    match action {
        CgroupAction::Unspecified => "unknown",
        CgroupAction::Created => "created",
        CgroupAction::Removed => "removed",
        CgroupAction::Populated => "populated",
        CgroupAction::Emptied => "emptied",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Color;
    use mesoscope_proto::v1::{ProcessExit, ProcessKey};

    fn event(kind: EventKind) -> Event {
        Event {
            kind: kind.into(),
            time_unix_ns: 1_700_000_000_123_000_000,
            hostname: "node-1".into(),
            process: Some(Process {
                key: Some(ProcessKey {
                    pid: 42,
                    start_boottime_ns: 1,
                }),
                name: "curl".into(),
                argv: vec!["curl".into(), "http://db\x1b[2J".into()],
                parent: Some(ProcessKey {
                    pid: 7,
                    start_boottime_ns: 1,
                }),
                started_unix_ns: 1_700_000_000_000_000_000,
                ..Process::default()
            }),
            ..Event::default()
        }
    }

    fn plain() -> Output {
        Output::new(Color::Never)
    }

    #[test]
    fn an_exec_shows_who_and_cannot_steer_the_terminal() {
        assert_eq!(
            of(&event(EventKind::ProcessExec), &plain()),
            "22:13:20.123  exec       node-1        -                 curl http://db\u{fffd}[2J  (pid 42, parent 7)"
        );
    }

    #[test]
    fn an_exit_shows_how_it_ended_and_how_long_it_lived() {
        let mut event = event(EventKind::ProcessExited);
        let process = event.process.as_mut().expect("set above");
        process.container_id = "0123456789abcdef".into();
        process.exit = Some(ProcessExit {
            time_unix_ns: 1_700_000_000_020_000_000,
            signal: 9,
            ..ProcessExit::default()
        });
        let line = of(&event, &plain());
        assert!(line.contains("0123456789ab      curl"), "{line}");
        assert!(
            line.ends_with("(pid 42, killed by SIGKILL, lived 20 ms)"),
            "{line}"
        );
    }

    #[test]
    fn a_connection_shows_both_ends_by_name() {
        let mut event = event(EventKind::ConnectionFailed);
        let local: std::net::SocketAddr = "10.0.0.1:4000".parse().expect("literal");
        let remote: std::net::SocketAddr = "10.0.0.2:5432".parse().expect("literal");
        event.connection = Some(Connection {
            protocol: Protocol::Tcp.into(),
            direction: Direction::Outbound.into(),
            local: Some(local.into()),
            remote: Some(remote.into()),
            error: 111,
            ..Connection::default()
        });
        event.peer_container = Some(Container {
            name: "db".into(),
            ..Container::default()
        });
        let line = of(&event, &plain());
        assert!(
            line.ends_with("curl[42] 10.0.0.1:4000 → db 10.0.0.2:5432  (tcp)  Connection refused"),
            "{line}"
        );
    }

    #[test]
    fn a_container_shows_what_was_killed_for_want_of_memory() {
        let line = |oom_killed, oom_kills| {
            let event = Event {
                kind: EventKind::Container.into(),
                container: Some(Container {
                    name: "db".into(),
                    image: "postgres:18".into(),
                    state: ContainerState::Running.into(),
                    oom_killed,
                    oom_kills,
                    last_oom_kill_unix_ns: 1_700_000_000_123_000_000,
                    ..Container::default()
                }),
                ..Event::default()
            };
            of(&event, &plain())
        };
        assert!(line(false, 0).ends_with("running postgres:18"));
        assert!(line(true, 1).ends_with("running postgres:18  (killed for want of memory)"));
        let one_of_many = line(false, 2);
        assert!(
            one_of_many.contains("(killed in it for want of memory: 2, the last at 2023-11-14"),
            "{one_of_many}"
        );
    }

    #[test]
    fn colours_wrap_the_same_text() {
        let event = event(EventKind::ProcessExec);
        let colored = of(&event, &Output::new(Color::Always));
        assert!(colored.contains("\x1b[32mexec     \x1b[0m"), "{colored:?}");
    }
}
