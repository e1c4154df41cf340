import { describe, expect, it } from 'vitest';
import { diff, node } from '../lib/samples';
import { matchedNodes } from './filter';
import { applyDiff, emptyTopology } from './topology';

const nodes = [node('1', { label: 'cart-redis' }), node('2', { label: 'web', health: 'critical' }), node('3')];
const topology = applyDiff(emptyTopology('containers'), diff({ reset: true, nodes }))!;
const none = { search: '', view: 'containers', ids: null } as const;

function matched(search: string, answer: Parameters<typeof matchedNodes>[2] = none) {
  const ids = matchedNodes(topology, { search, pins: [], health: null }, answer);
  return ids && [...ids];
}

describe('what is meant', () => {
  it('is everything while nothing is asked for', () => {
    expect(matched(' ')).toBeNull();
  });

  it('is found by words at once, and with the answer what only the aggregator knows', () => {
    expect(matched('cart')).toEqual(['1']);
    const answer = { search: 'cart', view: 'containers', ids: new Set(['3', 'gone']) } as const;
    expect(matched('cart', answer)).toEqual(['1', '3']);
    expect(matched('car', answer)).toEqual(['1']);
  });

  it('is what the aggregator answers for all else, the last answer until the next', () => {
    expect(matched('cpu > 2%')).toBeNull();
    const answer = { search: 'cpu > 2', view: 'containers', ids: new Set(['2']) } as const;
    expect(matched('cpu > 2%', answer)).toEqual(['2']);
    expect(matched('cpu > 2%', { ...answer, view: 'hosts' })).toBeNull();
  });

  it('is what every pinned search and the search mean', () => {
    const ids = (pins: string[], search: string) => [...matchedNodes(topology, { search, pins, health: null }, none)!];
    expect(ids(['redis'], '')).toEqual(['1']);
    expect(ids(['cart'], 'redis')).toEqual(['1']);
    expect(ids(['cart', 'web'], '')).toEqual([]);
    // One that only the aggregator can answer: its answer is to all of them together.
    const answer = { search: 'cpu > 2%\ncart', view: 'containers', ids: new Set(['1']) } as const;
    expect([...matchedNodes(topology, { search: 'cart', pins: ['cpu > 2%'], health: null }, answer)!]).toEqual(['1']);
  });

  it('is narrowed by the health filter', () => {
    const answer = { search: 'a:b', view: 'containers', ids: new Set(['1', '2']) } as const;
    expect([...matchedNodes(topology, { search: 'a:b', pins: [], health: 'critical' }, answer)!]).toEqual(['2']);
    expect([...matchedNodes(topology, { search: '', pins: [], health: 'critical' }, none)!]).toEqual(['2']);
  });
});
