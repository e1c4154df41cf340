// The view as the page holds it: a pure function of the messages received.

import type { Incomplete, TopologyDiff, TopologyEdge, TopologyNode } from '../api/types';

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
    nodes: merged(topology.nodes, diff.nodes, diff.nodes_removed),
    edges: merged(topology.edges, diff.edges, diff.edges_removed),
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
