// The saved filters as the aggregator has them.

import { create } from 'zustand';
import { listFilters, type SavedFilter } from '../api/filters';

const AGAIN_MS = 30_000;

export interface FiltersState {
  filters: readonly SavedFilter[];
  kept: boolean;
  problem: string;
}

export const useFilters = create<FiltersState>()(() => ({ filters: [], kept: true, problem: '' }));

// One's own first, each part by name.
export function inOrder(filters: readonly SavedFilter[]): SavedFilter[] {
  return [...filters].sort((a, b) => Number(a.shared) - Number(b.shared) || a.name.localeCompare(b.name));
}

// What a search is called, where it is a saved one.
export function nameOf(filters: readonly SavedFilter[], search: string): string | undefined {
  return inOrder(filters).find((filter) => filter.search.trim() === search)?.name;
}

export async function refreshFilters(signal = new AbortController().signal): Promise<void> {
  try {
    const { filters, kept } = await listFilters(signal);
    useFilters.setState({ filters: inOrder(filters), kept, problem: '' });
  } catch (error) {
    if (!signal.aborted) useFilters.setState({ problem: (error as Error).message });
  }
}

// Asks for them now and then: others share some. The returned function ends it.
export function followFilters(): () => void {
  const abort = new AbortController();
  void refreshFilters(abort.signal);
  const timer = setInterval(() => void refreshFilters(abort.signal), AGAIN_MS);
  return () => {
    abort.abort();
    clearInterval(timer);
  };
}
