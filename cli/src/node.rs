//! `node`: everything known of one node.

use mesoscope_proto::v1::{
    ConnectionDetails, GetNodeRequest, Node as MapNode, NodeDetails, NodeRef, ProcessEntry, Tier2,
    Tier2State, ViewOptions, WatchTopologyRequest,
};
use tonic::Code;

use crate::arguments::{Node, Server};
use crate::connect::{Client, Failure, connect};
use crate::output::{Output, Style};
use crate::text::{bytes, duration, endpoint, printable};

/// Candidates that are named when several fit.
const CANDIDATES_MAX: usize = 10;
/// Levels of a tree that are told apart by their indent.
const INDENT_MAX: usize = 30;

/// Prints the node.
pub async fn run(server: &Server, options: &Node, mut output: Output) -> Result<(), Failure> {
    let mut client = connect(server).await?;
    let mut request = GetNodeRequest {
        view: options.view.name().to_owned(),
        id: options.id.clone(),
        environment: options.environment,
        at_unix_ms: 0,
    };
    let details = match client.get_node(request.clone()).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => {
            request.id = find(&mut client, server, &request).await?;
            client
                .get_node(request)
                .await
                .map_err(|status| Failure::of(&status, server))?
                .into_inner()
        }
        Err(status) => return Err(Failure::of(&status, server)),
    };
    if options.json {
        output.json(&details)?;
        return Ok(());
    }
    print(&details, &mut output)?;
    Ok(())
}

/// The id of the one node that the text means.
async fn find(
    client: &mut Client,
    server: &Server,
    request: &GetNodeRequest,
) -> Result<String, Failure> {
    let watch = WatchTopologyRequest {
        view: request.view.clone(),
        options: Some(ViewOptions {
            unconnected: Some(true),
            ended: Some(true),
            kernel_threads: Some(true),
            system: Some(true),
            ..ViewOptions::default()
        }),
        at_unix_ms: 0,
    };
    let failure = |status| Failure::of(&status, server);
    let mut stream = client
        .watch_topology(watch)
        .await
        .map_err(failure)?
        .into_inner();
    let first = stream.message().await.map_err(failure)?;
    let nodes = first.map(|diff| diff.nodes).unwrap_or_default();
    let mut fitting: Vec<&MapNode> = nodes
        .iter()
        .filter(|node| means(&request.id, node))
        .collect();
    // Of those that have ended only the name is left; a running one is what one asks for.
    if fitting.iter().any(|node| node.state == "running") {
        fitting.retain(|node| node.state == "running");
    }
    match fitting.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(Failure::Refused(format!(
            "no node of the {} view is called {:?}; `mesoscope topology --view {} --unconnected` lists them",
            request.view, request.id, request.view
        ))),
        several => {
            let ids: Vec<&str> = several
                .iter()
                .take(CANDIDATES_MAX)
                .map(|node| node.id.as_str())
                .collect();
            Err(Failure::Refused(format!(
                "{:?} fits {} nodes; name one by its id:\n  {}",
                request.id,
                several.len(),
                ids.join("\n  ")
            )))
        }
    }
}

/// Whether a person who types this means the node.
fn means(typed: &str, node: &MapNode) -> bool {
    if node.label == typed {
        return true;
    }
    let mut parts = node.id.split(';');
    match parts.next() {
        // At least six digits of a container's id, or a pid.
        Some("container") => {
            typed.len() >= 6 && parts.next().is_some_and(|id| id.starts_with(typed))
        }
        Some("process") => parts.nth(1) == Some(typed),
        _ => false,
    }
}

fn print(details: &NodeDetails, output: &mut Output) -> std::io::Result<()> {
    if let Some(node) = &details.node {
        let title = format!(
            "{}  {}",
            printable(&node.label),
            printable(&node.label_minor)
        );
        let title = output.paint(Style::Strong, title.trim_end());
        output.line(&format!("{title}  {} {}", node.kind, node.state))?;
        output.line(&output.paint(Style::Dim, &printable(&node.id)))?;
        if !node.health_reason.is_empty() {
            let text = output.paint(Style::Warning, &printable(&node.health_reason));
            output.line(&text)?;
        }
    }
    for section in &details.sections {
        output.line("")?;
        let title = output.paint(Style::Strong, &printable(&section.title));
        output.line(&title)?;
        let width = section
            .fields
            .iter()
            .map(|field| field.label.chars().count())
            .max()
            .unwrap_or(0);
        for field in &section.fields {
            let label = printable(&field.label);
            output.line(&format!(
                "  {label:<width$}  {}",
                value(&field.r#type, &field.value)
            ))?;
        }
    }
    if let Some(tier2) = &details.tier2 {
        output.line("")?;
        let title = output.paint(Style::Strong, "Tier 2");
        output.line(&title)?;
        output.line(&format!("  {}", standing(tier2)))?;
    }
    if let Some(node) = &details.node {
        references("Part of", &node.parents, output)?;
    }
    tree(details, output)?;
    // The tree has them already.
    let in_tree = |child: &NodeRef| {
        let known = |entry: &ProcessEntry| entry.id == child.id;
        details.processes.iter().any(known)
    };
    let children: Vec<NodeRef> = details
        .children
        .iter()
        .filter(|child| !in_tree(child))
        .cloned()
        .collect();
    references("Children", &children, output)?;
    if !details.connections.is_empty() {
        output.line("")?;
        output.table(
            &[
                "", "LOCAL", "REMOTE", "PEER", "PROTOCOL", "STATE", "SENT", "RECEIVED", "RTT",
            ],
            details.connections.iter().map(connection).collect(),
        )?;
    }
    if details.connections_left_out > 0 {
        output.line(&format!(
            "and {} more connections",
            details.connections_left_out
        ))?;
    }
    Ok(())
}

/// The same thing, or its parts, in other views.
fn references(title: &str, list: &[NodeRef], output: &mut Output) -> std::io::Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let title = output.paint(Style::Strong, title);
    output.line(&title)?;
    for one in list {
        output.line(&format!(
            "  {}  {}",
            printable(&one.label),
            printable(&one.id)
        ))?;
    }
    Ok(())
}

/// The processes, each below its parent.
fn tree(details: &NodeDetails, output: &mut Output) -> std::io::Result<()> {
    if details.processes.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let title = output.paint(Style::Strong, "Processes");
    output.line(&title)?;
    for entry in &details.processes {
        let line = tree_line(entry);
        let line = if entry.ended {
            output.paint(Style::Dim, &line)
        } else {
            line
        };
        output.line(&line)?;
    }
    if details.processes_left_out > 0 {
        output.line(&format!("  and {} more", details.processes_left_out))?;
    }
    Ok(())
}

fn tree_line(entry: &ProcessEntry) -> String {
    let indent = "  ".repeat(1 + usize::try_from(entry.depth).unwrap_or(0).min(INDENT_MAX));
    let command = if entry.command.is_empty() {
        printable(&entry.label)
    } else {
        printable(&entry.command)
    };
    let end = match (entry.ended, entry.exit.as_str()) {
        (false, _) => String::new(),
        (true, "") => "  (ended)".to_owned(),
        (true, how) => format!("  (ended: {})", printable(how)),
    };
    format!("{indent}{} {command}{end}", entry.pid)
}

/// How tier 2 stands at the node.
fn standing(tier2: &Tier2) -> String {
    let state = match (tier2.state(), tier2.asked) {
        (Tier2State::Off, false) => "off",
        (Tier2State::Off, true) => "asked for, not on yet",
        (Tier2State::Container, _) if tier2.container_id.is_empty() => "on for some containers",
        (Tier2State::Container, _) => "on for this container",
        (Tier2State::Node, _) => "on for the whole node",
        (Tier2State::Unavailable, _) => "not possible here",
        (Tier2State::Unspecified, _) => "not known",
    };
    match printable(&tier2.reason).as_str() {
        "" => state.to_owned(),
        reason => format!("{state}: {reason}"),
    }
}

/// A field's value as its type says.
fn value(kind: &str, value: &str) -> String {
    match (kind, value.parse::<u64>()) {
        ("bytes", Ok(count)) => bytes(count),
        ("time", Ok(unix_ms)) => crate::text::time(unix_ms.saturating_mul(1_000_000)),
        _ => printable(value),
    }
}

fn connection(connection: &ConnectionDetails) -> Vec<String> {
    let protocol = format!("{} {}", connection.protocol, connection.application);
    vec![
        connection.direction.clone(),
        endpoint(connection.local.as_ref()),
        endpoint(connection.remote.as_ref()),
        connection
            .peer
            .as_ref()
            .map_or_else(String::new, |peer| printable(&peer.label)),
        printable(protocol.trim_end()),
        connection.state.clone(),
        bytes(connection.bytes_sent),
        bytes(connection.bytes_received),
        if connection.rtt_us == 0 {
            String::new()
        } else {
            duration(u64::from(connection.rtt_us) * 1000)
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, label: &str) -> MapNode {
        MapNode {
            id: id.into(),
            label: label.into(),
            ..MapNode::default()
        }
    }

    #[test]
    fn a_node_is_found_by_name_pid_and_short_id() {
        let container = node("container;0123456789abcdef", "web");
        assert!(means("web", &container));
        assert!(means("0123456789ab", &container));
        assert!(!means("0", &container), "one digit fits half of them");
        assert!(!means("we", &container));
        let process = node("process;node-1;42;1234", "nginx");
        assert!(means("42", &process) && means("nginx", &process));
        assert!(!means("1234", &process));
    }

    #[test]
    fn a_process_stands_below_its_parent_and_says_how_it_ended() {
        let entry = ProcessEntry {
            pid: 42,
            depth: 2,
            command: "sleep 1\u{1b}[31m".into(),
            ended: true,
            exit: "exit code 1".into(),
            ..ProcessEntry::default()
        };
        let line = tree_line(&entry);
        assert!(line.starts_with("      42 sleep 1"), "{line:?}");
        assert!(line.ends_with("(ended: exit code 1)") && !line.contains('\u{1b}'));
        let deep = tree_line(&ProcessEntry {
            depth: u32::MAX,
            ..ProcessEntry::default()
        });
        assert!(deep.len() < 100, "a depth from the wire is bounded");
    }

    #[test]
    fn tier_2_is_told_in_words() {
        let told = |state: Tier2State, asked, container: &str, reason: &str| {
            standing(&Tier2 {
                state: state.into(),
                asked,
                container_id: container.into(),
                reason: reason.into(),
                ..Tier2::default()
            })
        };
        assert_eq!(told(Tier2State::Off, false, "c", ""), "off");
        let waits = told(Tier2State::Off, true, "c", "it takes effect when it runs");
        assert_eq!(waits, "asked for, not on yet: it takes effect when it runs");
        let on = told(Tier2State::Container, true, "c", "");
        assert_eq!(on, "on for this container");
        let some = told(Tier2State::Container, false, "", "");
        assert_eq!(some, "on for some containers");
        let none = told(Tier2State::Unavailable, false, "c", "no\u{1b}[31m right");
        assert!(none.starts_with("not possible here: no") && !none.contains('\u{1b}'));
    }

    #[test]
    fn values_follow_their_type() {
        assert_eq!(value("bytes", "1500"), "1.5 kB");
        assert_eq!(value("time", "1700000000123"), "2023-11-14T22:13:20.123Z");
        assert_eq!(value("text", "1500"), "1500");
        assert_eq!(value("bytes", "many"), "many");
    }
}
