import { describe, expect, it } from 'vitest';
import { node } from './samples';
import { matcher, words } from './search';

const redis = node('container;1', {
  label: 'cart-redis',
  label_minor: 'redis 7.2',
  group_label: 'node-a',
  health: 'critical',
  metadata: [
    { key: 'pid', label: 'PID', value: '4242', type: 'number' },
    { key: 'started', label: 'Started', value: '1800000000000', type: 'time' },
  ],
});

describe('words', () => {
  it('are what the page can look for itself', () => {
    expect(words('  ')).toEqual([]);
    expect(words(' Cart  10.0.0.1 --flag a/b a!b ')).toEqual(['cart', '10.0.0.1', '--flag', 'a/b', 'a!b']);
  });

  it('are not what the language has a meaning for', () => {
    for (const search of ['a:b', 'cpu > 2%', 'a OR b', 'NOT a', '!a', '/a/', '"a b"', '(a)', 'a=b']) {
      expect(words(search), search).toBeNull();
    }
  });
});

describe('matcher', () => {
  const matches = (search: string) => matcher(words(search)!)(redis);

  it('finds label, second line, group and metadata, whatever the case', () => {
    for (const search of ['CART', 'redis 7', 'node-a', '4242']) expect(matches(search), search).toBe(true);
    expect(matches('postgres')).toBe(false);
  });

  it('needs every word', () => {
    expect(matches('cart node-a')).toBe(true);
    expect(matches('cart node-b')).toBe(false);
  });

  it('does not find the digits of a moment, nor a part of a number', () => {
    expect(matches('1800')).toBe(false);
    expect(matches('42')).toBe(false);
  });
});
