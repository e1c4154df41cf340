import { expect, it } from 'vitest';
import { passes, pauseBefore } from './retry';

it('is tried again soon at first, and never seldom', () => {
  expect([1, 2, 3, 4, 5, 50].map(pauseBefore)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

it('is not tried again where that changes nothing', () => {
  for (const status of [0, 404, 502, 503]) expect(passes(status), String(status)).toBe(true);
  for (const status of [400, 401, 403, 409]) expect(passes(status), String(status)).toBe(false);
});
