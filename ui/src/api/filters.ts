// Saved filters: searches with a name, one's own or everybody's.

import { answer } from './rest';

export interface SavedFilter {
  id: string;
  name: string;
  search: string;
  shared: boolean;
  owner: { how: string; name: string };
  changed_unix_ms: number;
}

export interface SavedFilters {
  filters: SavedFilter[];
  // To go on with; null at the end.
  cursor: string | null;
  // They survive a restart of the aggregator.
  kept: boolean;
}

const PATH = '/api/v1/filters';

export async function listFilters(signal: AbortSignal): Promise<SavedFilters> {
  // There are never more than 400 that one person sees.
  return (await answer(`${PATH}?limit=1000`, { signal })).json() as Promise<SavedFilters>;
}

export async function saveFilter(filter: Pick<SavedFilter, 'name' | 'search' | 'shared'>): Promise<SavedFilter> {
  const headers = { 'content-type': 'application/json' };
  const { name, search, shared } = filter;
  const saved = await answer(PATH, { method: 'POST', headers, body: JSON.stringify({ name, search, shared }) });
  return saved.json() as Promise<SavedFilter>;
}

export async function removeFilter(id: string): Promise<void> {
  await answer(`${PATH}/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
