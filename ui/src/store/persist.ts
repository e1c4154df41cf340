// Keeps the page's choices: the view and selection in the address (so that it can be sent to
// somebody), the theme and metric in the browser.

import { isView } from '../api/types';
import { usePage, type FillMetric, type Mode, type PageState, type ThemeChoice } from './page';

const STORED = 'mesoscope.page';
const METRICS: readonly FillMetric[] = ['cpu', 'memory', 'network'];
const THEMES: readonly ThemeChoice[] = ['dark', 'light', 'system'];

export function toHash(page: Pick<PageState, 'view' | 'mode' | 'search' | 'selected'>): string {
  const parts = new URLSearchParams({ view: page.view });
  if (page.mode !== 'graph') parts.set('mode', page.mode);
  if (page.search) parts.set('search', page.search);
  if (page.selected) parts.set('node', page.selected);
  return `#${parts.toString()}`;
}

export function fromHash(hash: string): Partial<Pick<PageState, 'view' | 'mode' | 'search' | 'selected'>> {
  const parts = new URLSearchParams(hash.replace(/^#/, ''));
  const view = parts.get('view') ?? '';
  if (!isView(view)) return {};
  const mode: Mode = parts.get('mode') === 'table' ? 'table' : 'graph';
  return { view, mode, search: parts.get('search') ?? '', selected: parts.get('node') };
}

function fromStorage(): Partial<Pick<PageState, 'theme' | 'metric'>> {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? '{}') as { theme?: unknown; metric?: unknown };
    const theme = THEMES.find((one) => one === stored.theme);
    const metric = METRICS.find((one) => one === stored.metric);
    return { ...(theme && { theme }), ...(metric && { metric }) };
  } catch {
    // A private window without storage: the defaults do.
    return {};
  }
}

// Restores the choices and follows them from now on.
export function keepPage(): void {
  usePage.setState({ ...fromStorage(), ...fromHash(location.hash) });
  usePage.subscribe((page, before) => {
    const hash = toHash(page);
    if (hash !== location.hash) history.replaceState(null, '', hash);
    if (page.theme === before.theme && page.metric === before.metric) return;
    try {
      localStorage.setItem(STORED, JSON.stringify({ theme: page.theme, metric: page.metric }));
    } catch {
      // Storage may be full or refused; the choice then lasts until the reload.
    }
  });
  addEventListener('hashchange', () => usePage.setState(fromHash(location.hash)));
}
