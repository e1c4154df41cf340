// A node in words, for titles and for screen readers.

import type { TopologyNode } from '../api/types';

const KINDS: Record<string, string> = {
  process: 'Process',
  container: 'Container',
  host: 'Host',
  program: 'Program',
  image: 'Image',
  hostname: 'Host name',
  endpoint: 'Service',
  clients: 'Clients',
  internet: 'Outside',
  uncontained: 'Processes outside of containers',
  service: 'Remote service',
  address: 'Remote address',
};

export function kindName(kind: string): string {
  return KINDS[kind] ?? kind;
}

export function describeNode(node: TopologyNode): string {
  const parts = [node.label, kindName(node.kind)];
  if (node.group_label) parts.push(`on ${node.group_label}`);
  if (node.state) parts.push(node.state);
  if (node.health && node.health !== 'ok') parts.push(`${node.health}: ${node.health_reason || 'no reason given'}`);
  return parts.join(', ');
}
