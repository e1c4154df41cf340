// Whom a node talks to, from the edges of the view.

import type { TopologyNode } from '../api/types';
import { edgeRate, isFailing } from '../scene/edges';
import type { Topology } from '../store/topology';

export interface Peer {
  node: TopologyNode;
  applications: string[];
  ports: number[];
  connections: number;
  // Both directions.
  bytesPerSecond: number;
  bytes: number;
  rttUs: number;
  failing: boolean;
  // What the edges measure, from their source to their target and back.
  connectionsPerSecond: number;
  forwardPerSecond: number;
  backPerSecond: number;
  failures: number;
  retransmits: number;
  firstSeenMs: number;
  lastSeenMs: number;
}

export interface Peers {
  inbound: Peer[];
  outbound: Peer[];
}

export function peersOf(topology: Topology, id: string): Peers {
  const inbound = new Map<string, Peer>();
  const outbound = new Map<string, Peer>();
  for (const edge of topology.edges.values()) {
    if (edge.source !== id && edge.target !== id) continue;
    const out = edge.source === id;
    const node = topology.nodes.get(out ? edge.target : edge.source);
    if (!node) continue;
    const peers = out ? outbound : inbound;
    const peer = peers.get(node.id) ?? {
      node,
      applications: [],
      ports: [],
      connections: 0,
      bytesPerSecond: 0,
      bytes: 0,
      rttUs: 0,
      failing: false,
      connectionsPerSecond: 0,
      forwardPerSecond: 0,
      backPerSecond: 0,
      failures: 0,
      retransmits: 0,
      firstSeenMs: edge.first_seen_unix_ms,
      lastSeenMs: 0,
    };
    if (edge.application && !peer.applications.includes(edge.application)) peer.applications.push(edge.application);
    for (const port of edge.ports) if (!peer.ports.includes(port)) peer.ports.push(port);
    peer.connections += edge.connections_open;
    peer.bytesPerSecond += edgeRate(edge);
    peer.bytes += edge.bytes_forward + edge.bytes_back;
    peer.rttUs = Math.max(peer.rttUs, edge.rtt_us);
    peer.failing ||= isFailing(edge);
    peer.connectionsPerSecond += edge.connections_per_s;
    peer.forwardPerSecond += edge.bytes_forward_per_s;
    peer.backPerSecond += edge.bytes_back_per_s;
    peer.failures += edge.failures_total;
    peer.retransmits += edge.retransmits_total;
    peer.firstSeenMs = Math.min(peer.firstSeenMs, edge.first_seen_unix_ms);
    peer.lastSeenMs = Math.max(peer.lastSeenMs, edge.last_seen_unix_ms);
    peers.set(node.id, peer);
  }
  return { inbound: ordered(inbound), outbound: ordered(outbound) };
}

function ordered(peers: Map<string, Peer>): Peer[] {
  return [...peers.values()].sort(
    (a, b) =>
      Number(b.failing) - Number(a.failing) ||
      b.bytesPerSecond - a.bytesPerSecond ||
      b.bytes - a.bytes ||
      a.node.label.localeCompare(b.node.label),
  );
}
