// What the person chose: view, metric, search, selection, theme. Survives a reload where it should.

import { create } from 'zustand';
import { VIEWS, type ContainerFilter, type Health, type View, type ViewOptions } from '../api/types';
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
// The aggregator takes that many beside the one in the search box.
export const PINS_MAX = 8;

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
  // Saved searches in force, beside the one in the search box; a node matches all of them.
  pins: readonly string[];
  health: Health | null;
  selected: string | null;
  theme: ThemeChoice;
  // What the person changed from the view's defaults.
  options: Record<View, Partial<Record<OptionName, boolean>>>;
  hosts: string[];
  // Of containers: views of them, of their processes and of what groups these show no others.
  namespaces: readonly string[];
  networks: readonly string[];
  labels: readonly string[];
  // Of the table, and so of what is exported.
  sort: Sort;
  // Null while the map shows everything.
  place: Place | null;
  // The moment that is looked at, in Unix milliseconds; null is live.
  time: number | null;
  // The one panel that is open over the page.
  panel: Panel | null;
  setView(view: View, selected?: string | null): void;
  setMode(mode: Mode): void;
  setMetric(metric: FillMetric): void;
  setSearch(search: string): void;
  // False where there are as many as may be.
  togglePin(search: string): boolean;
  setHealth(health: Health | null): void;
  select(id: string | null): void;
  setTheme(theme: ThemeChoice): void;
  setOption(name: OptionName, on: boolean): void;
  // Back to the view's defaults.
  resetOptions(): void;
  toggleHost(host: string): void;
  toggleContainers(filter: ContainerFilter, name: string): void;
  setSort(sort: Sort): void;
  setPlace(place: Place | null): void;
  setTime(time: number | null): void;
  setPanel(panel: Panel | null): void;
  // Lifts the search and every filter.
  clearFilters(): void;
}

export function isFiltered({
  search,
  pins,
  health,
  ...lists
}: Pick<PageState, 'search' | 'pins' | 'health' | 'hosts' | ContainerFilter>): boolean {
  const { hosts, namespaces, networks, labels } = lists;
  const lengths = [hosts, namespaces, networks, labels].map((list) => list.length);
  if (lengths.some((length) => length > 0)) return true;
  return search.trim() !== '' || pins.length > 0 || health !== null;
}

// The aggregator's defaults (ViewOptions in observe.proto), for the state of the check boxes.
export function optionDefault(view: View, name: OptionName): boolean {
  if (name === 'unconnected') return view !== 'processes' && view !== 'processes-by-name';
  return name === 'ended' || name === 'uncontained';
}

export function optionOf(page: Pick<PageState, 'view' | 'options'>, name: OptionName): boolean {
  return page.options[page.view][name] ?? optionDefault(page.view, name);
}

export function viewOptions(page: Pick<PageState, 'view' | 'options' | 'hosts' | ContainerFilter>): ViewOptions {
  const { hosts, namespaces, networks, labels } = page;
  return { ...page.options[page.view], hosts, namespaces, networks, labels };
}

export const usePage = create<PageState>()((set, get) => ({
  view: 'containers',
  mode: 'graph',
  metric: 'cpu',
  search: '',
  pins: [],
  health: null,
  selected: null,
  theme: 'system',
  options: Object.fromEntries(VIEWS.map((view) => [view, {}])) as PageState['options'],
  hosts: [],
  namespaces: [],
  networks: [],
  labels: [],
  sort: { column: 'cpu', descending: true },
  place: null,
  time: null,
  panel: null,
  setView: (view, selected = null) =>
    set((page) => (page.view === view ? { selected } : { view, selected, health: null, place: null })),
  setMode: (mode) => set({ mode }),
  setMetric: (metric) => set({ metric }),
  setSearch: (search) => set({ search }),
  togglePin: (search) => {
    const { pins } = get();
    const others = pins.filter((pin) => pin !== search);
    if (others.length === pins.length && pins.length >= PINS_MAX) return false;
    set({ pins: others.length === pins.length ? [...pins, search] : others });
    return true;
  },
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
  toggleContainers: (filter, name) =>
    set((page) => ({
      [filter]: page[filter].includes(name) ? page[filter].filter((one) => one !== name) : [...page[filter], name],
    })),
  setSort: (sort) => set({ sort }),
  setPlace: (place) => set({ place }),
  setTime: (time) => set({ time }),
  setPanel: (panel) => set({ panel }),
  clearFilters: () =>
    set({ search: '', pins: [], health: null, hosts: [], namespaces: [], networks: [], labels: [] }),
}));
