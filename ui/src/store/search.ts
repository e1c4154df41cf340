// What the aggregator answers to the search: asked after each pause in typing, and again every few
// seconds, since the map changes.

import { create } from 'zustand';
import { ApiError, searchNodes } from '../api/rest';
import type { View } from '../api/types';
import { searchesOf, words } from '../lib/search';
import { optionOf, usePage, type PageState } from './page';

const PAUSE_MS = 250;
const AGAIN_MS = 3_000;
// A search that takes long is asked for less often: it may be work for a tenth of the time.
const REST_FACTOR = 10;

// Searches that are asked together, as one text to compare.
export function asked(searches: readonly string[]): string {
  return searches.join('\n');
}

export interface SearchAnswer {
  // What was asked for, as `asked` writes it.
  search: string;
  view: View;
  // Null before the first answer.
  ids: ReadonlySet<string> | null;
  // There are more than the page asks for.
  more: boolean;
  // What is wrong with the search as it stands now.
  problem: string;
}

export const useSearch = create<SearchAnswer>()(() => ({
  search: '',
  view: 'containers',
  ids: null,
  more: false,
  problem: '',
}));

// What is wrong, without the search in the box, which stands right above.
export function problemOf(error: unknown, search: string, pins: readonly string[] = []): string {
  // Words alone are answered by the page too.
  if (searchesOf({ pins, search }).every(words)) return '';
  if (!(error instanceof ApiError) || error.status !== 400) return (error as Error).message;
  const own = `${search.trim()}: `;
  const text = error.reason.startsWith(own) ? error.reason.slice(own.length) : error.reason;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Begins to ask for whatever is searched; the returned function ends it.
export function followSearch(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let abort = new AbortController();

  const askIn = (ms: number) => {
    clearTimeout(timer);
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    const page = usePage.getState();
    const { search, pins, view, time } = page;
    if (searchesOf(page).length === 0) {
      useSearch.setState({ search: '', view, ids: null, more: false, problem: '' });
      return;
    }
    // An answer to another search stays until the next, so that the map does not flicker; one of
    // another view means nothing here.
    if (useSearch.getState().view !== view) useSearch.setState({ view, ids: null, more: false });
    const kernelThreads = optionOf(page, 'kernel_threads');
    timer = setTimeout(() => void ask(search, pins, view, kernelThreads, time, signal), ms);
  };

  const ask = async (
    search: string,
    pins: readonly string[],
    view: View,
    kernelThreads: boolean,
    time: number | null,
    signal: AbortSignal,
  ) => {
    const begun = performance.now();
    const searches = searchesOf({ pins, search });
    try {
      const { ids, more } = await searchNodes(searches, view, kernelThreads, signal, time);
      useSearch.setState({ search: asked(searches), view, ids, more, problem: '' });
    } catch (error) {
      if (signal.aborted) return;
      useSearch.setState({ problem: problemOf(error, search, pins) });
      // It will not become a search by itself.
      if (error instanceof ApiError && error.status === 400) return;
    }
    // The past does not change.
    if (!signal.aborted && time === null) askIn(Math.max(AGAIN_MS, REST_FACTOR * (performance.now() - begun)));
  };

  const question = (page: PageState) =>
    [asked(searchesOf(page)), page.view, optionOf(page, 'kernel_threads'), page.time].join('\n');
  const unsubscribe = usePage.subscribe((now, before) => {
    if (question(now) !== question(before)) askIn(PAUSE_MS);
  });
  askIn(0);
  return () => {
    unsubscribe();
    clearTimeout(timer);
    abort.abort();
  };
}
