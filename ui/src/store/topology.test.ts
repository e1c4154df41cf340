import { describe, expect, it } from 'vitest';
import { diff, edge, node } from '../lib/samples';
import { applyDiff, emptyTopology } from './topology';

const start = applyDiff(
  emptyTopology('containers'),
  diff({ reset: true, sequence: 7, nodes: [node('a'), node('b')], edges: [edge('a', 'b')], nodes_hidden: 3 }),
)!;

describe('applyDiff', () => {
  it('takes a reset as the whole view', () => {
    expect([...start.nodes.keys()]).toEqual(['a', 'b']);
    expect(start).toMatchObject({ loaded: true, sequence: 7, nodesHidden: 3 });
    const again = applyDiff(start, diff({ reset: true, sequence: 1, nodes: [node('c')] }))!;
    expect([...again.nodes.keys()]).toEqual(['c']);
    expect(again.edges.size).toBe(0);
  });

  it('adds, replaces and removes', () => {
    const next = applyDiff(
      start,
      diff({
        sequence: 8,
        nodes: [node('b', { label: 'renamed' }), node('c')],
        nodes_removed: ['a'],
        edges_removed: ['a>b>'],
        edges: [edge('c', 'b')],
      }),
    )!;
    expect([...next.nodes.keys()].sort()).toEqual(['b', 'c']);
    expect(next.nodes.get('b')!.label).toBe('renamed');
    expect([...next.edges.keys()]).toEqual(['c>b>']);
  });

  it('takes new figures and places of what is there, and no others', () => {
    const metric = { key: 'cpu', label: 'CPU', value: 1, unit: 'cores', max: 4 };
    const first = applyDiff(start, diff({ sequence: 8, nodes: [node('b', { label: 'kept', metrics: [metric] })] }))!;
    const busy = applyDiff(first, diff({ sequence: 9, edge_figures: [{ id: 'a>b>', connections_total: 7 }] }))!;
    const next = applyDiff(
      busy,
      diff({
        sequence: 10,
        node_figures: [
          { id: 'b', children: 3, values: [2.5] },
          { id: 'gone', children: 1, values: [] },
        ],
        edge_figures: [{ id: 'a>b>', connections_open: 2 }],
        places: [{ id: 'a', x: 5, y: 6 }],
      }),
    )!;
    const b = { label: 'kept', children: 3, metrics: [{ ...metric, value: 2.5 }] };
    expect(next.nodes.get('b')).toMatchObject(b);
    expect(next.nodes.get('a')).toMatchObject({ x: 5, y: 6 });
    expect([...next.nodes.keys()]).toEqual(['a', 'b']);
    expect(busy.edges.get('a>b>')!.connections_total).toBe(7);
    // What is left out is 0.
    expect(next.edges.get('a>b>')).toMatchObject({ source: 'a', connections_open: 2, connections_total: 0 });
    expect(first.nodes.get('b')!.metrics[0]!.value).toBe(1);
  });

  it('leaves the view before untouched', () => {
    applyDiff(start, diff({ sequence: 8, nodes_removed: ['a'] }));
    expect(start.nodes.has('a')).toBe(true);
  });

  it('keeps the same maps when nothing in them changed', () => {
    const next = applyDiff(start, diff({ sequence: 8 }))!;
    expect(next.nodes).toBe(start.nodes);
    expect(next.edges).toBe(start.edges);
  });

  it('takes an id that is removed and added in one message as added', () => {
    const next = applyDiff(start, diff({ sequence: 8, nodes_removed: ['a'], nodes: [node('a', { label: 'new' })] }))!;
    expect(next.nodes.get('a')!.label).toBe('new');
  });

  it('refuses a gap, a repeat, another view, and a difference before the whole', () => {
    expect(applyDiff(start, diff({ sequence: 9 }))).toBeNull();
    expect(applyDiff(start, diff({ sequence: 7 }))).toBeNull();
    expect(applyDiff(start, diff({ sequence: 8, view: 'hosts' }))).toBeNull();
    expect(applyDiff(emptyTopology('containers'), diff({ sequence: 1 }))).toBeNull();
  });

  it('tells an empty list of gaps from an unchanged one', () => {
    const gap = { agent_id: 'x', hostname: 'x', gap: null, message: 'lost' };
    const told = applyDiff(start, diff({ sequence: 8, incomplete: [gap], incomplete_changed: true }))!;
    expect(told.incomplete).toHaveLength(1);
    const same = applyDiff(told, diff({ sequence: 9 }))!;
    expect(same.incomplete).toHaveLength(1);
    const cleared = applyDiff(same, diff({ sequence: 10, incomplete_changed: true }))!;
    expect(cleared.incomplete).toHaveLength(0);
  });
});
