// What the person chose: view, metric, search, selection, theme. Survives a reload where it should.

import { create } from 'zustand';
import { VIEWS, type Health, type View, type ViewOptions } from '../api/types';
import type { Sort } from '../lib/table';
import type { ThemeName } from '../theme/tokens';

export const METRICS = ['cpu', 'memory', 'network'] as const;
export type FillMetric = (typeof METRICS)[number];
export const MODES = ['graph', 'table', 'resources'] as const;
export type Mode = (typeof MODES)[number];
// The list of shortcuts, or the sidebar where the window is too narrow for it.
export type Panel = 'help' | 'sidebar';
export type ThemeChoice = ThemeName | 'system';
export const OPTION_NAMES = ['unconnected', 'ended', 'kernel_threads', 'system', 'uncontained'] as const;
export type OptionName = (typeof OPTION_NAMES)[number];

// The point of the map that is in the middle, and how near.
export interface Place {
  x: number;
  y: number;
  zoom: number;
}

export interface PageState {
  view: View;
  mode: Mode;
  metric: FillMetric;
  search: string;
  health: Health | null;
  selected: string | null;
  theme: ThemeChoice;
  // What the person changed from the view's defaults.
  options: Record<View, Partial<Record<OptionName, boolean>>>;
  hosts: string[];
  // Of the table, and so of what is exported.
  sort: Sort;
  // Null while the map shows everything.
  place: Place | null;
  // The one panel that is open over the page.
  panel: Panel | null;
  setView(view: View, selected?: string | null): void;
  setMode(mode: Mode): void;
  setMetric(metric: FillMetric): void;
  setSearch(search: string): void;
  setHealth(health: Health | null): void;
  select(id: string | null): void;
  setTheme(theme: ThemeChoice): void;
  setOption(name: OptionName, on: boolean): void;
  // Back to the view's defaults.
  resetOptions(): void;
  toggleHost(host: string): void;
  setSort(sort: Sort): void;
  setPlace(place: Place | null): void;
  setPanel(panel: Panel | null): void;
  // Lifts the search and every filter.
  clearFilters(): void;
}

export function isFiltered({ search, health, hosts }: Pick<PageState, 'search' | 'health' | 'hosts'>): boolean {
  return search.trim() !== '' || health !== null || hosts.length > 0;
}

// The aggregator's defaults (ViewOptions in observe.proto), for the state of the check boxes.
export function optionDefault(view: View, name: OptionName): boolean {
  if (name === 'unconnected') return view !== 'processes' && view !== 'processes-by-name';
  return name === 'ended' || name === 'uncontained';
}

export function optionOf(page: Pick<PageState, 'view' | 'options'>, name: OptionName): boolean {
  return page.options[page.view][name] ?? optionDefault(page.view, name);
}

export function viewOptions(page: Pick<PageState, 'view' | 'options' | 'hosts'>): ViewOptions {
  return { ...page.options[page.view], hosts: page.hosts };
}

export const usePage = create<PageState>()((set) => ({
  view: 'containers',
  mode: 'graph',
  metric: 'cpu',
  search: '',
  health: null,
  selected: null,
  theme: 'system',
  options: Object.fromEntries(VIEWS.map((view) => [view, {}])) as PageState['options'],
  hosts: [],
  sort: { column: 'cpu', descending: true },
  place: null,
  panel: null,
  setView: (view, selected = null) =>
    set((page) => (page.view === view ? { selected } : { view, selected, health: null, place: null })),
  setMode: (mode) => set({ mode }),
  setMetric: (metric) => set({ metric }),
  setSearch: (search) => set({ search }),
  setHealth: (health) => set({ health }),
  select: (selected) => set({ selected }),
  setTheme: (theme) => set({ theme }),
  setOption: (name, on) =>
    set((page) => ({
      options: { ...page.options, [page.view]: { ...page.options[page.view], [name]: on } },
    })),
  resetOptions: () => set((page) => ({ options: { ...page.options, [page.view]: {} } })),
  toggleHost: (host) =>
    set((page) => ({
      hosts: page.hosts.includes(host) ? page.hosts.filter((one) => one !== host) : [...page.hosts, host],
    })),
  setSort: (sort) => set({ sort }),
  setPlace: (place) => set({ place }),
  setPanel: (panel) => set({ panel }),
  clearFilters: () => set({ search: '', health: null, hosts: [] }),
}));
