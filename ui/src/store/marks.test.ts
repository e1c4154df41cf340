import { beforeEach, describe, expect, it } from 'vitest';
import { node } from '../lib/samples';
import { canBeMarked, MARKS_MAX, range, useMarks } from './marks';

const marks = () => useMarks.getState();

beforeEach(() => marks().clear());

describe('marked nodes', () => {
  it('are marked and unmarked one by one, and go when their nodes do', () => {
    for (const id of ['a', 'b', 'a', 'c']) marks().toggle(id);
    expect([...marks().ids]).toEqual(['b', 'c']);
    expect(marks().last).toBe('c');
    const before = marks().ids;
    marks().keep(() => true);
    expect(marks().ids).toBe(before);
    marks().keep((id) => id === 'b');
    expect([...marks().ids]).toEqual(['b']);
  });

  it('are no more than can be asked for at once', () => {
    marks().add(Array.from({ length: MARKS_MAX + 5 }, (_, i) => `${i}`));
    expect(marks().ids.size).toBe(MARKS_MAX);
    marks().toggle('one more');
    expect(marks().ids.size).toBe(MARKS_MAX);
    expect(marks().ids.has('one more')).toBe(false);
  });

  it('may be a range, in either direction', () => {
    const order = ['a', 'b', 'c', 'd'];
    expect(range(order, 'b', 'd')).toEqual(['b', 'c', 'd']);
    expect(range(order, 'd', 'b')).toEqual(['b', 'c', 'd']);
    expect(range(order, null, 'c')).toEqual(['c']);
    expect(range(order, 'gone', 'c')).toEqual(['c']);
  });

  it('are containers', () => {
    expect(canBeMarked(node('container;1'))).toBe(true);
    expect(canBeMarked(node('process;1', { kind: 'process' }))).toBe(false);
    expect(canBeMarked(node('pseudo;1', { pseudo: true }))).toBe(false);
  });
});
