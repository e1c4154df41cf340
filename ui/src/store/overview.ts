// How much each view has, and what the options choose from: asked for now and then.

import { create } from 'zustand';
import { overview } from '../api/rest';
import type { Overview } from '../api/types';

const AGAIN_MS = 10_000;

// Null until the first answer, and where an older aggregator has none.
export const useOverview = create<{ overview: Overview | null }>()(() => ({ overview: null }));

// The returned function ends it.
export function followOverview(): () => void {
  const abort = new AbortController();
  const ask = () =>
    overview(abort.signal).then(
      (found) => useOverview.setState({ overview: found }),
      // What was known stays in sight.
      () => undefined,
    );
  void ask();
  const timer = setInterval(() => void ask(), AGAIN_MS);
  return () => {
    abort.abort();
    clearInterval(timer);
  };
}
