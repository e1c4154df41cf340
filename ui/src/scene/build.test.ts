import { describe, expect, it } from 'vitest';
import type { TopologyDiff } from '../api/types';
import { diff, edge, node } from '../lib/samples';
import { applyDiff, emptyTopology } from '../store/topology';
import { buildScene } from './build';
import { LocalPlacement } from './placement';
import { EdgeFlag, HealthCode, NodeFlag, Shape } from './scene';

function scene(fields: Partial<TopologyDiff>, metric: 'cpu' | 'memory' | 'network' = 'cpu') {
  const topology = applyDiff(emptyTopology('containers'), diff({ reset: true, ...fields }))!;
  return buildScene(topology, metric, new LocalPlacement());
}

const on = (host: string, x: number, y: number) => ({ group: host, group_label: host, x, y });

describe('buildScene', () => {
  it('takes positions from the server as they are', () => {
    const built = scene({ nodes: [node('a', { x: 10, y: -20 }), node('b')] });
    expect([...built.x]).toEqual([10, 0]);
    expect([...built.y]).toEqual([-20, 0]);
  });

  it('places nodes itself when the server has not, each somewhere else', () => {
    const nodes = Array.from({ length: 30 }, (_, i) => node(`n${i}`, { group: i % 3 ? 'a' : 'b' }));
    const built = scene({ nodes });
    const places = new Set(nodes.map((_, i) => `${Math.round(built.x[i]!)} ${Math.round(built.y[i]!)}`));
    expect(places.size).toBe(30);
  });

  it('drops edges whose ends are not in the view', () => {
    const built = scene({ nodes: [node('a'), node('b')], edges: [edge('a', 'b'), edge('a', 'gone'), edge('b', 'b')] });
    expect(built.edgeIds).toEqual(['a>b>']);
    expect([...built.incident.subarray(built.incidentStart[0]!, built.incidentStart[1]!)]).toEqual([0]);
  });

  it('keeps protocols between the same two apart', () => {
    const edges = [edge('a', 'b', { application: 'http' }), edge('a', 'b', { application: 'dns' }), edge('b', 'a')];
    expect([...scene({ nodes: [node('a'), node('b')], edges }).edgeLane]).toEqual([0, 1, 0]);
  });

  it('marks failing, idle, ended, outside and capped', () => {
    const capped = { agent_id: 'h', hostname: 'h', message: '', gap: gap('2') };
    const built = scene({
      nodes: [
        node('container;1', { state: 'exited' }),
        node('container;2'),
        node('pseudo;internet', { pseudo: true, health: 'unknown', kind: 'internet' }),
      ],
      edges: [
        edge('container;1', 'container;2', { failures_total: 4, connections_total: 4, connections_open: 0 }),
        edge('container;2', 'pseudo;internet'),
      ],
      incomplete: [capped],
    });
    expect(built.flags[0]).toBe(NodeFlag.Ended);
    expect(built.flags[1]).toBe(NodeFlag.Throttled);
    expect(built.flags[2]).toBe(NodeFlag.Pseudo);
    expect(built.health[2]).toBe(HealthCode.Ok);
    expect(built.edgeFlags[0]).toBe(EdgeFlag.Failing | EdgeFlag.Idle | EdgeFlag.Past);
    expect(built.edgeFlags[1]).toBe(0);
    // What fails comes first, whatever its traffic.
    expect(built.edgesByWeight[0]).toBe(0);
  });

  it('gives a server of a store protocol the shape of a store', () => {
    const built = scene({ nodes: [node('a'), node('db')], edges: [edge('a', 'db', { application: 'postgresql' })] });
    expect([...built.shape]).toEqual([Shape.Hexagon, Shape.Cylinder]);
  });

  it('tells the group its worst living state', () => {
    const built = scene({
      nodes: [
        node('a', { ...on('h1', 0, 0), health: 'critical', state: 'exited' }),
        node('b', { ...on('h1', 50, 0), health: 'warning' }),
        node('c', on('h2', 500, 0)),
      ],
      edges: [edge('a', 'c'), edge('b', 'c'), edge('a', 'b')],
    });
    expect(built.groups.map((group) => [group.label, group.health, group.critical])).toEqual([
      ['h1', HealthCode.Warning, 0],
      ['h2', HealthCode.Ok, 0],
    ]);
    expect(built.bundles).toHaveLength(1);
    expect(built.bundles[0]).toMatchObject({ a: 0, b: 1, edges: 2, failing: 0 });
  });

  it('fills by the chosen metric, and says when it is not known', () => {
    const metrics = [
      { key: 'memory', label: 'Memory', value: 25, unit: 'bytes', max: 100 },
      { key: 'network_in', label: 'In', value: 1e9, unit: 'bytes/s', max: 0 },
    ];
    const nodes = [node('a', { metrics }), node('b')];
    expect([...scene({ nodes }, 'memory').fill]).toEqual([0.5, -1]);
    expect([...scene({ nodes }, 'network').fill]).toEqual([1, -1]);
    expect([...scene({ nodes }, 'cpu').fill]).toEqual([-1, -1]);
  });

  it('puts the tab of a group on its border', () => {
    const nodes = [node('a', on('h', 0, 0)), node('b', on('h', 100, -100)), node('c', on('h', 100, 100))];
    const [group] = scene({ nodes }).groups;
    // Between the middle (50) and the highest corner (100, -100); the side above is at 45 degrees.
    expect(group!.tabX).toBe(75);
    expect(group!.top).toBeCloseTo(-75 - group!.padding * Math.SQRT2, 0);
    expect(group!.bottom).toBeCloseTo(75 + group!.padding * Math.SQRT2, 0);
  });

  it('is whole without any node', () => {
    expect(scene({}).bounds.right).toBeGreaterThan(scene({}).bounds.left);
  });
});

function gap(containerId: string) {
  return {
    kind: 2,
    what: 'all',
    since_unix_ns: 1,
    until_unix_ns: 0,
    count: 1,
    cgroup_id: 1,
    container_id: containerId,
    detail: '',
  };
}
