// Which shape a node has: by its kind, and for what serves a well-known store or queue protocol by
// that role.

import type { TopologyEdge, TopologyNode } from '../api/types';
import { Shape } from './scene';

const STORES = new Set([
  'postgresql', 'postgres', 'mysql', 'mongodb', 'redis', 'memcached', 'cassandra', 'elasticsearch',
  'zookeeper', 'etcd', 'ldap', 'mssql', 'oracle',
]);
const QUEUES = new Set(['kafka', 'amqp', 'mqtt', 'nats']);

const BY_KIND: Record<string, Shape> = {
  process: Shape.Circle,
  container: Shape.Hexagon,
  host: Shape.Square,
  program: Shape.Circle,
  image: Shape.Hexagon,
  hostname: Shape.Hexagon,
  endpoint: Shape.Diamond,
  clients: Shape.Square,
  internet: Shape.Cloud,
  uncontained: Shape.Square,
  service: Shape.Diamond,
  address: Shape.Diamond,
};

export function shapeOfKind(kind: string): Shape {
  return BY_KIND[kind] ?? Shape.Circle;
}

// The role of each node that other nodes speak a store's or a queue's protocol to.
export function roles(edges: Iterable<TopologyEdge>): Map<string, Shape> {
  const found = new Map<string, Shape>();
  for (const edge of edges) {
    if (STORES.has(edge.application)) found.set(edge.target, Shape.Cylinder);
    else if (QUEUES.has(edge.application)) found.set(edge.target, Shape.Pill);
  }
  return found;
}

export function shapeOf(node: TopologyNode, role: Map<string, Shape>): Shape {
  const fixed = node.kind === 'host' || node.kind === 'internet' || node.kind === 'uncontained';
  return (fixed ? undefined : role.get(node.id)) ?? shapeOfKind(node.kind);
}
