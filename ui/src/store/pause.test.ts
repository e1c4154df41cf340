import { beforeEach, describe, expect, it } from 'vitest';
import { diff, edge, node } from '../lib/samples';
import { setPaused, takeDiff, useLive } from './live';
import { emptyTopology } from './topology';

const shown = () => [...useLive.getState().topology.nodes.keys()];

beforeEach(() => {
  setPaused(false);
  useLive.setState({ topology: emptyTopology('containers') });
  takeDiff(diff({ reset: true, sequence: 1, nodes: [node('a'), node('b')] }));
});

describe('the map that stands still', () => {
  it('counts what waits, and shows all of it when it goes on', () => {
    setPaused(true);
    expect(takeDiff(diff({ sequence: 2, nodes: [node('c')], nodes_removed: ['a'] }))).toBe(true);
    expect(takeDiff(diff({ sequence: 3, nodes: [node('d')], edges: [edge('b', 'd')] }))).toBe(true);
    expect(shown()).toEqual(['a', 'b']);
    expect(useLive.getState().waiting).toBe(4);
    setPaused(false);
    expect(shown()).toEqual(['b', 'c', 'd']);
    expect(useLive.getState().waiting).toBe(0);
    expect(takeDiff(diff({ sequence: 4, nodes: [node('e')] }))).toBe(true);
    expect(shown()).toEqual(['b', 'c', 'd', 'e']);
  });

  it('notices a message that is missing, and takes a whole view after a reconnect', () => {
    setPaused(true);
    takeDiff(diff({ sequence: 2, nodes: [node('c')] }));
    expect(takeDiff(diff({ sequence: 4, nodes: [node('x')] }))).toBe(false);
    takeDiff(diff({ reset: true, sequence: 1, nodes: [node('z')] }));
    expect(shown()).toEqual(['a', 'b']);
    expect(useLive.getState().waiting).toBe(1);
    setPaused(false);
    expect(shown()).toEqual(['z']);
  });
});
