import { describe, expect, it } from 'vitest';
import { applyDiff, emptyTopology } from '../store/topology';
import { diff, edge, node } from './samples';
import { sortRows, tableRows } from './table';

const cpu = (value: number) => [{ key: 'cpu', label: 'CPU', value, unit: 'cores', max: 0 }];
const topology = applyDiff(
  emptyTopology('containers'),
  diff({
    reset: true,
    nodes: [node('b', { metrics: cpu(0.5) }), node('a', { metrics: cpu(0.9) }), node('c')],
    edges: [edge('a', 'b', { connections_open: 3, bytes_forward_per_s: 7 }), edge('a', 'c')],
  }),
)!;
const order = (column: 'label' | 'cpu' | 'traffic', descending: boolean) =>
  sortRows(tableRows(topology, null), { column, descending }).map((row) => row.node.id);

describe('table', () => {
  it('sums edges per node', () => {
    const rows = new Map(tableRows(topology, null).map((row) => [row.node.id, row]));
    expect(rows.get('a')).toMatchObject({ outbound: 4, inbound: 0, traffic: 7 });
    expect(rows.get('b')).toMatchObject({ outbound: 0, inbound: 3, traffic: 7 });
  });

  it('sorts both ways, with unknown values last', () => {
    expect(order('label', false)).toEqual(['a', 'b', 'c']);
    expect(order('cpu', true)).toEqual(['a', 'b', 'c']);
    expect(order('cpu', false)).toEqual(['b', 'a', 'c']);
    expect(order('traffic', true)).toEqual(['a', 'b', 'c']);
  });

  it('keeps only what was found', () => {
    expect(tableRows(topology, new Set(['c'])).map((row) => row.node.id)).toEqual(['c']);
  });
});
