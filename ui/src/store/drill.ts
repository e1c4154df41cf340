// Changes the view and keeps what is selected, as what it is there.

import { nodeDetails } from '../api/rest';
import type { View } from '../api/types';
import { counterpart } from '../lib/views';
import { usePage } from './page';

// What is on no agent has the same id in every view.
const EVERYWHERE = /^pseudo;(internet|service|address);/;

export function changeView(view: View): void {
  const before = usePage.getState();
  const { selected } = before;
  if (before.view === view) return;
  before.setView(view, selected !== null && EVERYWHERE.test(selected) ? selected : null);
  if (selected === null || usePage.getState().selected !== null) return;
  nodeDetails(before.view, selected, false, AbortSignal.timeout(5_000)).then(
    (details) => {
      const now = usePage.getState();
      // Something else may have been chosen meanwhile.
      if (now.view === view && now.selected === null) now.select(counterpart(details, view));
    },
    // It is gone, or nobody answers: then nothing is selected.
    () => undefined,
  );
}
