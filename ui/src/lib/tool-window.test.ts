import { describe, expect, it } from 'vitest';
import { fromQuery, promise, redeem, toQuery, type ToolWindow } from './tool-window';

const WINDOW: ToolWindow = { kind: 'shell', id: 'container;ab c;node&1', label: '<b>web</b>', key: 'k1' };

function storage() {
  const held = new Map<string, string>();
  return {
    getItem: (name: string) => held.get(name) ?? null,
    setItem: (name: string, value: string) => void held.set(name, value),
    removeItem: (name: string) => void held.delete(name),
  };
}

describe('a window of its own', () => {
  it('is told by its address, whatever the names hold', () => {
    expect(fromQuery(toQuery(WINDOW))).toEqual(WINDOW);
    expect(fromQuery('')).toBeNull();
    expect(fromQuery('?window=root&id=container;a')).toBeNull();
    expect(fromQuery('?window=shell&id=host;a')).toBeNull();
  });

  it('begins by itself only where the page has just opened it', () => {
    const keys = storage();
    promise(keys, 'k1');
    expect(redeem(keys, 'k2')).toBe(false);
    expect(redeem(keys, '')).toBe(false);
    expect(redeem(keys, 'k1')).toBe(true);
    expect(redeem(keys, 'k1')).toBe(false);
  });
});
