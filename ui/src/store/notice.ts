// One short sentence about what the person has just done; it goes by itself.

import { create } from 'zustand';

const SHOWN_MS = 4_000;

export const useNotice = create<{ text: string }>()(() => ({ text: '' }));

let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  clearTimeout(timer);
  useNotice.setState({ text });
  timer = setTimeout(() => useNotice.setState({ text: '' }), SHOWN_MS);
}
