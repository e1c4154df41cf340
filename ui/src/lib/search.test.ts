import { describe, expect, it } from 'vitest';
import { matcher } from './search';
import { node } from './samples';

const redis = node('container;1', {
  label: 'cart-redis',
  label_minor: 'redis:7.2',
  group_label: 'node-a',
  health: 'critical',
  metadata: [{ key: 'pid', label: 'PID', value: '4242', type: 'number' }],
});

describe('matcher', () => {
  it('is nothing for an empty search', () => {
    expect(matcher('  ')).toBeNull();
  });

  it('finds label, second line, group and metadata, whatever the case', () => {
    for (const search of ['CART', 'redis:7', 'node-a', '4242']) expect(matcher(search)!(redis)).toBe(true);
    expect(matcher('postgres')!(redis)).toBe(false);
  });

  it('needs every word', () => {
    expect(matcher('cart node-a')!(redis)).toBe(true);
    expect(matcher('cart node-b')!(redis)).toBe(false);
  });

  it('looks into one field by key', () => {
    expect(matcher('pid:42')!(redis)).toBe(true);
    expect(matcher('pid:9')!(redis)).toBe(false);
    expect(matcher('health:crit')!(redis)).toBe(true);
    expect(matcher('host:node-a')!(redis)).toBe(true);
  });
});
