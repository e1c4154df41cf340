import { beforeEach, describe, expect, it } from 'vitest';
import { TABS_MAX, useLogs } from './logs';

const logs = () => useLogs.getState();
const ids = () => logs().tabs.map(({ id }) => id);
const open = (id: string) => logs().open({ id, label: id });

describe('open logs', () => {
  beforeEach(() => useLogs.setState({ tabs: [], active: null }));

  it('are one for each container, the last one opened in front', () => {
    ['a', 'b', 'a'].forEach(open);
    expect(ids()).toEqual(['a', 'b']);
    expect(logs().active).toBe('a');
  });

  it('make room for the next one', () => {
    for (let i = 0; i <= TABS_MAX; i++) open(`${i}`);
    expect(ids()).toHaveLength(TABS_MAX);
    expect(ids()[0]).toBe('1');
    expect(logs().active).toBe(`${TABS_MAX}`);
  });

  it('leave the neighbour in front when they are closed', () => {
    ['a', 'b', 'c'].forEach(open);
    logs().show('b');
    logs().close('b');
    expect(logs().active).toBe('c');
    logs().close('a');
    expect(logs().active).toBe('c');
    logs().close('c');
    expect(logs()).toMatchObject({ tabs: [], active: null });
  });
});
