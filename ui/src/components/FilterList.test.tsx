import { renderToStaticMarkup } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SavedFilter } from '../api/filters';
import { inOrder, nameOf, refreshFilters, useFilters } from '../store/filters';
import { PINS_MAX, usePage } from '../store/page';
import { FilterRow } from './FilterList';

function saved(name: string, search: string, shared = false): SavedFilter {
  return { id: name, name, search, shared, owner: { how: 'password', name: 'ann' }, changed_unix_ms: 1 };
}

const first = usePage.getState();
const FILTERS = [saved('shop', 'labels:team=shop', true), saved('busy', 'cpu > 50%'), saved('Data', 'redis OR postgres')];

afterEach(() => {
  usePage.setState(first, true);
  useFilters.setState({ filters: [], kept: true, problem: '' });
  vi.unstubAllGlobals();
});

function row(filter: SavedFilter, pinned: boolean, removable: boolean): string {
  return renderToStaticMarkup(<FilterRow filter={filter} pinned={pinned} removable={removable} />);
}

describe('saved filters', () => {
  it('are one’s own first, then the shared ones, by name', () => {
    expect(inOrder(FILTERS).map(({ name }) => name)).toEqual(['busy', 'Data', 'shop']);
    expect(nameOf(FILTERS, 'cpu > 50%')).toBe('busy');
    expect(nameOf(FILTERS, 'cpu > 51%')).toBeUndefined();
  });

  it('are in force several at once, each to be lifted, and no more than may be', () => {
    expect(usePage.getState().togglePin('cpu > 50%')).toBe(true);
    expect(usePage.getState().togglePin('a:b')).toBe(true);
    usePage.getState().togglePin('cpu > 50%');
    expect(usePage.getState().pins).toEqual(['a:b']);
    for (let more = 1; more < PINS_MAX; more += 1) expect(usePage.getState().togglePin(String(more))).toBe(true);
    expect(usePage.getState().togglePin('one more')).toBe(false);
    usePage.getState().clearFilters();
    expect(usePage.getState().pins).toEqual([]);
  });

  it('are buttons that say whether they are in force, and can be removed by whom they belong to', () => {
    const [shared, own] = FILTERS as [SavedFilter, SavedFilter];
    expect(row(own, true, true)).toContain('aria-pressed="true"');
    expect(row(own, false, true)).toContain('aria-pressed="false"');
    expect(row(own, false, true)).toContain('Remove the filter busy');
    expect(row(shared, false, false)).not.toContain('Remove the filter');
    expect(row(shared, false, false)).toContain('<small>shared</small>');
  });

  it('say when they can’t be had', async () => {
    const refusal = { error: 'authentication is needed', hint: 'sign in' };
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(refusal), { status: 401 })));
    await refreshFilters();
    expect(useFilters.getState().problem).toBe('Authentication is needed: sign in');
  });
});
