import { describe, expect, it } from 'vitest';
import { applyDiff, emptyTopology } from '../store/topology';
import { csvOf, fileName, viewOf } from './export';
import { diff, edge, node } from './samples';
import { tableRows } from './table';

function topologyOf(...labels: string[]) {
  const nodes = labels.map((label, i) => node(String(i), { label }));
  return applyDiff(emptyTopology('containers'), diff({ reset: true, nodes, edges: [edge('0', '1')] }))!;
}

// The first cell of each row, as RFC 4180 reads it.
function names(csv: string): string[] {
  return [...csv.matchAll(/(?:^|\r\n)(?:"((?:[^"]|"")*)"|([^,"\r\n]*)),/g)]
    .slice(1)
    .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!);
}

describe('CSV', () => {
  it('makes no cell a formula', () => {
    const hostile = ['=1+1', '+1', '-2+3', '@SUM(A1)', '\t=1', '\r=1', ' =1', '=HYPERLINK("http://x","a")'];
    for (const name of names(csvOf(tableRows(topologyOf(...hostile), null)))) {
      expect(name.startsWith("'")).toBe(true);
    }
  });

  it('keeps every other name as it is', () => {
    const plain = ['web', 'a,b', 'say "hi"', 'two\nlines', '<script>', "it's", 'ümlaut'];
    expect(names(csvOf(tableRows(topologyOf(...plain), null)))).toEqual(plain);
  });

  it('has as many columns in each row, numbers as numbers and moments in UTC', () => {
    const metrics = [{ key: 'cpu', label: 'CPU', value: 0.25, unit: 'cores', max: 2 }];
    const nodes = [node('a', { metrics, first_seen_unix_ms: Date.UTC(2026, 0, 2) })];
    const topology = applyDiff(emptyTopology('containers'), diff({ reset: true, nodes }))!;
    const [head, row] = csvOf(tableRows(topology, null)).split('\r\n');
    expect(row!.split(',')).toHaveLength(head!.split(',').length);
    expect(row).toContain(',0.25,');
    expect(row).toContain('2026-01-02T00:00:00.000Z');
  });
});

describe('JSON of the view', () => {
  it('holds what is seen, and the edges between it', () => {
    const topology = topologyOf('a', 'b', 'c');
    const filters = { search: 'a', pins: [], health: null, hosts: [] };
    expect(viewOf(topology, null, filters, '#view=containers', 1).edges).toHaveLength(1);
    const some = viewOf(topology, new Set(['0', 'gone']), filters, '#view=containers', 1);
    expect(some.nodes.map(({ id }) => id)).toEqual(['0']);
    expect(some.edges).toEqual([]);
  });
});

describe('the file', () => {
  it('has a name that every system takes', () => {
    expect(fileName('containers', 'csv', Date.UTC(2026, 10, 21, 19, 4, 5, 6))).toBe(
      'mesoscope-containers-2026-11-21T19-04-05Z.csv',
    );
  });
});
