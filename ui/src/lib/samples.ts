// Whole messages for tests, from the few fields that a test is about.

import type { TopologyDiff, TopologyEdge, TopologyNode } from '../api/types';

export function node(id: string, fields: Partial<TopologyNode> = {}): TopologyNode {
  return {
    id,
    kind: 'container',
    label: id,
    label_minor: '',
    group: '',
    group_label: '',
    state: 'running',
    health: 'ok',
    health_reason: '',
    pseudo: false,
    metadata: [],
    metrics: [],
    parents: [],
    first_seen_unix_ms: 0,
    x: 0,
    y: 0,
    children: 0,
    ...fields,
  };
}

export function edge(source: string, target: string, fields: Partial<TopologyEdge> = {}): TopologyEdge {
  const application = fields.application ?? '';
  return {
    id: `${source}>${target}>${application}`,
    source,
    target,
    protocol: 'tcp',
    application,
    connections_open: 1,
    connections_total: 1,
    failures_total: 0,
    bytes_forward: 0,
    bytes_back: 0,
    rtt_us: 0,
    retransmits_total: 0,
    first_seen_unix_ms: 0,
    last_seen_unix_ms: 0,
    ports: [],
    connections_per_s: 0,
    bytes_forward_per_s: 0,
    bytes_back_per_s: 0,
    ...fields,
  };
}

export function diff(fields: Partial<TopologyDiff> = {}): TopologyDiff {
  return {
    view: 'containers',
    sequence: 1,
    reset: false,
    time_unix_ms: 0,
    nodes: [],
    nodes_removed: [],
    edges: [],
    edges_removed: [],
    incomplete: [],
    incomplete_changed: false,
    nodes_hidden: 0,
    node_figures: [],
    edge_figures: [],
    places: [],
    figures_period_ms: 0,
    ...fields,
  };
}
