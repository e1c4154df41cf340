import { describe, expect, it } from 'vitest';
import { LINE_CHARACTERS_MAX, LINES_MAX, LogLines, matching, plain, visible } from './log-lines';

describe('the lines of a log', () => {
  it('come together wherever they were cut', () => {
    const log = new LogLines();
    for (const part of ['one\ntw', '', 'o', '\nthree\r\n', 'fo']) log.push(part);
    expect(log.all()).toEqual(['one', 'two', 'three', 'fo']);
    log.push('ur\n\n');
    expect(log.all()).toEqual(['one', 'two', 'three', 'four', '']);
  });

  it('are bounded in number and length', () => {
    const log = new LogLines();
    for (let i = 0; i < LINES_MAX + 5; i++) log.push(`${i}\n`);
    expect(log.all()).toHaveLength(LINES_MAX);
    expect(log.all()[0]).toBe('5');
    expect(log.forgotten).toBe(5);
    // One without an end.
    for (let i = 0; i < 10; i++) log.push('x'.repeat(LINE_CHARACTERS_MAX));
    log.push('\nnext\n');
    expect(log.all().at(-2)).toHaveLength(LINE_CHARACTERS_MAX);
    expect(log.all().at(-1)).toBe('next');
  });

  it('are searched as they are read', () => {
    expect(matching(['GET /', 'error: no room', 'ERROR'], ' error ')).toEqual(['error: no room', 'ERROR']);
    expect(matching(['a', 'b'], '')).toEqual(['a', 'b']);
    expect(matching(['a.c', 'abc'], 'a.c')).toEqual(['a.c']);
  });

  it('lose what only a terminal understands', () => {
    expect(plain('\u001b[1;31mred\u001b[0m and \u001b]0;title\u0007text\u0008')).toBe('red and text');
    expect(plain('tab\tstays')).toBe('tab\tstays');
  });

  it('are drawn only where they are seen', () => {
    expect(visible(10_000, 18, 0, 180)).toEqual([0, 30]);
    expect(visible(10_000, 18, 18_000, 180)).toEqual([980, 1_030]);
    expect(visible(5, 18, 0, 180)).toEqual([0, 5]);
    // Scrolled further than there are lines now.
    expect(visible(5, 18, 18_000, 180)).toEqual([5, 5]);
  });
});
