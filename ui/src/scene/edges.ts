// The edges of a scene: weight, state, order, and the sums between groups.

import type { TopologyEdge } from '../api/types';
import { EdgeFlag, type Bundle } from './scene';

// Bytes per second in both directions.
export function edgeRate(edge: TopologyEdge): number {
  return edge.bytes_forward_per_s + edge.bytes_back_per_s;
}

// 1 kB/s and less is the thinnest line, each tenfold adds one pixel.
export function edgeWidth(bytesPerSecond: number): number {
  return 1 + Math.max(0, Math.log10(Math.max(1, bytesPerSecond)) - 3);
}

export function isFailing(edge: TopologyEdge): boolean {
  return edge.failures_total > 0 && edge.failures_total * 2 >= edge.connections_total;
}

export interface EdgeArrays {
  edgeIds: string[];
  edgeSource: Uint32Array;
  edgeTarget: Uint32Array;
  edgeWidth: Float32Array;
  edgeFlags: Uint8Array;
  edgeLane: Uint8Array;
  edgesByWeight: Uint32Array;
  incidentStart: Uint32Array;
  incident: Uint32Array;
}

// Edges with an end that the view does not hold are left out.
export function buildEdges(
  edges: Iterable<TopologyEdge>,
  index: ReadonlyMap<string, number>,
): EdgeArrays {
  const kept: { edge: TopologyEdge; source: number; target: number; weight: number }[] = [];
  for (const edge of edges) {
    const source = index.get(edge.source);
    const target = index.get(edge.target);
    if (source === undefined || target === undefined || source === target) continue;
    const weight = edgeRate(edge) + edge.connections_open + (isFailing(edge) ? 1e6 : 0);
    kept.push({ edge, source, target, weight });
  }
  const count = kept.length;
  const arrays: EdgeArrays = {
    edgeIds: kept.map(({ edge }) => edge.id),
    edgeSource: new Uint32Array(count),
    edgeTarget: new Uint32Array(count),
    edgeWidth: new Float32Array(count),
    edgeFlags: new Uint8Array(count),
    edgeLane: new Uint8Array(count),
    edgesByWeight: Uint32Array.from(kept.keys()).sort((a, b) => kept[b]!.weight - kept[a]!.weight),
    incidentStart: new Uint32Array(index.size + 1),
    incident: new Uint32Array(2 * count),
  };
  const lanes = new Map<number, number>();
  kept.forEach(({ edge, source, target }, i) => {
    const pair = source * index.size + target;
    const lane = lanes.get(pair) ?? 0;
    lanes.set(pair, lane + 1);
    arrays.edgeLane[i] = lane;
    arrays.edgeSource[i] = source;
    arrays.edgeTarget[i] = target;
    arrays.edgeWidth[i] = edgeWidth(edgeRate(edge));
    const idle = edge.connections_open === 0 && edgeRate(edge) === 0;
    arrays.edgeFlags[i] = (isFailing(edge) ? EdgeFlag.Failing : 0) | (idle ? EdgeFlag.Idle : 0);
  });
  fillIncident(arrays, index.size);
  return arrays;
}

function fillIncident(arrays: EdgeArrays, nodes: number): void {
  const { edgeSource, edgeTarget, incidentStart, incident } = arrays;
  for (let e = 0; e < edgeSource.length; e += 1) {
    incidentStart[edgeSource[e]! + 1]! += 1;
    incidentStart[edgeTarget[e]! + 1]! += 1;
  }
  for (let n = 0; n < nodes; n += 1) incidentStart[n + 1]! += incidentStart[n]!;
  const next = incidentStart.slice();
  for (let e = 0; e < edgeSource.length; e += 1) {
    incident[next[edgeSource[e]!]!++] = e;
    incident[next[edgeTarget[e]!]!++] = e;
  }
}

function bundleEnd(group: Int32Array, node: number): number {
  const own = group[node]!;
  return own >= 0 ? own : -1 - node;
}

// Sums between groups, the heaviest first; traffic inside of a group is not part of it.
export function buildBundles(arrays: EdgeArrays, group: Int32Array): Bundle[] {
  const bundles = new Map<string, Bundle>();
  const { edgeSource, edgeTarget, edgeWidth: width, edgeFlags } = arrays;
  for (let e = 0; e < edgeSource.length; e += 1) {
    const from = bundleEnd(group, edgeSource[e]!);
    const to = bundleEnd(group, edgeTarget[e]!);
    if (from === to) continue;
    const a = Math.min(from, to);
    const b = Math.max(from, to);
    const key = `${a} ${b}`;
    const bundle = bundles.get(key) ?? { a, b, weight: 0, edges: 0, failing: 0 };
    bundle.weight += width[e]!;
    bundle.edges += 1;
    if ((edgeFlags[e]! & EdgeFlag.Failing) !== 0) bundle.failing += 1;
    bundles.set(key, bundle);
  }
  return [...bundles.values()].sort((one, two) => two.weight - one.weight);
}
