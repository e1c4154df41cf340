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

  it('lose the time that they begin with, and go on from it without a line twice', () => {
    const log = new LogLines();
    const at = (second: number, line: string) => `2024-01-02T03:04:0${second}.5Z ${line}\n`;
    log.push(at(1, 'one') + at(2, 'two') + '2024-01-02T03:04:03.5Z thr');
    expect(log.all()).toEqual(['one', 'two', 'thr']);
    expect(log.since).toBe(Date.UTC(2024, 0, 2, 3, 4, 2) / 1000);
    expect(log.brokeOff).toBe(false);
    log.push('\n[mesoscope: the log ends here: the agent went away]\n');
    expect(log.brokeOff).toBe(true);
    log.resume('on');
    log.push(at(2, 'two') + at(3, 'thr') + at(4, 'four'));
    expect(log.all().slice(-2)).toEqual(['[on]', 'four']);
    // What a container writes itself looks so only at its end.
    log.push(at(5, '[mesoscope: the log ends here: the agent went away]') + at(6, 'five'));
    expect(log.brokeOff).toBe(false);
    expect(new LogLines().since).toBeNull();
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
