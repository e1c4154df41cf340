// What a sparkline draws: the values that the aggregator kept, continued by those that the page saw.

import type { StoredSeries } from '../api/rest';
import type { Sample } from '../store/history';

// Steps are about a pixel or two wide.
export const SPANS = {
  '5m': { text: '5 min', lastMs: 300_000, stepMs: 5_000 },
  '15m': { text: '15 min', lastMs: 900_000, stepMs: 15_000 },
  '1h': { text: '1 h', lastMs: 3_600_000, stepMs: 30_000 },
} as const;
export type Span = keyof typeof SPANS;

// An answer, and when it came by `performance.now()`: clocks of the two sides may differ.
export interface Stored {
  answer: StoredSeries;
  receivedMs: number;
}

// A value and how old it is; null where nothing is known.
export interface Point {
  ageMs: number;
  value: number | null;
}

// Oldest first, none older than the span.
export function line(
  stored: Stored | null,
  live: readonly Sample[],
  metric: string,
  spanMs: number,
  nowMs: number,
): Point[] {
  const points: Point[] = [];
  const kept = stored?.answer.metrics.find(({ key }) => key === metric);
  let sinceMs = -Infinity;
  if (stored && kept) {
    const { from_unix_ms: from, to_unix_ms: to, step_ms: step } = stored.answer;
    sinceMs = stored.receivedMs;
    kept.values.forEach((value, i) => {
      const start = from + i * step;
      const middle = (start + Math.min(start + step, to)) / 2;
      points.push({ ageMs: nowMs - sinceMs + (to - middle), value });
    });
    const first = live.find(({ timeMs }) => timeMs > sinceMs);
    // The answer is older than what the page remembers: what was in between is not known.
    if (first && first.timeMs - sinceMs > step) points.push({ ageMs: nowMs - sinceMs, value: null });
  }
  for (const { timeMs, value } of live) {
    if (timeMs > sinceMs) points.push({ ageMs: nowMs - timeMs, value });
  }
  return points.filter(({ ageMs }) => ageMs <= spanMs);
}

// The stretches in which something is known.
export function stretches(points: readonly Point[]): { ageMs: number; value: number }[][] {
  const all: { ageMs: number; value: number }[][] = [];
  let open = false;
  for (const { ageMs, value } of points) {
    if (value === null) {
      open = false;
      continue;
    }
    if (!open) all.push([]);
    open = true;
    all.at(-1)!.push({ ageMs, value });
  }
  return all;
}
