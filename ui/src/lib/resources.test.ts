import { describe, expect, it } from 'vitest';
import type { TopologyNode } from '../api/types';
import { resourceBoxes } from './resources';
import { node } from './samples';

const cpu = (value: number, max = 0) => [{ key: 'cpu', label: 'CPU', value, unit: 'cores', max }];
const on = (view: string, id: string) => ({ view, id, label: id });
const host = (id: string, used: number, cores: number) => node(id, { kind: 'host', metrics: cpu(used, cores) });
const container = (id: string, hostId: string, used: number) =>
  node(id, { metrics: cpu(used), parents: [on('hosts', hostId)] });
const process = (id: string, parents: TopologyNode['parents'], used: number) =>
  node(id, { kind: 'process', metrics: cpu(used), parents });

describe('resources', () => {
  const [large, small] = resourceBoxes(
    {
      hosts: [host('small', 1, 2), host('large', 3, 8)],
      containers: [container('a', 'large', 2), container('b', 'large', 1), container('c', 'small', 0.5)],
      processes: [
        process('a1', [on('hosts', 'large'), on('containers', 'a')], 1.5),
        process('free', [on('hosts', 'large')], 0.8),
      ],
    },
    'cpu',
  );
  const box = (id: string) => large!.boxes.find((one) => one.id === id)!;

  it('have the hosts by their size, and in each what runs there', () => {
    expect(large!.id).toBe('large');
    expect(small!.boxes.map(({ id }) => id)).toEqual(['c']);
    expect(box('a').to - box('a').from).toBeCloseTo(2 / 8);
    expect(box('free').depth).toBe(1);
  });

  it('have processes within their containers, and what is not used at the end', () => {
    expect(box('a1').depth).toBe(2);
    expect(box('a1').from).toBeGreaterThanOrEqual(box('a').from);
    expect(box('a1').to).toBeLessThanOrEqual(box('a').to);
    expect(Math.max(...large!.boxes.map(({ to }) => to))).toBeCloseTo(3.8 / 8);
  });

  it('never leave their host, however the figures disagree', () => {
    const [only] = resourceBoxes(
      { hosts: [host('h', 1, 1)], containers: [container('a', 'h', 3)], processes: [process('p', [on('containers', 'a')], 5)] },
      'cpu',
    );
    for (const { from, to } of only!.boxes) {
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThanOrEqual(1);
    }
    expect(only!.boxes).toHaveLength(2);
  });

  it('draw what is too small to see as one', () => {
    const containers = Array.from({ length: 500 }, (_, i) => container(`c${i}`, 'h', 0.001));
    const [only] = resourceBoxes({ hosts: [host('h', 1, 4)], containers, processes: [] }, 'cpu');
    expect(only!.boxes.map(({ label }) => label)).toEqual(['500 smaller']);
    expect(only!.boxes[0]!.value).toBeCloseTo(0.5);
  });

  it('fill the width with what is used, where that is asked for', () => {
    const reported = { hosts: [host('h', 1, 100)], containers: [container('a', 'h', 1)], processes: [] };
    expect(resourceBoxes(reported, 'cpu', 'used')[0]!.boxes[0]!.to).toBeCloseTo(1);
  });

  it('show a host of which nothing is known as empty', () => {
    const [only] = resourceBoxes({ hosts: [node('h', { kind: 'host' })], containers: [], processes: [] }, 'memory');
    expect(only).toMatchObject({ capacity: 0, used: undefined, boxes: [] });
  });
});
