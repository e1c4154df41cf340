// The view as the page holds it: a pure function of the messages received.

import type {
  EdgeCounts,
  EdgeFigures,
  Incomplete,
  NodeFigures,
  TopologyDiff,
  TopologyEdge,
  TopologyNode,
} from '../api/types';

export interface Topology {
  view: string;
  sequence: number;
  timeUnixMs: number;
  // As it was at that time, and not as it is.
  past: boolean;
  nodes: ReadonlyMap<string, TopologyNode>;
  edges: ReadonlyMap<string, TopologyEdge>;
  incomplete: readonly Incomplete[];
  nodesHidden: number;
  // False until the first whole view has arrived.
  loaded: boolean;
}

export function emptyTopology(view: string): Topology {
  return {
    view,
    sequence: 0,
    timeUnixMs: 0,
    past: false,
    nodes: new Map(),
    edges: new Map(),
    incomplete: [],
    nodesHidden: 0,
    loaded: false,
  };
}

// The view after the difference, or null when a message between the two is missing and the view has
// to be asked for again.
export function applyDiff(topology: Topology, diff: TopologyDiff): Topology | null {
  if (diff.reset) return replaced(diff);
  if (!topology.loaded || diff.view !== topology.view) return null;
  if (diff.sequence !== topology.sequence + 1) return null;
  return {
    view: topology.view,
    sequence: diff.sequence,
    timeUnixMs: diff.time_unix_ms,
    past: false,
    nodes: withPlaces(
      withNodeFigures(merged(topology.nodes, diff.nodes, diff.nodes_removed), diff.node_figures),
      diff.places,
    ),
    edges: withEdgeFigures(
      merged(topology.edges, diff.edges, diff.edges_removed),
      diff.edge_figures,
    ),
    incomplete: diff.incomplete_changed ? diff.incomplete : topology.incomplete,
    nodesHidden: diff.nodes_hidden,
    loaded: true,
  };
}

function replaced(diff: TopologyDiff): Topology {
  return {
    view: diff.view,
    sequence: diff.sequence,
    timeUnixMs: diff.time_unix_ms,
    past: diff.past ?? false,
    nodes: new Map(diff.nodes.map((node) => [node.id, node])),
    edges: new Map(diff.edges.map((edge) => [edge.id, edge])),
    incomplete: diff.incomplete,
    nodesHidden: diff.nodes_hidden,
    loaded: true,
  };
}

// Removals come first: a message that removes and adds the same id means the new one.
function merged<T extends { id: string }>(
  before: ReadonlyMap<string, T>,
  changed: readonly T[],
  removed: readonly string[],
): ReadonlyMap<string, T> {
  if (changed.length === 0 && removed.length === 0) return before;
  const after = new Map(before);
  for (const id of removed) after.delete(id);
  for (const item of changed) after.set(item.id, item);
  return after;
}

const NO_COUNTS: EdgeCounts = {
  connections_open: 0,
  connections_total: 0,
  failures_total: 0,
  bytes_forward: 0,
  bytes_back: 0,
  rtt_us: 0,
  retransmits_total: 0,
  last_seen_unix_ms: 0,
  connections_per_s: 0,
  bytes_forward_per_s: 0,
  bytes_back_per_s: 0,
};

// Changes what is there; what is not there is passed over.
function changed<T, P extends { id: string }>(
  before: ReadonlyMap<string, T>,
  parts: readonly P[],
  change: (item: T, part: P) => T,
): ReadonlyMap<string, T> {
  if (parts.length === 0) return before;
  const after = new Map(before);
  for (const part of parts) {
    const item = after.get(part.id);
    if (item) after.set(part.id, change(item, part));
  }
  return after;
}

function withNodeFigures(
  before: ReadonlyMap<string, TopologyNode>,
  figures: readonly NodeFigures[],
): ReadonlyMap<string, TopologyNode> {
  return changed(before, figures, (node, { children, values }) => ({
    ...node,
    children,
    metrics: node.metrics.map((metric, at) => ({ ...metric, value: values[at] ?? metric.value })),
  }));
}

function withEdgeFigures(
  before: ReadonlyMap<string, TopologyEdge>,
  figures: readonly EdgeFigures[],
): ReadonlyMap<string, TopologyEdge> {
  return changed(before, figures, (edge, counts) => ({ ...edge, ...NO_COUNTS, ...counts }));
}

function withPlaces(
  before: ReadonlyMap<string, TopologyNode>,
  places: TopologyDiff['places'],
): ReadonlyMap<string, TopologyNode> {
  return changed(before, places, (node, { x, y }) => ({ ...node, x, y }));
}
