// From the view as received to the scene as drawn.

import { GapKind, type TopologyNode } from '../api/types';
import type { FillMetric } from '../store/page';
import type { Topology } from '../store/topology';
import { buildBundles, buildEdges, type EdgeArrays } from './edges';
import { finishGroup, type GroupInput } from './groups';
import { fillValue, level, trafficOf } from './metric';
import { isUnplaced, type LocalPlacement } from './placement';
import { EdgeFlag, HealthCode, NodeFlag, type Bounds, type Scene } from './scene';
import { roles, shapeOf } from './shape';

const HEALTH: Record<string, HealthCode> = {
  ok: HealthCode.Ok,
  warning: HealthCode.Warning,
  critical: HealthCode.Critical,
};

const ENDED_STATES = new Set(['exited', 'dead', 'removed', 'ended']);

export function hasEnded(node: TopologyNode): boolean {
  return ENDED_STATES.has(node.state);
}

// Nobody can tell how something is that no agent sees; only what is known to be bad counts.
export function hasHealth(node: TopologyNode): boolean {
  return !node.pseudo || node.health === 'warning' || node.health === 'critical';
}

export function healthCode(health: string): HealthCode {
  return HEALTH[health] ?? HealthCode.Unknown;
}

// Containers whose events the agents cap at the moment.
export function throttledContainers(topology: Pick<Topology, 'incomplete'>): Set<string> {
  const ids = new Set<string>();
  for (const { gap } of topology.incomplete) {
    if (gap?.kind === GapKind.Throttled && gap.container_id && gap.until_unix_ns === 0) ids.add(gap.container_id);
  }
  return ids;
}

export function buildScene(topology: Topology, chosen: FillMetric, placement: LocalPlacement): Scene {
  const nodes = [...topology.nodes.values()];
  const count = nodes.length;
  const index = new Map(nodes.map((node, i) => [node.id, i]));
  const local = isUnplaced(topology.nodes) ? placement.place(topology.nodes) : null;
  const throttled = throttledContainers(topology);
  const role = roles(topology.edges.values());
  const edges = buildEdges(topology.edges, index);
  const traffic = chosen === 'network' ? trafficOf(topology.edges.values()) : new Map<string, number>();
  const chosenValues = nodes.map((node) => fillValue(node, chosen, traffic));
  const largest = chosenValues.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);

  const arrays = {
    x: new Float32Array(count),
    y: new Float32Array(count),
    radius: new Float32Array(count),
    shape: new Uint8Array(count),
    health: new Uint8Array(count),
    flags: new Uint8Array(count),
    fill: new Float32Array(count),
    group: new Int32Array(count).fill(-1),
  };
  const values: string[] = new Array<string>(count);
  const grouped = new Map<string, GroupInput>();

  nodes.forEach((node, i) => {
    const position = local?.get(node.id) ?? [node.x, node.y];
    arrays.x[i] = position[0];
    arrays.y[i] = position[1];
    const degree = edges.incidentStart[i + 1]! - edges.incidentStart[i]!;
    arrays.radius[i] = radiusOf(node, degree);
    arrays.shape[i] = shapeOf(node, role);
    arrays.health[i] = hasHealth(node) ? healthCode(node.health) : HealthCode.Ok;
    arrays.flags[i] =
      (hasEnded(node) ? NodeFlag.Ended : 0) |
      (node.pseudo ? NodeFlag.Pseudo : 0) |
      (throttled.has(containerId(node)) ? NodeFlag.Throttled : 0);
    const { fill, text } = level(node, chosen, chosenValues[i], largest);
    arrays.fill[i] = fill;
    values[i] = node.pseudo ? node.label_minor : hasEnded(node) ? node.state : text;
    join(grouped, node, i);
  });

  markPast(edges, arrays.flags);
  const groups = [...grouped.values()].filter((group) => group.members.length > 0);
  groups.forEach((group, g) => group.members.forEach((member) => (arrays.group[member] = g)));
  const finished = groups.map((group) => finishGroup(group, arrays));

  return {
    view: topology.view,
    ids: nodes.map((node) => node.id),
    index,
    labels: nodes.map((node) => node.label || node.id),
    values,
    ...arrays,
    groups: finished,
    ...edges,
    bundles: buildBundles(edges, arrays.group),
    bounds: boundsOf(arrays, finished),
  };
}

function markPast(edges: EdgeArrays, flags: Uint8Array): void {
  edges.edgeFlags.forEach((_, edge) => {
    const ends = flags[edges.edgeSource[edge]!]! | flags[edges.edgeTarget[edge]!]!;
    if ((ends & NodeFlag.Ended) !== 0) edges.edgeFlags[edge]! |= EdgeFlag.Past;
  });
}

function join(groups: Map<string, GroupInput>, node: TopologyNode, i: number): void {
  if (!node.group) return;
  const group = groups.get(node.group) ?? { id: node.group, label: node.group_label || node.group, members: [] };
  group.members.push(i);
  groups.set(node.group, group);
}

// "container;ID" and "process;..." with its container as a parent.
function containerId(node: TopologyNode): string {
  const own = node.id.startsWith('container;') ? node.id : node.parents.find((one) => one.view === 'containers')?.id;
  return own?.slice(own.indexOf(';') + 1) ?? '';
}

// Hubs stand out; a host is as large as its size in children tells.
function radiusOf(node: TopologyNode, degree: number): number {
  const base = { host: 17, internet: 17, process: 9, address: 9 }[node.kind] ?? 10;
  return base + Math.min(5, 1.1 * Math.log2(1 + degree)) + Math.min(3, 0.7 * Math.log2(1 + node.children));
}

function boundsOf(
  nodes: { x: Float32Array; y: Float32Array; radius: Float32Array },
  groups: Scene['groups'],
): Bounds {
  const bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  const include = (x: number, y: number, radius: number) => {
    bounds.left = Math.min(bounds.left, x - radius);
    bounds.right = Math.max(bounds.right, x + radius);
    bounds.top = Math.min(bounds.top, y - radius);
    bounds.bottom = Math.max(bounds.bottom, y + radius);
  };
  nodes.x.forEach((x, i) => include(x, nodes.y[i]!, nodes.radius[i]! + 16));
  for (const { hull, padding } of groups) {
    for (let i = 0; i < hull.length; i += 2) include(hull[i]!, hull[i + 1]!, padding);
  }
  return Number.isFinite(bounds.left) ? bounds : { left: -100, top: -100, right: 100, bottom: 100 };
}
