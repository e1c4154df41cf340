// The pictures of docs/screenshots, made anew and compared: every part of the page in the state that
// its users know it by. `UPDATE_SCREENSHOTS=1 npm run e2e -- screenshots` takes what it looks like now.

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch } from './support/browser';
import { compared } from './support/compare';
import { atRest, replayed } from './support/replay';
import { containers } from './support/scene';

let browser: Browser;

const GATEWAY = containers.find(({ label }) => label === 'payment-gateway-1')!;
const SELECTED = `view=containers&node=${encodeURIComponent(GATEWAY.id)}`;
const NARROW = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };

async function kept(name: string, page: Page): Promise<void> {
  expect(compared(name, await page.screenshot({ animations: 'disabled', caret: 'hide' }))).toBeNull();
  await page.context().close();
}

async function detailsAreThere(page: Page): Promise<void> {
  const details = page.getByTestId('details');
  await details.getByRole('heading', { level: 1 }).waitFor({ timeout: 30_000 });
  // The lines of the metrics come with an answer of their own.
  await details.locator('svg path').first().waitFor({ timeout: 30_000 });
  await details.getByText('Processes').first().waitFor({ timeout: 30_000 });
}

describe('the page looks as it did', () => {
  beforeAll(async () => {
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
  });

  for (const [theme, colorScheme, contrast] of [
    ['dark', 'dark', 'no-preference'],
    ['light', 'light', 'no-preference'],
    ['contrast', 'dark', 'more'],
  ] as const) {
    it(`as a map with details, ${theme}`, async () => {
      const page = await replayed(browser, SELECTED, { colorScheme, contrast });
      await detailsAreThere(page);
      await atRest(page);
      await kept(`map-${theme}`, page);
    });
  }

  it('as a map near by', async () => {
    const { x, y } = GATEWAY;
    const page = await replayed(browser, `view=containers&at=${x},${y},2.4`);
    await atRest(page);
    await kept('map-near', page);
  });

  it('as a table', async () => {
    const page = await replayed(browser, 'view=containers&mode=table&sort=-cpu');
    await page.getByTestId('table').getByRole('row').nth(5).waitFor({ timeout: 30_000 });
    await kept('table', page);
  });

  it('as resources', async () => {
    const page = await replayed(browser, 'view=hosts&mode=resources');
    await page.getByTestId('resources').getByText('checkout-1').first().waitFor({ timeout: 30_000 });
    await kept('resources', page);
  });

  it('while it is searched', async () => {
    const page = await replayed(browser, 'view=containers&search=kafka');
    await page.getByRole('combobox').click();
    await page.keyboard.press('End');
    await page.keyboard.type(' c');
    await page.getByRole('option').first().waitFor({ timeout: 30_000 });
    await atRest(page);
    await kept('search', page);
  });

  it('with a log', async () => {
    const page = await replayed(browser, SELECTED);
    await detailsAreThere(page);
    await page.getByTestId('control').getByRole('button', { name: 'Logs' }).click();
    await page.getByTestId('drawer').getByText('the vault answered').first().waitFor({ timeout: 30_000 });
    await atRest(page);
    await kept('log', page);
  });

  it('before somebody signs in', async () => {
    const page = await replayed(browser, 'view=containers', {}, { closed: true });
    await page.getByRole('dialog', { name: 'Sign in' }).waitFor({ timeout: 30_000 });
    await page.getByLabel('Name').fill('ada');
    await kept('sign-in', page);
  });

  it('when data is missing', async () => {
    const page = await replayed(browser, 'view=containers', {}, { incomplete: true });
    await page.getByText('lost 812 events').waitFor({ timeout: 30_000 });
    await atRest(page);
    await kept('incomplete', page);
  });

  it('when there is nothing yet, and when nobody answers', async () => {
    const page = await replayed(browser, 'view=containers', {}, { nodes: [] });
    await atRest(page);
    await kept('empty', page);
    const away = await replayed(browser, 'view=containers', {}, { silent: true });
    await away.getByRole('alert').first().waitFor({ timeout: 30_000 });
    // The seconds until the next attempt are another number each time.
    await away.addStyleTag({ content: 'time, [data-seconds] { visibility: hidden }' });
    await kept('away', away);
  });

  it('with its keys', async () => {
    const page = await replayed(browser, 'view=containers');
    await atRest(page);
    await page.getByRole('button', { name: 'Keys and search' }).click();
    await page.getByRole('dialog', { name: 'Keys and search' }).waitFor();
    await kept('keys', page);
  });

  it('on a phone', async () => {
    const page = await replayed(browser, 'view=containers', NARROW);
    await atRest(page);
    await kept('phone-map', page);
    const details = await replayed(browser, SELECTED, NARROW);
    await detailsAreThere(details);
    await atRest(details);
    await kept('phone-details', details);
  });
});
