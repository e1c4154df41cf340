// Hosts as boxes of their capacity, in them what uses it: containers, and in those processes.

import { hierarchy, partition } from 'd3-hierarchy';
import type { NodeRef, TopologyNode, View } from '../api/types';
import { metricOf } from '../scene/metric';

export type Resource = 'cpu' | 'memory';
// What the width of a host stands for.
export type Scale = 'capacity' | 'used';

export interface Box {
  key: string;
  view: View;
  // Empty for what stands for several, or for what is no node.
  id: string;
  label: string;
  health: string;
  value: number;
  unit: string;
  // 1 for what runs on the host itself, 2 for what runs within that.
  depth: number;
  // Of the host's width, 0 to 1.
  from: number;
  to: number;
}

export interface HostBox {
  id: string;
  label: string;
  health: string;
  state: string;
  used: number | undefined;
  // 0 where nobody says.
  capacity: number;
  unit: string;
  boxes: Box[];
}

export interface Reported {
  hosts: readonly TopologyNode[];
  containers: readonly TopologyNode[];
  // Of the hosts that are opened.
  processes: readonly TopologyNode[];
}

interface Item extends Omit<Box, 'from' | 'to' | 'depth'> {
  // Its own, beyond its children's.
  own: number;
  children: Item[];
}

// Boxes narrower than this share of their host become one: they could not be seen or hit.
const SHARE_MIN = 0.006;
// More boxes than these side by side are no picture.
const CHILDREN_MAX = 60;

function parent(node: TopologyNode, view: View): string | undefined {
  return node.parents.find((ref: NodeRef) => ref.view === view)?.id;
}

function itemOf(node: TopologyNode, view: View, resource: Resource, children: Item[]): Item {
  const metric = metricOf(node, resource);
  const within = children.reduce((sum, child) => sum + child.value, 0);
  // Children are measured at another moment than the whole: what they use, it uses.
  const value = Math.max(metric?.value ?? 0, within);
  return {
    key: `${view} ${node.id}`,
    view,
    id: node.id,
    label: node.label,
    health: node.pseudo ? '' : node.health,
    value,
    unit: metric?.unit ?? (resource === 'cpu' ? 'cores' : 'bytes'),
    own: value - within,
    children,
  };
}

function grouped(nodes: readonly TopologyNode[], of: (node: TopologyNode) => string | undefined) {
  const found = new Map<string, TopologyNode[]>();
  for (const node of nodes) {
    const key = of(node);
    if (key === undefined) continue;
    const members = found.get(key);
    if (members) members.push(node);
    else found.set(key, [node]);
  }
  return found;
}

// The largest, and one for all that are too small to see.
function readable(items: Item[], whole: number, key: string): Item[] {
  const sorted = items
    .filter(({ value }) => value > 0)
    .sort((a, b) => b.value - a.value || (a.key < b.key ? -1 : 1));
  const least = whole * SHARE_MIN;
  let shown = sorted.findIndex(({ value }, i) => value < least || i >= CHILDREN_MAX);
  if (shown < 0) shown = sorted.length;
  const rest = sorted.slice(shown);
  if (rest.length < 2) return sorted;
  const value = rest.reduce((sum, item) => sum + item.value, 0);
  const { view, unit } = rest[0]!;
  const label = `${rest.length} smaller`;
  return [...sorted.slice(0, shown), { key: `${key} rest`, view, id: '', label, health: '', value, unit, own: value, children: [] }];
}

export function resourceBoxes(
  { hosts, containers, processes }: Reported,
  resource: Resource,
  scale: Scale = 'capacity',
): HostBox[] {
  const ofHost = grouped(containers, (node) => parent(node, 'hosts'));
  const ofContainer = grouped(processes, (node) => parent(node, 'containers'));
  const loose = grouped(
    processes.filter((node) => parent(node, 'containers') === undefined),
    (node) => parent(node, 'hosts'),
  );
  return hosts
    .filter(({ pseudo }) => !pseudo)
    .map((host) => {
      const metric = metricOf(host, resource);
      const own = (ofHost.get(host.id) ?? [])
        .filter(({ pseudo }) => !pseudo)
        .map((node) => withProcesses(node, ofContainer.get(node.id) ?? [], resource));
      const outside = (loose.get(host.id) ?? []).map((node) => itemOf(node, 'processes', resource, []));
      return hostBox(host, metric?.value, metric?.max ?? 0, [...own, ...outside], resource, scale);
    })
    .sort((a, b) => b.capacity - a.capacity || (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
}

function withProcesses(node: TopologyNode, processes: readonly TopologyNode[], resource: Resource): Item {
  const children = processes.map((process) => itemOf(process, 'processes', resource, []));
  return itemOf(node, 'containers', resource, children);
}

function hostBox(
  host: TopologyNode,
  used: number | undefined,
  capacity: number,
  items: Item[],
  resource: Resource,
  scale: Scale,
): HostBox {
  const within = items.reduce((sum, { value }) => sum + value, 0);
  const whole = Math.max(scale === 'capacity' ? capacity : 0, used ?? 0, within);
  const children = readable(items, whole, host.id).map((item) => ({
    ...item,
    children: readable(item.children, whole, item.key),
  }));
  const root = { own: whole - within, children } as unknown as Item;
  const tree = partition<Item>()(
    hierarchy<Item>(root, (item) => item.children)
      .sum(({ own }) => own)
      .sort((a, b) => (b.value ?? 0) - (a.value ?? 0)),
  );
  const boxes = tree
    .descendants()
    .slice(1)
    .map(({ data, depth, x0, x1 }) => {
      const { own: _own, children: _children, ...box } = data;
      return { ...box, depth, from: x0, to: x1 };
    });
  const { id, label, health, state } = host;
  return { id, label, health, state, used, capacity, unit: resource === 'cpu' ? 'cores' : 'bytes', boxes: whole > 0 ? boxes : [] };
}
