// The logs that are open, one tab for each container.

import { create } from 'zustand';

// Each holds a connection of the browser, which has six to one server; the others stay for the rest.
export const TABS_MAX = 4;

export interface LogTab {
  id: string;
  label: string;
}

interface Logs {
  // The one opened first comes first.
  tabs: LogTab[];
  // The id of the one that is seen.
  active: string | null;
  open(tab: LogTab): void;
  show(id: string): void;
  close(id: string): void;
}

export const useLogs = create<Logs>()((set) => ({
  tabs: [],
  active: null,
  open: (tab) =>
    set(({ tabs }) => {
      const open = tabs.some(({ id }) => id === tab.id);
      return { tabs: open ? tabs : [...tabs, tab].slice(-TABS_MAX), active: tab.id };
    }),
  show: (active) => set({ active }),
  close: (id) =>
    set(({ tabs, active }) => {
      const at = tabs.findIndex((tab) => tab.id === id);
      const left = tabs.filter((tab) => tab.id !== id);
      const neighbour = left[Math.min(at, left.length - 1)]?.id ?? null;
      return { tabs: left, active: active === id ? neighbour : active };
    }),
}));
