//! A view as two tables, and its changes as lines.

use mesoscope_proto::v1::{Edge, Node, TopologyDiff};

use super::state::{State, metric};
use crate::output::{Output, Style};
use crate::text::{bytes, duration, printable, rate};

/// The whole view.
pub fn whole(state: &State, output: &mut Output) -> std::io::Result<()> {
    let mut nodes: Vec<&Node> = state.nodes.values().collect();
    nodes.sort_by(|a, b| (&a.group_label, &a.label, &a.id).cmp(&(&b.group_label, &b.label, &b.id)));
    let rows = nodes.into_iter().map(node_row).collect();
    output.table(
        &["NODE", "", "KIND", "STATE", "CPU", "MEMORY", "GROUP", "ID"],
        rows,
    )?;
    output.line("")?;
    let mut edges: Vec<&Edge> = state.edges.values().collect();
    edges.sort_by_key(|edge| {
        (
            state.label(&edge.source),
            state.label(&edge.target),
            &edge.id,
        )
    });
    let rows = edges
        .into_iter()
        .map(|edge| edge_row(state, edge))
        .collect();
    output.table(
        &[
            "FROM",
            "TO",
            "PROTOCOL",
            "OPEN",
            "TOTAL",
            "FAILED",
            "BYTES →",
            "BYTES ←",
            "CONN/S",
            "RTT",
            "RETRANSMITS",
        ],
        rows,
    )?;
    if state.hidden > 0 {
        output.line(&format!(
            "\n{} nodes are left out by the view's options",
            state.hidden
        ))?;
    }
    incomplete(
        state
            .incomplete
            .iter()
            .map(|incomplete| incomplete.message.as_str()),
        output,
    )
}

/// What a difference changes.
pub fn changes(state: &State, diff: &TopologyDiff, output: &mut Output) -> std::io::Result<()> {
    for node in &diff.nodes {
        let known = state.nodes.get(&node.id);
        // Figures change all the time; what is there and how it is does not.
        if known.is_some_and(|known| {
            known.state == node.state && known.label == node.label && known.health == node.health
        }) {
            continue;
        }
        let (sign, style) = if known.is_some() {
            ("~", Style::Warning)
        } else {
            ("+", Style::Good)
        };
        let sign = output.paint(style, sign);
        let reason = if node.health_reason.is_empty() {
            String::new()
        } else {
            format!("  ({})", printable(&node.health_reason))
        };
        output.line(&format!(
            "{sign} {}  {}  {} {}{reason}",
            printable(&node.label),
            printable(&node.label_minor),
            node.kind,
            node.state
        ))?;
    }
    for edge in &diff.edges {
        if !state.edges.contains_key(&edge.id) {
            let sign = output.paint(Style::Good, "+");
            let label = |id| label_after(state, diff, id);
            output.line(&format!(
                "{sign} {} → {}  {}",
                label(&edge.source),
                label(&edge.target),
                protocol(edge)
            ))?;
        }
    }
    for id in &diff.edges_removed {
        if let Some(edge) = state.edges.get(id) {
            let sign = output.paint(Style::Dim, "-");
            let (source, target) = (state.label(&edge.source), state.label(&edge.target));
            output.line(&format!(
                "{sign} {} → {}  {}",
                printable(source),
                printable(target),
                protocol(edge)
            ))?;
        }
    }
    for id in &diff.nodes_removed {
        if let Some(node) = state.nodes.get(id) {
            let sign = output.paint(Style::Dim, "-");
            output.line(&format!(
                "{sign} {}  {}  {}",
                printable(&node.label),
                printable(&node.label_minor),
                node.kind
            ))?;
        }
    }
    if diff.incomplete_changed {
        if diff.incomplete.is_empty() {
            output.line("the map is complete")?;
        }
        incomplete(
            diff.incomplete
                .iter()
                .map(|incomplete| incomplete.message.as_str()),
            output,
        )?;
    }
    Ok(())
}

fn label_after(state: &State, diff: &TopologyDiff, id: &str) -> String {
    let new = diff
        .nodes
        .iter()
        .find(|node| node.id == id && !node.label.is_empty());
    printable(new.map_or_else(|| state.label(id), |node| &node.label))
}

/// What the map does not show, in the aggregator's words.
pub fn incomplete<'a>(
    messages: impl Iterator<Item = &'a str>,
    output: &mut Output,
) -> std::io::Result<()> {
    for message in messages {
        let text = output.paint(
            Style::Warning,
            &format!("incomplete: {}", printable(message)),
        );
        output.line(&text)?;
    }
    Ok(())
}

fn node_row(node: &Node) -> Vec<String> {
    vec![
        printable(&node.label),
        printable(&node.label_minor),
        node.kind.clone(),
        node.state.clone(),
        metric(node, "cpu").map_or_else(String::new, |cores| format!("{:.1} %", cores * 100.0)),
        metric(node, "memory").map_or_else(String::new, size),
        printable(&node.group_label),
        printable(&node.id),
    ]
}

fn edge_row(state: &State, edge: &Edge) -> Vec<String> {
    vec![
        printable(state.label(&edge.source)),
        printable(state.label(&edge.target)),
        protocol(edge),
        edge.connections_open.to_string(),
        edge.connections_total.to_string(),
        edge.failures_total.to_string(),
        bytes(edge.bytes_forward),
        bytes(edge.bytes_back),
        if edge.connections_per_s == 0.0 {
            String::new()
        } else {
            format!("{:.1}", edge.connections_per_s)
        },
        if edge.rtt_us == 0 {
            String::new()
        } else {
            duration(u64::from(edge.rtt_us) * 1000)
        },
        if edge.retransmits_total == 0 {
            String::new()
        } else {
            edge.retransmits_total.to_string()
        },
    ]
}

/// "tcp 80 http".
fn protocol(edge: &Edge) -> String {
    let ports: Vec<String> = edge.ports.iter().map(ToString::to_string).collect();
    let text = format!("{} {} {}", edge.protocol, ports.join(","), edge.application);
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A metric in bytes.
pub fn size(value: f64) -> String {
    rate(value).trim_end_matches("/s").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_names_its_protocol_and_ports() {
        let edge = Edge {
            protocol: "tcp".into(),
            application: "http".into(),
            ports: vec![80, 8080],
            ..Edge::default()
        };
        assert_eq!(protocol(&edge), "tcp 80,8080 http");
        assert_eq!(
            protocol(&Edge {
                protocol: "udp".into(),
                ..Edge::default()
            }),
            "udp"
        );
        assert_eq!(size(2_000_000.0), "2.0 MB");
    }
}
