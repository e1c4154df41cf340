// The page against a running aggregator: MESOSCOPE_URL says where, MESOSCOPE_SCREENSHOT (a path that
// ends in .png) where to leave a picture, CHROMIUM which browser.

import { readFile } from 'node:fs/promises';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const address = process.env.MESOSCOPE_URL ?? 'http://127.0.0.1:4040';
const screenshot = process.env.MESOSCOPE_SCREENSHOT;
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const VIEWS = ['Processes', 'Containers', 'Hosts'] as const;

let browser: Browser;
let page: Page;
const problems: string[] = [];
const foreign: string[] = [];

// How many nodes the map says it shows, by the table's row count.
async function rows(): Promise<number> {
  await page.getByRole('radio', { name: 'Table' }).click();
  const label = await page.getByTestId('table').getAttribute('aria-rowcount');
  return Number(label) - 1;
}

async function untilRows(): Promise<number> {
  await expect.poll(rows, { timeout: 20_000, interval: 250 }).toBeGreaterThan(0);
  return rows();
}

beforeAll(async () => {
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  page = await browser.newPage({ viewport: { width: 1600, height: 900 }, colorScheme: 'dark' });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A process may end and be forgotten between its selection and the question for its details.
    const gone = message.text().includes('404') && message.location().url.includes('/api/topology/');
    // The browser tells of every refused search too.
    const refused = message.text().includes('400') && message.location().url.includes('/api/v1/search');
    if (message.type() === 'error' && !gone && !refused) problems.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(address).host) foreign.push(request.url());
  });
  await page.goto(address);
});

afterAll(async () => {
  await browser?.close();
});

describe('the page', () => {
  it('is live', async () => {
    await page.getByRole('status', { name: 'Live' }).waitFor({ timeout: 20_000 });
  });

  it('has something in every view', async () => {
    for (const view of VIEWS) {
      await page.getByRole('navigation').getByRole('button', { name: view }).click();
      // A machine may run no container; the other two are never empty.
      if (view !== 'Containers') expect(await untilRows()).toBeGreaterThan(0);
    }
  });

  it('opens the details of a node in the table and closes them by Escape', async () => {
    await page.getByRole('navigation').getByRole('button', { name: 'Processes' }).click();
    await untilRows();
    await page.getByTestId('table').getByRole('row').nth(1).click();
    const details = page.getByTestId('details');
    await details.getByRole('heading', { level: 1 }).waitFor();
    await details.getByRole('term').first().waitFor({ timeout: 10_000 });
    await page.keyboard.press('Escape');
    await details.waitFor({ state: 'detached' });
  });

  it('finds by the search and marks how many', async () => {
    const all = await untilRows();
    const name = await page.getByTestId('table').locator('strong').first().textContent();
    await page.keyboard.press('/');
    await page.keyboard.type(name!);
    await expect.poll(rows).toBeLessThanOrEqual(all);
    expect(await rows()).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Clear the search' }).click();
    await expect.poll(rows).toBeGreaterThanOrEqual(all / 2);
  });

  it('suggests keys and values, and asks the aggregator for what is no word', async () => {
    await page.getByRole('navigation').getByRole('button', { name: 'Processes' }).click();
    const all = await untilRows();
    const box = page.getByRole('combobox', { name: 'Search the map' });
    await page.keyboard.press('/');
    await page.keyboard.type('kin');
    await page.getByRole('option', { name: 'kind:' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    expect(await box.inputValue()).toBe('kind:');
    await page.getByRole('option', { name: 'process' }).click();
    expect(await box.inputValue()).toBe('kind:process ');
    await page.keyboard.type('pid > 0');
    await page.getByRole('status').filter({ hasText: 'found' }).waitFor();
    expect(await rows()).toBeGreaterThan(0);
    await box.fill('kind:process pid < 0');
    await expect.poll(rows).toBe(0);
    expect(page.url()).toContain('search=kind');
    await box.fill('cpu >> 2');
    const problem = page.getByRole('alert').filter({ hasText: "Expected a number after '>' at column 5" });
    await problem.waitFor();
    await page.getByRole('button', { name: 'Clear the search' }).click();
    await problem.waitFor({ state: 'detached' });
    await expect.poll(rows).toBeGreaterThanOrEqual(all / 2);
  });

  it('walks over the map by keyboard and opens a node there', async () => {
    await page.getByRole('radio', { name: 'Graph' }).click();
    await page.getByTestId('map').focus();
    // The map may still be gathering its first picture.
    await expect
      .poll(
        async () => {
          await page.keyboard.press('Tab');
          return page.locator('#map-focus').textContent();
        },
        { timeout: 10_000 },
      )
      .not.toBe('');
    await page.keyboard.press('Enter');
    await page.getByTestId('details').getByRole('heading', { level: 1 }).waitFor();
  });

  it('opens the node that is clicked on the map', async () => {
    await page.keyboard.press('Escape');
    const map = page.getByTestId('map');
    await page.getByRole('button', { name: 'Show everything' }).click();
    await page.waitForTimeout(600);
    const box = (await map.boundingBox())!;
    const cursor = () => map.evaluate((element) => element.style.cursor);
    // Where nodes are is on the canvas only: look for the place where the pointer becomes a hand, from
    // the middle outwards, since a whole map takes longer than a test may.
    const [middleX, middleY] = [box.width / 2, box.height / 2];
    const places: { x: number; y: number }[] = [];
    for (let y = 20; y < box.height - 120; y += 14) {
      for (let x = 20; x < box.width - 20; x += 14) places.push({ x, y });
    }
    const distance = ({ x, y }: { x: number; y: number }) => Math.hypot(x - middleX, y - middleY);
    places.sort((one, other) => distance(one) - distance(other));
    const found = await (async () => {
      for (const { x, y } of places) {
        await page.mouse.move(box.x + x, box.y + y);
        if ((await cursor()) === 'pointer') return { x: box.x + x, y: box.y + y };
      }
      return null;
    })();
    expect(found).not.toBeNull();
    await page.mouse.click(found!.x, found!.y);
    await page.getByTestId('details').getByRole('heading', { level: 1 }).waitFor();
  });

  it('draws in both themes', async () => {
    await page.waitForTimeout(1_000);
    const dark = await page.screenshot();
    if (screenshot) await page.screenshot({ path: screenshot });
    const pictures = [dark];
    for (const [name, theme] of [['Light', 'light'], ['High contrast', 'contrast'], ['Dark', 'dark']] as const) {
      await page.getByRole('button', { name: 'Theme' }).click();
      await page.getByRole('menuitemradio', { name }).click();
      await page.locator(`html[data-theme="${theme}"]`).waitFor();
      await page.waitForTimeout(500);
      if (theme === 'dark') break;
      pictures.push(await page.screenshot());
      if (screenshot) await page.screenshot({ path: screenshot.replace(/\.png$/, `-${theme}.png`) });
    }
    pictures.forEach((one, i) => {
      for (const other of pictures.slice(i + 1)) expect(one.equals(other)).toBe(false);
    });
  });

  it('lists its keys, and obeys them', async () => {
    await page.getByTestId('map').focus();
    await page.keyboard.press('?');
    const sheet = page.getByRole('dialog', { name: 'Keys and search' });
    await sheet.waitFor();
    await page.keyboard.press('Escape');
    await sheet.waitFor({ state: 'detached' });
    await page.keyboard.press('t');
    await page.getByTestId('table').waitFor();
    await page.keyboard.press('r');
    await page.getByTestId('resources').waitFor({ timeout: 20_000 });
    await page.keyboard.press('g');
    await page.getByTestId('map').waitFor();
  });

  it('shows the same to whoever opens its link, and goes back', async () => {
    await page.getByRole('navigation').getByRole('button', { name: 'Processes' }).click();
    await page.keyboard.press('t');
    await page.keyboard.press('/');
    await page.keyboard.type('pid > 1');
    await page.getByTestId('table').getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
    const link = page.url();
    const other = await browser.newPage();
    await other.goto(link);
    await other.getByTestId('table').waitFor({ timeout: 20_000 });
    expect(await other.getByRole('combobox').inputValue()).toBe('pid > 1');
    expect(await other.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort')).toBe('ascending');
    expect(other.url()).toBe(link);
    await other.close();
    await page.getByRole('radio', { name: 'Graph' }).click();
    await page.goBack();
    await page.getByTestId('table').waitFor();
    await page.getByRole('button', { name: 'Clear the search' }).click();
  });

  it('saves what is seen', async () => {
    await page.getByRole('radio', { name: 'Graph' }).click();
    const files = [['map as PNG', 'png'], ['map as SVG', 'svg'], ['table as CSV', 'csv'], ['view as JSON', 'json']] as const;
    for (const [item, ending] of files) {
      await page.getByRole('button', { name: 'Share and export' }).click();
      const saved = page.waitForEvent('download');
      await page.getByRole('menuitem', { name: item }).click();
      expect((await saved).suggestedFilename()).toMatch(new RegExp(`^mesoscope-processes-.*\\.${ending}$`));
      if (ending !== 'svg') continue;
      const drawing = await readFile(await (await saved).path(), 'utf8');
      expect(drawing).toMatch(/^<svg [^]*<path [^]*<text [^]*Mesoscope: processes/);
    }
  });

  it('can be used on a screen 390 pixels wide', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    await page.getByRole('button', { name: 'Views, options and agents' }).click();
    await page.getByRole('navigation').getByRole('button', { name: 'Hosts' }).click();
    await page.getByRole('radio', { name: 'Table' }).click();
    const row = page.getByTestId('table').getByRole('row').nth(1);
    await row.click();
    const details = page.getByTestId('details');
    await details.getByRole('heading', { level: 1 }).waitFor();
    if (screenshot) await page.screenshot({ path: screenshot.replace(/\.png$/, '-narrow.png') });
    await details.getByRole('button', { name: 'Close the details' }).click();
    await page.setViewportSize({ width: 1600, height: 900 });
  });

  it('asked nobody but the aggregator, and nothing went wrong', () => {
    expect(foreign).toEqual([]);
    expect(problems).toEqual([]);
  });
});
