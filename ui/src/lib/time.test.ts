import { describe, expect, it } from 'vitest';
import type { HistoryReach } from '../api/rest';
import { ago, chosen, rangeOf, reachWords, stepped, type Range } from './time';

const reach: HistoryReach = {
  from_unix_ms: 1_000_000,
  to_unix_ms: 1_600_000,
  resolution_ms: 2_000,
  retention_ms: 3_600_000,
  shortened: false,
  now_unix_ms: 1_601_000,
};
const range: Range = rangeOf(reach)!;

describe('the moments of the slider', () => {
  it('are steps of the history', () => {
    expect(chosen(1_300_900, range)).toBe(1_300_000);
    expect(chosen(1_301_100, range)).toBe(1_302_000);
  });

  it('are none before the history begins, and live at its end', () => {
    expect(chosen(0, range)).toBe(1_000_000);
    expect(chosen(1_600_000, range)).toBeNull();
    expect(chosen(1_599_000, range)).toBeNull();
  });

  it('are left from live and come back to it', () => {
    const earlier = stepped(null, -10_000, range);
    expect(earlier).toBe(1_590_000);
    expect(stepped(earlier, 10_000, range)).toBeNull();
  });

  it('do not exist before there is a step', () => {
    expect(rangeOf({ ...reach, from_unix_ms: reach.to_unix_ms })).toBeNull();
  });
});

describe('what is said', () => {
  it('counts back', () => {
    expect(ago(1_595_000, 1_600_000)).toBe('5 s ago');
    expect(ago(1_300_000, 1_600_000)).toBe('5 min ago');
    expect(ago(0, 5_400_000)).toBe('1 h 30 min ago');
  });

  it('names the reason where the history is short', () => {
    expect(reachWords(reach)).toBe('The history reaches back 10 minutes.');
    expect(reachWords({ ...reach, shortened: true })).toContain('--history-memory');
  });
});
