// What is open below the map: logs and files, one tab each for a container, and terminals, as many as
// somebody opens.

import { create } from 'zustand';

// Each log holds a connection of the browser, which has six to one server; the others stay for the rest.
export const LOGS_MAX = 4;
export const FILES_MAX = 4;
// WebSockets are not among the six. The agent of a node allows eight.
export const TERMINALS_MAX = 6;

// Of terminals: a shell, or the container's own process.
export type TabKind = 'log' | 'files' | 'shell' | 'attach';

export interface Tab {
  key: string;
  kind: TabKind;
  // The container's node.
  id: string;
  label: string;
  // Shells of one container are counted.
  number: number;
}

interface Tabs {
  // The one opened first comes first.
  tabs: Tab[];
  // The key of the one that is seen.
  active: string | null;
  // False where there is no room: a shell is never closed to make some.
  open(kind: TabKind, id: string, label: string): boolean;
  show(key: string): void;
  close(key: string): void;
}

export const useTabs = create<Tabs>()((set, get) => ({
  tabs: [],
  active: null,
  open: (kind, id, label) => {
    const { tabs } = get();
    const same = tabs.filter((tab) => tab.kind === kind && tab.id === id);
    if (kind !== 'shell' && same[0]) {
      set({ active: same[0].key });
      return true;
    }
    const number = Math.max(0, ...same.map((tab) => tab.number)) + 1;
    const tab = { key: `${kind} ${number} ${id}`, kind, id, label, number };
    if (isTerminal(kind) && tabs.filter((other) => isTerminal(other.kind)).length >= TERMINALS_MAX) return false;
    const alike = tabs.filter((other) => other.kind === kind);
    const most = kind === 'log' ? LOGS_MAX : FILES_MAX;
    const gone = !isTerminal(kind) && alike.length >= most ? alike[0] : undefined;
    set({ tabs: [...tabs.filter((other) => other !== gone), tab], active: tab.key });
    return true;
  },
  show: (active) => set({ active }),
  close: (key) =>
    set(({ tabs, active }) => {
      const at = tabs.findIndex((tab) => tab.key === key);
      const left = tabs.filter((tab) => tab.key !== key);
      const neighbour = left[Math.min(at, left.length - 1)]?.key ?? null;
      return { tabs: left, active: active === key ? neighbour : active };
    }),
}));

function isTerminal(kind: TabKind): boolean {
  return kind === 'shell' || kind === 'attach';
}

// What a tab shows of its container.
export function whatOf({ kind, number }: Tab): string {
  if (kind === 'log' || kind === 'files') return kind;
  if (kind === 'attach') return 'own process';
  return number > 1 ? `shell ${number}` : 'shell';
}
