import { describe, expect, it } from 'vitest';
import { usePage } from './page';
import { fromHash, toHash, type Linked } from './persist';

const base: Linked = usePage.getState();
const defaults = fromHash('#view=containers');

describe('the address', () => {
  it('goes there and back, whatever the id holds', () => {
    const page = {
      ...defaults,
      view: 'processes',
      mode: 'table',
      metric: 'memory',
      search: 'a&b=c #d <img src=x onerror=alert(1)>',
      pins: ['image:redis', 'cpu > 2% & "x"'],
      health: 'critical',
      selected: 'process;h 1;7;9%',
      options: { ...defaults.options, processes: { ended: false, unconnected: true } },
      hosts: ['node a', 'b&c'],
      namespaces: ['shop', 'a b'],
      networks: ['back&front'],
      labels: ['team=shop', 'beta'],
      sort: { column: 'label', descending: false },
      place: { x: -120, y: 44, zoom: 1.25 },
      time: Date.UTC(2026, 10, 21, 12, 0, 4),
    } as Linked;
    expect(fromHash(toHash(page))).toEqual(page);
  });

  it('says what a link needs and no more', () => {
    expect(toHash(base)).toBe('#view=containers&metric=cpu');
    expect(toHash({ ...base, place: { x: 1.7, y: 2.2, zoom: 0.123456 } })).toContain('at=2%2C2%2C0.123');
  });

  it('does not carry the theme', () => {
    usePage.setState({ theme: 'light' });
    expect(toHash(usePage.getState())).not.toContain('light');
  });

  it('is ignored when it names no view', () => {
    expect(fromHash('#view=nonsense')).toEqual({});
    expect(fromHash('')).toEqual({});
  });

  it('gives the default for all that is nonsense', () => {
    const hash = '#view=containers&mode=x&health=x&sort=-x&at=1,2&show=x,__proto__&host=a&host=a';
    expect(fromHash(hash)).toEqual({ ...defaults, hosts: ['a'] });
    expect(fromHash('#view=containers&at=NaN,1,1').place).toBeNull();
    expect(fromHash('#view=containers&at=1,1,1e9').place).toBeNull();
    expect(fromHash('#view=containers&at=,,').place).toBeNull();
    for (const time of ['', 'soon', '-1', '99999999999999']) {
      expect(fromHash(`#view=containers&time=${time}`).time ?? null, time).toBeNull();
    }
  });

  it('does not let a link grow without bound', () => {
    const hosts = Array.from({ length: 1_000 }, (_, i) => `host=${i}`).join('&');
    const pins = Array.from({ length: 1_000 }, (_, i) => `pin=${i}${'x'.repeat(2_000)}`).join('&');
    const page = fromHash(`#view=hosts&search=${'x'.repeat(5_000)}&${hosts}&${pins}&pin=`);
    expect(page.pins).toHaveLength(8);
    expect(page.pins?.[0]).toHaveLength(1_000);
    expect(page.search).toHaveLength(1_000);
    expect(page.hosts).toHaveLength(200);
  });
});
