// The moments that the slider reaches, and what is said of them.

import type { HistoryReach } from '../api/rest';
import { clock, moment } from './format';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
// Nearer to now than this is live: the last steps are still being written down.
const LIVE_WITHIN_MS = 4_000;

// What can be chosen: from the first moment to the last, in steps.
export interface Range {
  fromMs: number;
  toMs: number;
  stepMs: number;
}

export function rangeOf(reach: HistoryReach): Range | null {
  const { from_unix_ms: fromMs, to_unix_ms: toMs, resolution_ms: stepMs } = reach;
  return toMs - fromMs >= stepMs ? { fromMs, toMs, stepMs } : null;
}

// The moment that a wish means; null is live.
export function chosen(wish: number, { fromMs, toMs, stepMs }: Range): number | null {
  if (wish > toMs - LIVE_WITHIN_MS) return null;
  const steps = Math.round((Math.max(wish, fromMs) - fromMs) / stepMs);
  return fromMs + steps * stepMs;
}

// Earlier or later from what is shown; null is live.
export function stepped(time: number | null, byMs: number, range: Range): number | null {
  return chosen((time ?? range.toMs) + byMs, range);
}

// "5 min ago", for a clock that the aggregator has.
export function ago(time: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - time) / 1_000));
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours} h ago` : `${hours} h ${minutes % 60} min ago`;
}

// With the day where it is another one.
export function told(time: number, nowMs: number): string {
  return nowMs - time < DAY_MS / 2 ? clock(time) : moment(time);
}

// How far back it goes, and why not further.
export function reachWords(reach: HistoryReach): string {
  const minutes = Math.floor((reach.to_unix_ms - reach.from_unix_ms) / MINUTE_MS);
  const back = minutes < 1 ? 'less than a minute' : minutes === 1 ? 'a minute' : `${minutes} minutes`;
  return reach.shortened
    ? `The history reaches back ${back}: its memory is full (--history-memory).`
    : `The history reaches back ${back}.`;
}
