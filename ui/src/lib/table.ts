// The rows of the table view: plain values to show and to sort by.

import type { TopologyNode } from '../api/types';
import { edgeRate } from '../scene/edges';
import { metricOf } from '../scene/metric';
import type { Topology } from '../store/topology';

export const COLUMN_KEYS = [
  'label',
  'group',
  'health',
  'cpu',
  'memory',
  'traffic',
  'inbound',
  'outbound',
  'seen',
] as const;
export type ColumnKey = (typeof COLUMN_KEYS)[number];

export interface Row {
  node: TopologyNode;
  label: string;
  group: string;
  health: number;
  cpu: number | undefined;
  memory: number | undefined;
  // Bytes per second over all of its edges.
  traffic: number;
  inbound: number;
  outbound: number;
  seen: number;
}

export interface Sort {
  column: ColumnKey;
  descending: boolean;
}

const SEVERITY: Record<string, number> = { critical: 3, warning: 2, ok: 0 };

export function tableRows(topology: Topology, only: ReadonlySet<string> | null): Row[] {
  const rows = new Map<string, Row>();
  for (const node of topology.nodes.values()) {
    if (only && !only.has(node.id)) continue;
    rows.set(node.id, {
      node,
      label: node.label.toLowerCase(),
      group: node.group_label.toLowerCase(),
      health: SEVERITY[node.health] ?? 1,
      cpu: metricOf(node, 'cpu')?.value,
      memory: metricOf(node, 'memory')?.value,
      traffic: 0,
      inbound: 0,
      outbound: 0,
      seen: node.first_seen_unix_ms,
    });
  }
  for (const edge of topology.edges.values()) {
    const source = rows.get(edge.source);
    const target = rows.get(edge.target);
    if (source) {
      source.outbound += edge.connections_open;
      source.traffic += edgeRate(edge);
    }
    if (target) {
      target.inbound += edge.connections_open;
      target.traffic += edgeRate(edge);
    }
  }
  return [...rows.values()];
}

// Unknown values come last in both directions; ties go by name and id, so that rows do not dance.
export function sortRows(rows: readonly Row[], { column, descending }: Sort): Row[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [a[column], b[column]];
    if (x === undefined || y === undefined) {
      if (x !== y) return x === undefined ? 1 : -1;
    } else if (x !== y) return x < y ? -sign : sign;
    return a.label < b.label ? -1 : a.label > b.label ? 1 : a.node.id < b.node.id ? -1 : 1;
  });
}
