//! New figures of nodes and edges that are there.

use crate::v1::{Edge, EdgeFigures, Node, NodeFigures};

impl NodeFigures {
    /// Gives a node these figures.
    pub fn apply_to(&self, node: &mut Node) {
        node.children = self.children;
        for (metric, value) in node.metrics.iter_mut().zip(&self.values) {
            metric.value = *value;
        }
    }
}

impl EdgeFigures {
    /// Gives an edge these figures.
    pub fn apply_to(&self, edge: &mut Edge) {
        edge.connections_open = self.connections_open;
        edge.connections_total = self.connections_total;
        edge.failures_total = self.failures_total;
        edge.bytes_forward = self.bytes_forward;
        edge.bytes_back = self.bytes_back;
        edge.rtt_us = self.rtt_us;
        edge.retransmits_total = self.retransmits_total;
        edge.last_seen_unix_ms = self.last_seen_unix_ms;
        edge.connections_per_s = self.connections_per_s;
        edge.bytes_forward_per_s = self.bytes_forward_per_s;
        edge.bytes_back_per_s = self.bytes_back_per_s;
    }
}
