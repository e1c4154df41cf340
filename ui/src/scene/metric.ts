// The chosen metric of a node as a level between empty and full, and in words.

import type { Metric, TopologyEdge, TopologyNode } from '../api/types';
import { joined, quantity } from '../lib/format';
import type { FillMetric } from '../store/page';
import { edgeRate } from './edges';

export interface Level {
  // 0 to 1, negative when the node does not have the metric.
  fill: number;
  text: string;
}

const NONE: Level = { fill: -1, text: '' };
// A rate has no natural end: 1 kB/s is empty, 1 GB/s full, by the logarithm between.
const RATE_EMPTY_LOG = 3;
const RATE_FULL_LOG = 9;

export function metricOf(node: TopologyNode, key: string): Metric | undefined {
  return node.metrics.find((metric) => metric.key === key);
}

// The bytes per second of each node's edges: what is known of the traffic of a process, which has no
// counters of its own.
export function trafficOf(edges: Iterable<TopologyEdge>): Map<string, number> {
  const traffic = new Map<string, number>();
  for (const edge of edges) {
    const rate = edgeRate(edge);
    if (rate === 0) continue;
    traffic.set(edge.source, (traffic.get(edge.source) ?? 0) + rate);
    traffic.set(edge.target, (traffic.get(edge.target) ?? 0) + rate);
  }
  return traffic;
}

// The chosen metric as one number; undefined when not known.
export function fillValue(
  node: TopologyNode,
  chosen: FillMetric,
  traffic: ReadonlyMap<string, number>,
): number | undefined {
  if (chosen !== 'network') return metricOf(node, chosen)?.value;
  const inward = metricOf(node, 'network_in')?.value;
  const outward = metricOf(node, 'network_out')?.value;
  return inward === undefined && outward === undefined ? traffic.get(node.id) : (inward ?? 0) + (outward ?? 0);
}

// `largest` is the greatest value in the view, for what has no maximum of its own.
export function level(node: TopologyNode, chosen: FillMetric, value: number | undefined, largest: number): Level {
  if (value === undefined) return NONE;
  if (chosen === 'network') {
    const log = value <= 0 ? 0 : (Math.log10(value) - RATE_EMPTY_LOG) / (RATE_FULL_LOG - RATE_EMPTY_LOG);
    return { fill: clamp(log), text: joined(quantity(value, 'bytes/s')) };
  }
  const metric = metricOf(node, chosen)!;
  // Without a limit, full is what the hungriest of the view uses; at least one core.
  const full = metric.max > 0 ? metric.max : Math.max(largest, 1);
  const suffix = chosen === 'cpu' ? ' cpu' : '';
  const share = clamp(value / full);
  // Most of what shares a machine uses a few percent of it; the root keeps that visible.
  return { fill: node.kind === 'host' ? share : Math.sqrt(share), text: joined(quantity(value, metric.unit)) + suffix };
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
