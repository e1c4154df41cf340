import { describe, expect, it } from 'vitest';
import { node } from '../lib/samples';
import { isUnplaced, LocalPlacement } from './placement';

const nodes = (ids: string[]) => new Map(ids.map((id) => [id, node(id, { group: id[0]! })]));
const many = (group: string, count: number) => Array.from({ length: count }, (_, i) => `${group}${i}`);

describe('LocalPlacement', () => {
  it('is the same for the same nodes, in whatever order', () => {
    const ids = [...many('a', 20), ...many('b', 9)];
    const one = new LocalPlacement().place(nodes(ids));
    const other = new LocalPlacement().place(nodes([...ids].reverse()));
    for (const id of ids) expect(one.get(id)).toEqual(other.get(id));
  });

  it('leaves what has a place where it is when others come and go', () => {
    const placement = new LocalPlacement();
    const before = placement.place(nodes(['a1', 'a2', 'a3', 'b1']));
    const after = placement.place(nodes(['a1', 'a3', 'a4', 'b1']));
    for (const id of ['a1', 'a3', 'b1']) expect(after.get(id)).toEqual(before.get(id));
    // The new one sits where the other left.
    expect(after.get('a4')).toEqual(before.get('a2'));
  });

  it('keeps groups apart', () => {
    const places = new LocalPlacement().place(nodes([...many('a', 40), ...many('b', 40)]));
    const middle = (group: string) => {
      const own = [...places].filter(([id]) => id.startsWith(group)).map(([, place]) => place);
      const mean = (axis: 0 | 1) => own.reduce((sum, place) => sum + place[axis], 0) / own.length;
      return [mean(0), mean(1)] as const;
    };
    const [a, b] = [middle('a'), middle('b')];
    expect(Math.hypot(a[0] - b[0], a[1] - b[1])).toBeGreaterThan(600);
  });

  it('knows when the server has placed nothing', () => {
    expect(isUnplaced(nodes(['a', 'b']))).toBe(true);
    expect(isUnplaced(new Map([['a', node('a', { x: 1 })], ['b', node('b')]]))).toBe(false);
  });
});
