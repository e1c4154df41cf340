import { describe, expect, it } from 'vitest';
import { fromHash, toHash } from './persist';

describe('the address', () => {
  it('goes there and back, whatever the id holds', () => {
    const page = { view: 'processes', mode: 'table', search: 'a&b=c #d', selected: 'process;h 1;7;9%' } as const;
    expect(fromHash(toHash(page))).toEqual(page);
  });

  it('is ignored when it names no view', () => {
    expect(fromHash('#view=pods')).toEqual({});
    expect(fromHash('')).toEqual({});
  });
});
