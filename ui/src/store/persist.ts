// Keeps the page's choices: what is looked at in the address (so that it can be sent to somebody, and
// the browser's back button works), the theme and metric in the browser.

import { CONTAINER_FILTERS, isView, VIEWS, type ContainerFilter, type Health, type View } from '../api/types';
import { COLUMN_KEYS } from '../lib/table';
import { THEMES } from '../theme/tokens';
import { METRICS, MODES, OPTION_NAMES, PINS_MAX, usePage, type PageState, type Place, type ThemeChoice } from './page';

const STORED = 'mesoscope.page';
const CHOICES: readonly ThemeChoice[] = [...THEMES, 'system'];
const HEALTHS: readonly Health[] = ['ok', 'warning', 'critical', 'unknown'];
// A link from elsewhere is only text: what it may make the page keep is bounded.
const TEXT_MAX = 1_000;
const HOSTS_MAX = 200;
// As the aggregator takes.
const NAMES_MAX = 64;
const FILTERS = Object.entries(CONTAINER_FILTERS);
const PLACE_MAX = 1e6;
const [ZOOM_MIN, ZOOM_MAX] = [0.01, 20];

// What a link reproduces.
export type Linked = Pick<
  PageState,
  | 'view'
  | 'mode'
  | 'metric'
  | 'search'
  | 'pins'
  | 'health'
  | 'selected'
  | 'options'
  | 'hosts'
  | ContainerFilter
  | 'sort'
  | 'place'
  | 'time'
>;

const DEFAULT_SORT = '-cpu';

export function toHash(page: Linked): string {
  const parts = new URLSearchParams({ view: page.view });
  if (page.mode !== 'graph') parts.set('mode', page.mode);
  parts.set('metric', page.metric);
  if (page.search) parts.set('search', page.search);
  for (const pin of page.pins) parts.append('pin', pin);
  if (page.health) parts.set('health', page.health);
  const options = Object.entries(page.options[page.view] ?? {});
  const shown = options.filter(([, on]) => on === true).map(([name]) => name);
  const hidden = options.filter(([, on]) => on === false).map(([name]) => name);
  if (shown.length > 0) parts.set('show', shown.sort().join());
  if (hidden.length > 0) parts.set('hide', hidden.sort().join());
  for (const host of page.hosts) parts.append('host', host);
  for (const [key, filter] of FILTERS) for (const name of page[filter]) parts.append(key, name);
  const sort = `${page.sort.descending ? '-' : ''}${page.sort.column}`;
  if (sort !== DEFAULT_SORT) parts.set('sort', sort);
  if (page.place) {
    const { x, y, zoom } = page.place;
    parts.set('at', `${Math.round(x)},${Math.round(y)},${Number(zoom.toPrecision(3))}`);
  }
  if (page.time !== null) parts.set('time', new Date(page.time).toISOString());
  if (page.selected) parts.set('node', page.selected);
  return `#${parts.toString()}`;
}

function placeFrom(text: string | null): Place | null {
  const [x, y, zoom, ...more] = (text ?? '').split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  if (x === undefined || y === undefined || zoom === undefined || more.length > 0) return null;
  if (!(Math.abs(x) <= PLACE_MAX && Math.abs(y) <= PLACE_MAX && zoom >= ZOOM_MIN && zoom <= ZOOM_MAX)) return null;
  return { x, y, zoom };
}

function timeFrom(text: string): number | null {
  // Browsers take much else for a date.
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? Date.parse(text) : NaN;
  return Number.isSafeInteger(time) && time > 0 ? time : null;
}

function optionsFrom(view: View, parts: URLSearchParams): PageState['options'] {
  const none = Object.fromEntries(VIEWS.map((one) => [one, {}])) as PageState['options'];
  const named = (key: string, on: boolean) =>
    (parts.get(key) ?? '')
      .split(',')
      .flatMap((text) => OPTION_NAMES.filter((name) => name === text))
      .map((name) => [name, on] as const);
  none[view] = Object.fromEntries([...named('show', true), ...named('hide', false)]);
  return none;
}

// What an address asks for; nothing where it names no view. Whatever it does not say is the default, so
// that a link shows the same to everybody.
export function fromHash(hash: string): Partial<Linked> {
  const parts = new URLSearchParams(hash.replace(/^#/, ''));
  const view = parts.get('view') ?? '';
  if (!isView(view)) return {};
  const text = (key: string) => (parts.get(key) ?? '').slice(0, TEXT_MAX);
  const several = (key: string, most: number) =>
    [...new Set(parts.getAll(key).map((one) => one.slice(0, TEXT_MAX)))].slice(0, most);
  const sort = text('sort') || DEFAULT_SORT;
  const metric = METRICS.find((one) => one === text('metric'));
  return {
    view,
    mode: MODES.find((one) => one === text('mode')) ?? 'graph',
    ...(metric && { metric }),
    search: text('search'),
    pins: [...new Set(parts.getAll('pin').map((pin) => pin.slice(0, TEXT_MAX).trim()))].filter(Boolean).slice(0, PINS_MAX),
    health: HEALTHS.find((one) => one === text('health')) ?? null,
    selected: text('node') || null,
    options: optionsFrom(view, parts),
    hosts: several('host', HOSTS_MAX),
    namespaces: several('namespace', NAMES_MAX),
    networks: several('network', NAMES_MAX),
    labels: several('label', NAMES_MAX),
    sort: {
      column: COLUMN_KEYS.find((one) => one === sort.replace(/^-/, '')) ?? 'cpu',
      descending: sort.startsWith('-'),
    },
    place: placeFrom(parts.get('at')),
    time: timeFrom(text('time')),
  };
}

function fromStorage(): Partial<Pick<PageState, 'theme' | 'metric'>> {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? '{}') as { theme?: unknown; metric?: unknown };
    const theme = CHOICES.find((one) => one === stored.theme);
    const metric = METRICS.find((one) => one === stored.metric);
    return { ...(theme && { theme }), ...(metric && { metric }) };
  } catch {
    // A private window without storage: the defaults do.
    return {};
  }
}

// A step that "back" undoes: another view or node. Typing, sorting and moving are not worth one each.
function isStep(now: PageState, before: PageState): boolean {
  return now.view !== before.view || now.mode !== before.mode || now.selected !== before.selected;
}

// Restores the choices and follows them from now on.
export function keepPage(): void {
  usePage.setState({ ...fromStorage(), ...fromHash(location.hash) });
  let going = false;
  usePage.subscribe((page, before) => {
    const hash = toHash(page);
    if (hash !== location.hash) {
      if (isStep(page, before) && !going) history.pushState(null, '', hash);
      else history.replaceState(null, '', hash);
    }
    if (page.theme === before.theme && page.metric === before.metric) return;
    try {
      localStorage.setItem(STORED, JSON.stringify({ theme: page.theme, metric: page.metric }));
    } catch {
      // Storage may be full or refused; the choice then lasts until the reload.
    }
  });
  addEventListener('hashchange', () => {
    going = true;
    usePage.setState(fromHash(location.hash));
    going = false;
  });
}
