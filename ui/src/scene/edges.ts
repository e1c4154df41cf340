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
  edges: ReadonlyMap<string, TopologyEdge>,
  index: ReadonlyMap<string, number>,
): EdgeArrays {
  const most = edges.size;
  const ids: string[] = [];
  const source = new Uint32Array(most);
  const target = new Uint32Array(most);
  const weight = new Float64Array(most);
  const width = new Float32Array(most);
  const flags = new Uint8Array(most);
  const lane = new Uint8Array(most);
  const lanes = new Map<number, number>();
  for (const edge of edges.values()) {
    const from = index.get(edge.source);
    const to = index.get(edge.target);
    if (from === undefined || to === undefined || from === to) continue;
    const i = ids.push(edge.id) - 1;
    const rate = edgeRate(edge);
    const failing = isFailing(edge);
    source[i] = from;
    target[i] = to;
    weight[i] = rate + edge.connections_open + (failing ? 1e6 : 0);
    width[i] = edgeWidth(rate);
    const idle = edge.connections_open === 0 && rate === 0;
    flags[i] = (failing ? EdgeFlag.Failing : 0) | (idle ? EdgeFlag.Idle : 0);
    const pair = from * index.size + to;
    const before = lanes.get(pair) ?? 0;
    lanes.set(pair, before + 1);
    lane[i] = before;
  }
  const count = ids.length;
  const arrays: EdgeArrays = {
    edgeIds: ids,
    edgeSource: source.subarray(0, count),
    edgeTarget: target.subarray(0, count),
    edgeWidth: width.subarray(0, count),
    edgeFlags: flags.subarray(0, count),
    edgeLane: lane.subarray(0, count),
    edgesByWeight: Uint32Array.from(ids.keys()).sort((a, b) => weight[b]! - weight[a]!),
    incidentStart: new Uint32Array(index.size + 1),
    incident: new Uint32Array(2 * count),
  };
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
  const bundles = new Map<number, Bundle>();
  // Ends lie between the negative of the number of nodes and that of groups, which is no larger.
  const ends = 2 * group.length + 1;
  const { edgeSource, edgeTarget, edgeWidth: width, edgeFlags } = arrays;
  for (let e = 0; e < edgeSource.length; e += 1) {
    const from = bundleEnd(group, edgeSource[e]!);
    const to = bundleEnd(group, edgeTarget[e]!);
    if (from === to) continue;
    const a = Math.min(from, to);
    const b = Math.max(from, to);
    const key = (a + group.length) * ends + b + group.length;
    const bundle = bundles.get(key) ?? { a, b, weight: 0, edges: 0, failing: 0 };
    bundle.weight += width[e]!;
    bundle.edges += 1;
    if ((edgeFlags[e]! & EdgeFlag.Failing) !== 0) bundle.failing += 1;
    bundles.set(key, bundle);
  }
  return [...bundles.values()].sort((one, two) => two.weight - one.weight);
}
