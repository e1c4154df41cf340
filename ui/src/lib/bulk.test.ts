import { expect, it } from 'vitest';
import { bulkActions, summary, type Told } from './bulk';
import { node } from './samples';

const told = (status: number): Told => ({ container: 'a', status, error: '', hint: '' });

it('does to many what the state of each allows', () => {
  const nodes = [node('a'), node('b', { state: 'exited' }), node('c', { state: 'paused' })];
  const fitting = Object.fromEntries(bulkActions(nodes).map(({ verb, nodes: some }) => [verb, some.map(({ id }) => id).join('')]));
  expect(fitting).toEqual({ start: 'b', stop: 'ac', restart: 'a', pause: 'a', unpause: 'c', kill: 'ac', remove: 'b' });
  expect(bulkActions([node('gone', { state: 'removed' })])).toEqual([]);
});

it('says what came of them', () => {
  expect(summary('Stop', 3, [told(204)], false)).toBe('Stop 3 containers: 1 done, 2 to go');
  expect(summary('Stop', 3, [told(204), told(409)], true)).toBe('Stop 3 containers: 1 done, 1 failed, 1 not heard of');
  expect(summary('Stop', 1, [told(204)], true)).toBe('Stop 1 container: 1 done');
});
