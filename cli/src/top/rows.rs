//! The rows of `top`, out of a view.

use std::collections::HashMap;

use mesoscope_proto::v1::Node;

use crate::arguments::{Sort, View};
use crate::text::{printable, rate};
use crate::topology::size;
use crate::topology::state::{State, metric};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub label: String,
    pub minor: String,
    pub place: String,
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub memory: f64,
    /// Bytes a second, both ways.
    pub network: f64,
    pub connections: f64,
}

/// The titles of the cells.
pub fn head(view: View) -> [&'static str; 7] {
    let (label, minor, place) = match view {
        View::Processes => ("PROCESS", "", "CONTAINER"),
        View::Containers => ("CONTAINER", "IMAGE", "HOST"),
        View::ProcessesByName => ("PROCESSES", "", ""),
        View::ContainersByImage => ("IMAGE", "", ""),
        View::ContainersByHostname => ("HOST NAME", "", ""),
        View::Services => ("SERVICE", "", "HOST"),
        View::Hosts => ("HOST", "KERNEL", ""),
    };
    ["CPU %", "MEMORY", "NETWORK", "CONN", label, minor, place]
}

impl Row {
    /// The cells, under [`head`].
    pub fn cells(&self) -> Vec<String> {
        vec![
            format!("{:.1}", self.cpu * 100.0),
            size(self.memory),
            rate(self.network),
            format!("{:.0}", self.connections),
            self.label.clone(),
            self.minor.clone(),
            self.place.clone(),
        ]
    }

    fn key(&self, sort: Sort) -> f64 {
        match sort {
            Sort::Cpu => self.cpu,
            Sort::Memory => self.memory,
            Sort::Network => self.network,
            Sort::Connections => self.connections,
        }
    }
}

/// What a node's edges carry.
#[derive(Debug, Default, Clone, Copy)]
struct Traffic {
    bytes_per_s: f64,
    connections: f64,
}

/// All rows, the busiest first; equals in the order of their labels, so that they don't jump.
pub fn sorted(state: &State, view: View, sort: Sort) -> Vec<Row> {
    let mut traffic: HashMap<&str, Traffic> = HashMap::new();
    for edge in state.edges.values() {
        let mut ends = vec![edge.source.as_str(), edge.target.as_str()];
        ends.dedup();
        for end in ends {
            let total = traffic.entry(end).or_default();
            total.bytes_per_s += edge.bytes_forward_per_s + edge.bytes_back_per_s;
            total.connections += f64::from(edge.connections_open);
        }
    }
    let mut rows: Vec<Row> = state
        .nodes
        .values()
        .filter(|node| !node.pseudo)
        .map(|node| {
            row(
                node,
                view,
                traffic.get(node.id.as_str()).copied().unwrap_or_default(),
            )
        })
        .collect();
    rows.sort_by(|a, b| {
        b.key(sort)
            .total_cmp(&a.key(sort))
            .then_with(|| (&a.label, &a.minor).cmp(&(&b.label, &b.minor)))
    });
    rows
}

fn row(node: &Node, view: View, traffic: Traffic) -> Row {
    let network = [metric(node, "network_in"), metric(node, "network_out")];
    let place = match view {
        View::Processes => node
            .parents
            .iter()
            .find(|parent| parent.view == "containers")
            .map_or("", |parent| parent.label.as_str()),
        View::Containers | View::Services => node.group_label.as_str(),
        View::ProcessesByName
        | View::ContainersByImage
        | View::ContainersByHostname
        | View::Hosts => "",
    };
    Row {
        label: printable(&node.label),
        minor: printable(&node.label_minor),
        place: printable(place),
        cpu: metric(node, "cpu").unwrap_or(0.0),
        memory: metric(node, "memory").unwrap_or(0.0),
        network: if network.iter().any(Option::is_some) {
            network.iter().flatten().sum()
        } else {
            traffic.bytes_per_s
        },
        connections: metric(node, "connections").unwrap_or(traffic.connections),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_proto::v1::{Edge, Metric, TopologyDiff};

    fn node(label: &str, cpu: f64, memory: f64) -> Node {
        let metric = |key: &str, value| Metric {
            key: key.into(),
            value,
            ..Metric::default()
        };
        Node {
            id: label.into(),
            label: label.into(),
            metrics: vec![metric("cpu", cpu), metric("memory", memory)],
            ..Node::default()
        }
    }

    fn labels(state: &State, sort: Sort) -> Vec<String> {
        sorted(state, View::Processes, sort)
            .into_iter()
            .map(|row| row.label)
            .collect()
    }

    #[test]
    fn rows_are_sorted_and_equals_keep_their_places() {
        let mut state = State::default();
        state.apply(TopologyDiff {
            reset: true,
            nodes: vec![
                node("a", 0.5, 1.0),
                node("b", 0.5, 3.0),
                node("c", f64::NAN, 2.0),
                Node {
                    pseudo: true,
                    ..node("internet", 9.0, 9.0)
                },
            ],
            edges: vec![Edge {
                id: "e".into(),
                source: "c".into(),
                target: "internet".into(),
                connections_open: 2,
                bytes_forward_per_s: 10.0,
                bytes_back_per_s: 5.0,
                ..Edge::default()
            }],
            ..TopologyDiff::default()
        });
        assert_eq!(labels(&state, Sort::Memory), ["b", "c", "a"]);
        assert_eq!(labels(&state, Sort::Network), ["c", "a", "b"]);
        assert_eq!(labels(&state, Sort::Connections), ["c", "a", "b"]);
        let rows = sorted(&state, View::Processes, Sort::Network);
        assert_eq!(rows[0].cells()[2..4], ["15 B/s", "2"]);
        // A figure that is no number must not break the order of the others.
        assert_eq!(labels(&state, Sort::Cpu), ["a", "b", "c"]);
    }
}
