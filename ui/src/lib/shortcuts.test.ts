import { describe, expect, it } from 'vitest';
import { meaning, next, SHORTCUTS } from './shortcuts';

const press = (key: string, held: Partial<Parameters<typeof meaning>[0]> = {}) =>
  meaning({ key, ctrlKey: false, metaKey: false, altKey: false, ...held });

describe('shortcuts', () => {
  it('are those of the sheet', () => {
    expect(press('?')).toBe('help');
    expect(press('t')).toBe('table');
    expect(press('>')).toBe('metric-after');
    expect(press('3')).toBe(2);
    expect(press('T')).toBeNull();
    expect(press('Enter')).toBeNull();
  });

  it("leave the browser's own alone", () => {
    expect(press('r', { ctrlKey: true })).toBeNull();
    expect(press('t', { metaKey: true })).toBeNull();
    expect(press('1', { altKey: true })).toBeNull();
  });

  it('give each key one meaning', () => {
    const keys = SHORTCUTS.flatMap(({ shortcuts }) => shortcuts).flatMap(({ keys, action }) => (action ? keys : []));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('go round', () => {
    expect(next(['a', 'b'], 'b')).toBe('a');
    expect(next(['a', 'b'], 'a', -1)).toBe('b');
  });
});
