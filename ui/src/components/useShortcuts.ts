import { useEffect } from 'react';
import { VIEWS } from '../api/types';
import { theMap } from '../graph/handle';
import { meaning, next, type Action } from '../lib/shortcuts';
import { changeView } from '../store/drill';
import { setPaused, useLive } from '../store/live';
import { useMarks } from '../store/marks';
import { METRICS, usePage } from '../store/page';
import { say } from '../store/notice';
import { goLive, stepTime } from '../store/time';
import { THEMES, type ThemeName } from '../theme/tokens';

// Through time, by one press.
const STEP_MS = 10_000;

export async function copyLink(): Promise<void> {
  try {
    await navigator.clipboard.writeText(location.href);
    say('The link is copied.');
  } catch {
    // Browsers allow it only where the page came by https or from this machine.
    say('The browser does not allow it: copy the address above.');
  }
}

function run(action: Action): void {
  const page = usePage.getState();
  const now = document.documentElement.dataset.theme as ThemeName;
  const actions: Record<Action, () => void> = {
    help: () => page.setPanel(page.panel === 'help' ? null : 'help'),
    graph: () => page.setMode('graph'),
    table: () => page.setMode('table'),
    resources: () => page.setMode('resources'),
    'metric-before': () => page.setMetric(next(METRICS, page.metric, -1)),
    'metric-after': () => page.setMetric(next(METRICS, page.metric)),
    earlier: () => stepTime(-STEP_MS),
    later: () => stepTime(STEP_MS),
    live: goLive,
    fit: () => theMap()?.fit(),
    clear: () => page.clearFilters(),
    pause: () => setPaused(!useLive.getState().paused),
    'copy-link': () => void copyLink(),
    theme: () => page.setTheme(next(THEMES, now)),
  };
  actions[action]();
}

// Escape closes what is open, then unmarks, then lifts the filter, then the search, wherever the focus is.
function escape(): void {
  const page = usePage.getState();
  if (page.panel) page.setPanel(null);
  else if (page.selected) page.select(null);
  else if (useMarks.getState().ids.size > 0) useMarks.getState().clear();
  else if (page.health) page.setHealth(null);
  else if (page.search) page.setSearch('');
}

export function useShortcuts(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented) return;
      if (event.key === 'Escape') return escape();
      // Typing, also into a terminal, is no shortcut; nor is what a dialog or menu is asked.
      const typing = 'input, textarea, select, [contenteditable], [role="menu"] *, .xterm *, dialog:not([data-help]) *';
      if (event.target instanceof Element && event.target.matches(typing)) return;
      const means = meaning(event);
      if (means === null) return;
      event.preventDefault();
      if (typeof means === 'string') run(means);
      else if (VIEWS[means]) changeView(VIEWS[means]);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}
