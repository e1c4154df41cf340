// What the person chose: view, metric, search, selection, theme. Survives a reload where it should.

import { create } from 'zustand';
import type { Health, View, ViewOptions } from '../api/types';
import type { ThemeName } from '../theme/tokens';

export type FillMetric = 'cpu' | 'memory' | 'network';
export type Mode = 'graph' | 'table';
export type ThemeChoice = ThemeName | 'system';
export type OptionName = 'unconnected' | 'ended' | 'kernel_threads';

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
  setView(view: View, selected?: string | null): void;
  setMode(mode: Mode): void;
  setMetric(metric: FillMetric): void;
  setSearch(search: string): void;
  setHealth(health: Health | null): void;
  select(id: string | null): void;
  setTheme(theme: ThemeChoice): void;
  setOption(name: OptionName, on: boolean): void;
  toggleHost(host: string): void;
}

// The aggregator's defaults (ViewOptions in observe.proto), for the state of the check boxes.
export function optionDefault(view: View, name: OptionName): boolean {
  if (name === 'unconnected') return view !== 'processes';
  return name === 'ended';
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
  options: { processes: {}, containers: {}, hosts: {} },
  hosts: [],
  setView: (view, selected = null) =>
    set((page) => (page.view === view ? { selected } : { view, selected, health: null })),
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
  toggleHost: (host) =>
    set((page) => ({
      hosts: page.hosts.includes(host) ? page.hosts.filter((one) => one !== host) : [...page.hosts, host],
    })),
}));
