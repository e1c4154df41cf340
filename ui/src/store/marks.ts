// Nodes that are marked, to do something to all of them at once. The selected node is another matter.

import { create } from 'zustand';
import type { TopologyNode } from '../api/types';
import { say } from './notice';

// The aggregator takes no more in one request.
export const MARKS_MAX = 200;

interface Marks {
  ids: ReadonlySet<string>;
  // The one marked last, from which a range goes on.
  last: string | null;
  toggle(id: string): void;
  // Marks all of these as well.
  add(ids: readonly string[]): void;
  // Keeps those only that are still there.
  keep(there: (id: string) => boolean): void;
  clear(): void;
}

function bounded(ids: Set<string>): Set<string> {
  if (ids.size <= MARKS_MAX) return ids;
  say(`${MARKS_MAX} containers can be marked at once.`);
  return new Set([...ids].slice(0, MARKS_MAX));
}

export const useMarks = create<Marks>()((set) => ({
  ids: new Set(),
  last: null,
  toggle: (id) =>
    set((marks) => {
      const ids = new Set(marks.ids);
      if (!ids.delete(id)) ids.add(id);
      return { ids: bounded(ids), last: id };
    }),
  add: (more) => set((marks) => ({ ids: bounded(new Set([...marks.ids, ...more])), last: more.at(-1) ?? marks.last })),
  keep: (there) =>
    set((marks) => {
      const left = [...marks.ids].filter(there);
      return left.length === marks.ids.size ? marks : { ids: new Set(left) };
    }),
  clear: () => set({ ids: new Set(), last: null }),
}));

// Only containers can be controlled.
export function canBeMarked(node: TopologyNode): boolean {
  return node.kind === 'container' && !node.pseudo;
}

// From one to another in the order in which they are shown, both with them.
export function range(order: readonly string[], from: string | null, to: string): string[] {
  const at = order.indexOf(to);
  const before = from === null ? -1 : order.indexOf(from);
  if (at < 0 || before < 0) return [to];
  return order.slice(Math.min(at, before), Math.max(at, before) + 1);
}
