// How far the history goes, asked for while the slider is there, and the steps through it.

import { create } from 'zustand';
import { historyReach, type HistoryReach } from '../api/rest';
import { rangeOf, stepped } from '../lib/time';
import { usePage } from './page';

const AGAIN_MS = 5_000;

export interface TimeState {
  // Null before the first answer, and where the aggregator has no history.
  reach: HistoryReach | null;
  // What the aggregator's clock is ahead of ours.
  aheadMs: number;
}

export const useTime = create<TimeState>()(() => ({ reach: null, aheadMs: 0 }));

// Begins to ask; the returned function ends it.
export function followReach(): () => void {
  const abort = new AbortController();
  let timer: ReturnType<typeof setTimeout>;
  const ask = async () => {
    try {
      const reach = await historyReach(abort.signal);
      useTime.setState({ reach, aheadMs: reach.now_unix_ms - Date.now() });
    } catch {
      // The map says itself that the aggregator is away; what was known stays.
    }
    if (!abort.signal.aborted) timer = setTimeout(() => void ask(), AGAIN_MS);
  };
  void ask();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}

// Looks earlier or later; what lies behind the last moment is live.
export function stepTime(byMs: number): void {
  const { reach } = useTime.getState();
  const range = reach && rangeOf(reach);
  if (range) usePage.getState().setTime(stepped(usePage.getState().time, byMs, range));
}

export function goLive(): void {
  usePage.getState().setTime(null);
}
