import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError, searchNodes } from '../api/rest';
import { problemOf } from './search';

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const signal = new AbortController().signal;

afterEach(() => vi.unstubAllGlobals());

describe('an answer', () => {
  it('is gathered page by page', async () => {
    const asked: string[] = [];
    const pages = [
      { nodes: [{ id: 'a' }], cursor: 'containers.7' },
      { nodes: [{ id: 'b' }], cursor: null },
    ];
    vi.stubGlobal('fetch', (path: string) => {
      asked.push(path);
      return Promise.resolve(json(pages[asked.length - 1]));
    });
    const { ids, more } = await searchNodes(['cpu > 2%', 'redis'], 'containers', false, signal);
    expect([[...ids], more]).toEqual([['a', 'b'], false]);
    expect(asked[0]).toContain('q=cpu+%3E+2%25&q=redis');
    expect(asked[1]).toContain('cursor=containers.7');
  });

  it('ends at its bound', async () => {
    let pages = 0;
    vi.stubGlobal('fetch', () => Promise.resolve(json({ nodes: [{ id: String((pages += 1)) }], cursor: 'hosts.1' })));
    const { more } = await searchNodes(['a:b'], 'hosts', false, signal);
    expect(more).toBe(true);
    expect(pages).toBeLessThan(50);
  });
});

describe('a problem', () => {
  it('is told without the search', async () => {
    const body = { error: "cpu >> 2: expected a number after '>' at column 5", hint: 'docs' };
    vi.stubGlobal('fetch', () => Promise.resolve(json(body, 400)));
    const error = await searchNodes(['cpu >> 2'], 'hosts', false, signal).catch((error: unknown) => error);
    expect(problemOf(error, 'cpu >> 2')).toBe("Expected a number after '>' at column 5");
  });

  it('is none for words, which the page answers itself', () => {
    expect(problemOf(new ApiError('The aggregator does not answer.', 0), 'redis')).toBe('');
    expect(problemOf(new ApiError('The aggregator does not answer.', 0), 'a:b')).toContain('answer');
  });

  it('of a pinned search names it', () => {
    const error = new ApiError('', 400, "cpu >: expected a value at column 6");
    expect(problemOf(error, 'redis', ['cpu >'])).toBe('Cpu >: expected a value at column 6');
  });
});
