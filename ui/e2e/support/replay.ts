// The page with the aggregator's answers of `scene.ts` instead of its own, at a clock that stands still.

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { isView, type TopologyNode, type View } from '../../src/api/types';
import { address, WIDE } from './browser';
import { agents, detailsOf, logText, NOW_MS, seriesOf, whole } from './scene';

export interface Replayed {
  // What the containers view holds, where it is not the shop.
  nodes?: TopologyNode[];
  // The aggregator is away.
  silent?: boolean;
  // It lets nobody in.
  closed?: boolean;
  // It has gaps to tell of.
  incomplete?: boolean;
}

export async function replayed(
  browser: Browser,
  fragment: string,
  options: BrowserContextOptions = {},
  told: Replayed = {},
  query = '',
): Promise<Page> {
  const context = await browser.newContext({
    viewport: WIDE,
    colorScheme: 'dark',
    reducedMotion: 'reduce',
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...options,
  });
  const page = await context.newPage();
  await page.clock.setFixedTime(NOW_MS);
  // A log that is followed does not end.
  await page.addInitScript(() => {
    const { fetch } = window;
    window.fetch = async (input, init) => {
      const answer = await fetch(input, init);
      if (!String(input).includes('/logs?') || !answer.ok) return answer;
      const text = new Uint8Array(await answer.arrayBuffer());
      return new Response(new ReadableStream({ start: (stream) => stream.enqueue(text) }), { headers: answer.headers });
    };
  });
  await page.route('**/api/**', (route) => {
    const url = new URL(route.request().url());
    if (told.closed) return route.fulfill({ status: 401, json: { error: 'nobody is signed in', hint: 'sign in' } });
    if (told.silent) return route.abort('connectionrefused');
    const json = restAnswer(url);
    if (typeof json === 'string') return route.fulfill({ contentType: 'text/plain; charset=utf-8', body: json });
    return json === null ? route.fulfill({ status: 404, json: { error: 'unknown', hint: '' } }) : route.fulfill({ json });
  });
  await page.routeWebSocket('**/api/v1/ws*', (socket) => {
    if (told.closed || told.silent) return void socket.close();
    const send = (view: string) => {
      if (!isView(view)) return;
      const diff = whole(view, view === 'containers' ? told.nodes : undefined);
      socket.send(JSON.stringify(told.incomplete ? { ...diff, incomplete: gaps() } : diff));
    };
    send(new URL(socket.url()).searchParams.get('view') ?? 'containers');
    socket.onMessage((message) => send((JSON.parse(String(message)) as { view: View }).view));
  });
  await page.goto(`${address}/${query}#${fragment}`);
  await page.evaluate(() => document.fonts.ready);
  return page;
}

function gaps() {
  const gap = { kind: 1, what: 'events', since_unix_ns: (NOW_MS - 95_000) * 1e6, until_unix_ns: 0, count: 812 };
  const rest = { cgroup_id: 0, container_id: '', detail: '' };
  return [
    { agent_id: 'spark-1', hostname: 'spark-1', gap: { ...gap, ...rest }, message: 'spark-1 lost 812 events; a snapshot is on its way' },
  ];
}

function restAnswer(url: URL): unknown {
  const path = url.pathname;
  const number = (name: string) => Number.parseInt(url.searchParams.get(name) ?? '0', 10);
  if (path === '/api/v1/agents/list') return { agents, cursor: null };
  if (path === '/api/v1/session') return { name: 'loopback', role: 'admin', how: 'loopback', sign_in: false, session: false };
  if (path === '/api/v1/status') {
    return { version: '0.1.0', tls: false, authentication: false, insecure_listen: false, settings_kept: true };
  }
  if (path === '/api/v1/search/complete') {
    const suggestions = ['cpu', 'container', 'command', 'created'].map((key, i) => {
      return { text: `${key}:`, kind: 'key', label: ['CPU', 'Container', 'Command', 'Created'][i], nodes: 84 - 7 * i };
    });
    return { from: 0, to: number('at'), suggestions };
  }
  const view = url.searchParams.get('view');
  if (path === '/api/topology' && view !== null && isView(view)) return whole(view);
  const details = /^\/api\/topology\/([^/]+)\/(.+)$/.exec(path);
  if (details) return detailsOf(details[1]!, decodeURIComponent(details[2]!));
  const series = /^\/api\/v1\/query\/nodes\/(.+)\/timeseries$/.exec(path);
  if (series) return seriesOf(decodeURIComponent(series[1]!), number('last'), number('step'));
  return path.endsWith('/logs') ? logText() : null;
}

// The map is drawn and at rest: two frames with the same picture of the same difference.
export async function atRest(page: Page): Promise<void> {
  await page.locator('[data-testid="map"][data-drawn-sequence]').waitFor({ timeout: 30_000 });
  await page.evaluate(async () => {
    const canvas = document.querySelector('canvas')!;
    const seen = () => canvas.toDataURL();
    for (let before = ''; before !== seen(); ) {
      before = seen();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  });
}
