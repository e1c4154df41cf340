import { describe, expect, it } from 'vitest';
import { charactersBefore, completed } from './complete';

describe('a suggestion', () => {
  it('takes the place of the word and leaves the caret behind it', () => {
    const key = { text: 'image:', kind: 'key' } as const;
    expect(completed('a im', { from: 2, to: 4 }, key)).toEqual({ text: 'a image:', caret: 8 });
    const value = { text: 'redis', kind: 'value' } as const;
    expect(completed('image:re', { from: 6, to: 8 }, value)).toEqual({ text: 'image:redis ', caret: 12 });
    expect(completed('image:re x', { from: 6, to: 8 }, value)).toEqual({ text: 'image:redis x', caret: 11 });
  });

  it('counts characters as the aggregator does', () => {
    expect(charactersBefore('🦀 im', 5)).toBe(4);
    const key = { text: 'image:', kind: 'key' } as const;
    expect(completed('🦀 im', { from: 2, to: 4 }, key).text).toBe('🦀 image:');
  });
});
