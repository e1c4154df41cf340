// A log, files or a terminal in a window of its own: what its address says, and whether the page opened it.

import type { TabKind } from '../store/tabs';

const KINDS: readonly TabKind[] = ['log', 'files', 'shell', 'attach'];
const KEY = 'mesoscope.window.';
const TEXT_MAX = 1_000;

export interface ToolWindow {
  kind: TabKind;
  // The container's node.
  id: string;
  label: string;
  // What shows that the page opened it.
  key: string;
}

export function toQuery({ kind, id, label, key }: ToolWindow): string {
  return `?${new URLSearchParams({ window: kind, id, label, key }).toString()}`;
}

// Null where the address is that of the map.
export function fromQuery(query: string): ToolWindow | null {
  const parts = new URLSearchParams(query);
  const kind = KINDS.find((one) => one === parts.get('window'));
  const text = (name: string) => (parts.get(name) ?? '').slice(0, TEXT_MAX);
  if (!kind || !text('id').startsWith('container;')) return null;
  return { kind, id: text('id'), label: text('label') || text('id'), key: text('key') };
}

// What of the browser's storage is used.
export type Keys = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export function promise(keys: Keys, key: string): void {
  keys.setItem(KEY + key, '1');
}

// True once for what the page has opened. A link from elsewhere starts nothing in a container by itself.
export function redeem(keys: Keys, key: string): boolean {
  if (key === '' || keys.getItem(KEY + key) === null) return false;
  keys.removeItem(KEY + key);
  return true;
}
