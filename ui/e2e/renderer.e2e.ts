// Both back ends draw the same picture, and the map goes on when the graphics card is taken away. WebGL2
// runs on SwiftShader here: the page would not choose it, so its address asks for it.

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch } from './support/browser';
import { difference } from './support/compare';
import { atRest, replayed } from './support/replay';
import { containers } from './support/scene';

const GATEWAY = containers.find(({ label }) => label === 'payment-gateway-1')!;
const PLACES = {
  'as a whole': 'view=containers',
  'near by': `view=containers&at=${GATEWAY.x},${GATEWAY.y},2.4`,
  'from far away': 'view=containers&at=0,0,0.22',
  'with what is searched': 'view=containers&search=kafka',
  'with a selection': `view=containers&node=${encodeURIComponent(GATEWAY.id)}`,
};
// Rims are softened by other means.
const TOLERANCE = 0.01;

let browser: Browser;

const drawnBy = (page: Page) => page.getByTestId('map').getAttribute('data-renderer');
const shown = (page: Page) => page.getByTestId('map').screenshot({ animations: 'disabled' });

async function drawn(renderer: string, fragment: string, scheme: 'dark' | 'light'): Promise<Page> {
  const page = await replayed(browser, fragment, { colorScheme: scheme }, {}, `?renderer=${renderer}`);
  await atRest(page);
  return page;
}

describe('the map', () => {
  beforeAll(async () => {
    browser = await launch('--disable-gpu', '--enable-unsafe-swiftshader', '--use-angle=swiftshader');
  });

  afterAll(async () => {
    await browser?.close();
  });

  for (const [what, fragment] of Object.entries(PLACES)) {
    for (const scheme of ['dark', 'light'] as const) {
      it(`looks the same in WebGL2 as in Canvas 2D: ${what}, ${scheme}`, async () => {
        const [one, other] = [await drawn('canvas2d', fragment, scheme), await drawn('webgl2', fragment, scheme)];
        expect([await drawnBy(one), await drawnBy(other)]).toEqual(['canvas2d', 'webgl2']);
        const { share } = difference(await shown(one), await shown(other));
        expect(share).toBeLessThan(TOLERANCE);
        await one.context().close();
        await other.context().close();
      });
    }
  }

  it('is drawn by Canvas 2D where the graphics card is a program', async () => {
    const page = await replayed(browser, 'view=containers');
    await atRest(page);
    expect(await drawnBy(page)).toBe('canvas2d');
    await page.context().close();
  });

  it('goes on in Canvas 2D when the graphics card is taken away', { timeout: 180_000 }, async () => {
    const page = await drawn('webgl2', 'view=containers', 'dark');
    const before = await shown(page);
    await page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('[data-testid="map"] canvas')!;
      canvas.getContext('webgl2')!.getExtension('WEBGL_lose_context')!.loseContext();
    });
    await expect.poll(() => drawnBy(page), { timeout: 20_000 }).toBe('canvas2d');
    await atRest(page);
    expect(difference(before, await shown(page)).share).toBeLessThan(TOLERANCE);
    // It can still be moved.
    await page.getByRole('button', { name: 'Zoom in' }).click();
    await expect.poll(async () => difference(before, await shown(page)).share, { timeout: 20_000 }).toBeGreaterThan(TOLERANCE);
    await page.context().close();
  });

  it('is saved with all that is seen, in WebGL2 too', async () => {
    const sizes: number[] = [];
    for (const renderer of ['canvas2d', 'webgl2']) {
      const page = await drawn(renderer, 'view=containers', 'dark');
      await page.getByRole('button', { name: 'Share and export' }).click();
      const saved = page.waitForEvent('download');
      await page.getByRole('menuitem', { name: 'map as PNG' }).click();
      const stream = await (await saved).createReadStream();
      let size = 0;
      for await (const part of stream) size += (part as Buffer).length;
      sizes.push(size);
      await page.context().close();
    }
    // A layer that is missing takes most of the bytes along.
    expect(sizes[1]! / sizes[0]!).toBeGreaterThan(0.7);
  });
});
