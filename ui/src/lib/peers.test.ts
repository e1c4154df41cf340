import { describe, expect, it } from 'vitest';
import { applyDiff, emptyTopology } from '../store/topology';
import { peersOf } from './peers';
import { diff, edge, node } from './samples';

describe('peersOf', () => {
  const topology = applyDiff(
    emptyTopology('containers'),
    diff({
      reset: true,
      nodes: [node('web'), node('api'), node('db'), node('old')],
      edges: [
        edge('web', 'api', { application: 'http', bytes_forward_per_s: 10, ports: [80] }),
        edge('web', 'api', { application: 'grpc', bytes_back_per_s: 5, ports: [80, 81] }),
        edge('api', 'db', { bytes_forward_per_s: 100 }),
        edge('api', 'old', { connections_total: 3, failures_total: 3 }),
        edge('api', 'gone'),
      ],
    }),
  )!;

  it('merges the protocols of a peer and keeps directions apart', () => {
    const { inbound, outbound } = peersOf(topology, 'api');
    expect(inbound).toHaveLength(1);
    expect(inbound[0]).toMatchObject({ applications: ['http', 'grpc'], ports: [80, 81], bytesPerSecond: 15, connections: 2 });
    expect(outbound.map((peer) => peer.node.id)).toEqual(['old', 'db']);
  });

  it('adds up what the edges measure', () => {
    const both = applyDiff(
      topology,
      diff({
        sequence: topology.sequence + 1,
        edges: [
          edge('db', 'web', { connections_per_s: 1, failures_total: 2, retransmits_total: 3, first_seen_unix_ms: 50, last_seen_unix_ms: 60 }),
          edge('db', 'web', { application: 'tls', connections_per_s: 2, bytes_back_per_s: 7, first_seen_unix_ms: 40, last_seen_unix_ms: 55 }),
        ],
      }),
    )!;
    expect(peersOf(both, 'web').inbound[0]).toMatchObject({
      connectionsPerSecond: 3,
      backPerSecond: 7,
      failures: 2,
      retransmits: 3,
      firstSeenMs: 40,
      lastSeenMs: 60,
    });
  });

  it('puts failing peers first', () => {
    expect(peersOf(topology, 'api').outbound[0]!.failing).toBe(true);
  });
});
