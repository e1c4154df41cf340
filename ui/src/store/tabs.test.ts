import { beforeEach, describe, expect, it } from 'vitest';
import { LOGS_MAX, TERMINALS_MAX, useTabs, whatOf, type TabKind } from './tabs';

const tabs = () => useTabs.getState();
const open = (id: string, kind: TabKind = 'log') => tabs().open(kind, id, id);
const shown = () => tabs().tabs.map((tab) => `${tab.label}: ${whatOf(tab)}`);
const active = () => tabs().tabs.find(({ key }) => key === tabs().active)?.label;

beforeEach(() => useTabs.setState({ tabs: [], active: null }));

describe('open logs', () => {
  it('are one for each container, the last one opened in front', () => {
    for (const id of ['a', 'b', 'a']) open(id);
    expect(shown()).toEqual(['a: log', 'b: log']);
    expect(active()).toBe('a');
  });

  it('make room for the next one, and terminals do not', () => {
    open('t', 'shell');
    for (let i = 0; i <= LOGS_MAX; i++) open(`${i}`);
    expect(shown()).toEqual(['t: shell', '1: log', '2: log', '3: log', '4: log']);
    expect(active()).toBe(`${LOGS_MAX}`);
  });

  it('leave the neighbour in front when they are closed', () => {
    for (const id of ['a', 'b', 'c']) open(id);
    const [a, b, c] = tabs().tabs.map(({ key }) => key) as [string, string, string];
    tabs().show(b);
    tabs().close(b);
    expect(active()).toBe('c');
    tabs().close(a);
    expect(active()).toBe('c');
    tabs().close(c);
    expect(tabs()).toMatchObject({ tabs: [], active: null });
  });
});

describe('open files', () => {
  it('are one tab for each container, beside its log', () => {
    for (const kind of ['files', 'log', 'files'] as const) open('a', kind);
    expect(shown()).toEqual(['a: files', 'a: log']);
    for (let i = 0; i < TERMINALS_MAX; i++) open('a', 'shell');
    expect(open('b', 'files')).toBe(true);
  });
});

describe('open terminals', () => {
  it('may be several of one container, which has one process of its own', () => {
    for (const kind of ['shell', 'shell', 'attach', 'attach'] as const) open('a', kind);
    expect(shown()).toEqual(['a: shell', 'a: shell 2', 'a: own process']);
    tabs().close(tabs().tabs[0]!.key);
    open('a', 'shell');
    expect(shown()).toEqual(['a: shell 2', 'a: own process', 'a: shell 3']);
  });

  it('are not closed to make room', () => {
    for (let i = 0; i < TERMINALS_MAX; i++) expect(open('a', 'shell')).toBe(true);
    expect(open('b', 'attach')).toBe(false);
    expect(tabs().tabs).toHaveLength(TERMINALS_MAX);
    expect(open('b')).toBe(true);
  });
});
