// Real containers from the page: on the map when they start, their log, a shell in them, stopping,
// starting and removing them, and finding them.

import type { Browser, Locator, Page } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { address, at, launch, problemsOf, WIDE } from './support/browser';
import { Container, docker, hasDocker, IMAGE, makeImage } from './support/docker';

const tag = `e2e-${process.pid}`;
const TALK = 'echo "the shop opens"; n=0; while :; do n=$((n+1)); echo "customer $n served"; sleep 0.5; done';

let browser: Browser;
let page: Page;
let problems: string[];
let shop: Container;
let customer: Container;
let details: Locator;
let drawer: Locator;

// A click on its row; the rows are redrawn while the map changes.
async function select(name: string): Promise<void> {
  const row = page.getByTestId('table').getByRole('row').filter({ hasText: name });
  await row.click({ timeout: 30_000 });
  await details.getByRole('heading', { level: 1, name }).waitFor();
}

async function press(name: string): Promise<void> {
  await page.getByTestId('control').getByRole('button', { name, exact: true }).click({ timeout: 30_000 });
}

const screen = () => drawer.locator('.xterm-rows').innerText();

describe.runIf(hasDocker())('containers', () => {
  beforeAll(async () => {
    makeImage();
    browser = await launch();
    page = await browser.newPage({ viewport: WIDE });
    problems = problemsOf(page);
    details = page.getByTestId('details');
    drawer = page.getByTestId('drawer');
    await page.goto(at('view=containers&mode=table'));
    await page.getByRole('status', { name: 'Live' }).waitFor({ timeout: 30_000 });
  });

  afterAll(async () => {
    await browser?.close();
    shop?.remove();
    customer?.remove();
  });

  it('are on the map as soon as they start, and found by what they are', async () => {
    shop = new Container(`${tag}-shop`, `httpd -p 8080 -h /www; ${TALK}`, '--label', `trade=${tag}`);
    const ask = `while :; do wget -q -O /dev/null http://${shop.ipAddress}:8080/ ; sleep 0.3; done`;
    customer = new Container(`${tag}-customer`, ask);
    const rows = page.getByTestId('table').getByRole('row');
    await rows.filter({ hasText: shop.name }).waitFor({ timeout: 30_000 });
    await rows.filter({ hasText: customer.name }).waitFor({ timeout: 30_000 });
    await page.keyboard.press('/');
    await page.keyboard.type(`labels:trade=${tag}`);
    await rows.filter({ hasText: customer.name }).waitFor({ state: 'detached', timeout: 30_000 });
    expect(await rows.filter({ hasText: shop.name }).count()).toBe(1);
    await page.getByRole('combobox').fill(`image:${IMAGE.split(':')[0]} name:${tag}`);
    await rows.filter({ hasText: customer.name }).waitFor({ timeout: 30_000 });
  });

  it('tell whom they talk to, as soon as they talk', async () => {
    await select(shop.name);
    const inbound = details.getByRole('region', { name: 'Inbound' });
    await inbound.getByText(customer.name).waitFor({ timeout: 30_000 });
  });

  it('have a log that is followed, searched and saved', async () => {
    await press('Logs');
    const lines = drawer.getByLabel(`Lines of ${shop.name}`);
    await lines.getByText('the shop opens').or(lines.getByText('customer')).first().waitFor({ timeout: 30_000 });
    const status = drawer.getByRole('status').first();
    const count = async () => Number.parseInt((await status.textContent())!.replaceAll(',', ''), 10);
    const before = await count();
    await expect.poll(count, { timeout: 30_000 }).toBeGreaterThan(before);
    await drawer.getByRole('searchbox').fill('opens');
    await expect.poll(() => status.textContent(), { timeout: 10_000 }).toMatch(/^1 of /);
    expect(await lines.innerText()).toBe('the shop opens');
    const saved = page.waitForEvent('download');
    await drawer.getByRole('button', { name: 'Export' }).click();
    const text = readFileSync(await (await saved).path(), 'utf8');
    expect(text).toMatch(/^the shop opens\ncustomer 1 served\ncustomer 2 served\n/);
  });

  it('take commands in a terminal, which goes on behind another tab', async () => {
    await press('Terminal');
    await expect.poll(screen, { timeout: 30_000 }).toMatch(/[#$]/);
    await page.keyboard.type('echo "$((6 * 7)) is the answer of $(hostname)"\n');
    await expect.poll(screen, { timeout: 30_000 }).toContain(`42 is the answer of ${shop.id.slice(0, 12)}`);
    await page.keyboard.type('echo kept > /tmp/note\n');
    await drawer.getByRole('tab', { name: 'log' }).click();
    await drawer.getByRole('tab', { name: 'shell' }).click();
    await expect.poll(screen).toContain('42 is the answer');
    await expect.poll(() => docker('exec', shop.id, '/bin/cat', '/tmp/note'), { timeout: 30_000 }).toBe('kept');
  });

  it('show their files, and take and give some', async () => {
    await press('Files');
    const files = drawer.getByLabel(`Files of ${shop.name}`);
    await files.getByRole('button', { name: 'tmp/' }).click({ timeout: 30_000 });
    await files.getByRole('button', { name: 'note', exact: true }).click({ timeout: 30_000 });
    await drawer.getByLabel('Contents of /tmp/note').getByText('kept').waitFor({ timeout: 30_000 });
    await drawer.getByRole('button', { name: 'Back' }).click();
    const saved = page.waitForEvent('download');
    await files.getByRole('button', { name: 'Download note' }).click({ timeout: 30_000 });
    expect(readFileSync(await (await saved).path(), 'utf8')).toBe('kept\n');
    const file = { name: 'brought.txt', mimeType: 'text/plain', buffer: Buffer.from('from the page\n') };
    await drawer.getByTestId('upload').setInputFiles(file);
    await files.getByRole('button', { name: 'brought.txt', exact: true }).waitFor({ timeout: 30_000 });
    expect(docker('exec', shop.id, '/bin/cat', '/tmp/brought.txt')).toBe('from the page');
    await drawer.getByRole('tab', { name: 'shell' }).click();
  });

  it('are marked in the table, and several are paused at once', async () => {
    const names = [shop, customer].map(({ name }) => name);
    for (const name of names) await page.getByRole('checkbox', { name: `Mark ${name}` }).click({ timeout: 30_000 });
    const bulk = page.getByTestId('bulk');
    await bulk.getByText('2 containers marked').waitFor();
    const change = async (verb: string, state: string) => {
      await bulk.getByRole('button', { name: `${verb} 2` }).first().click({ timeout: 30_000 });
      const question = bulk.getByRole('alertdialog');
      await question.getByRole('button', { name: `${verb} 2` }).click({ timeout: 30_000 });
      await expect.poll(() => [shop.state, customer.state], { timeout: 60_000 }).toEqual([state, state]);
    };
    await change('Pause', 'paused');
    await change('Unpause', 'running');
    await bulk.getByRole('button', { name: 'Unmark all' }).click();
  });

  it('are as tall as their terminals want, by pointer and by keyboard', async () => {
    const handle = page.getByRole('separator', { name: 'Height of logs and terminals' });
    const height = async () => (await drawer.boundingBox())!.height;
    const before = await height();
    const grip = (await handle.boundingBox())!;
    await page.mouse.move(grip.x + grip.width / 2, grip.y + grip.height / 2);
    await page.mouse.down();
    await page.mouse.move(grip.x + grip.width / 2, grip.y - 120, { steps: 4 });
    await page.mouse.up();
    expect(await height()).toBeGreaterThan(before + 80);
    await handle.focus();
    await page.keyboard.press('ArrowDown');
    expect(await height()).toBeLessThan(before + 120);
  });

  it('are asked about before they are stopped, and stopped', async () => {
    await press('Stop');
    const question = page.getByRole('alertdialog', { name: new RegExp(`^Stop ${shop.name}\\?`) });
    await question.getByRole('button', { name: 'Cancel' }).click();
    await question.waitFor({ state: 'detached' });
    expect(shop.state).toBe('running');
    await press('Stop');
    await question.getByRole('button', { name: 'Stop' }).click();
    await expect.poll(() => shop.state, { timeout: 60_000 }).toBe('exited');
    await details.getByText('exited').first().waitFor({ timeout: 30_000 });
    await drawer.getByRole('alert').filter({ hasText: 'A shell can’t be resumed' }).waitFor({ timeout: 30_000 });
  });

  it('start again, and go when they are removed', async () => {
    await press('Start');
    await expect.poll(() => shop.state, { timeout: 60_000 }).toBe('running');
    await press('Kill');
    await page.getByRole('alertdialog').getByRole('button', { name: 'Kill' }).click();
    await expect.poll(() => shop.state, { timeout: 60_000 }).toBe('exited');
    await press('Remove');
    await page.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click();
    await expect.poll(() => shop.state, { timeout: 60_000 }).toBe('gone');
  });

  it('leave it in the audit what was done to them', async () => {
    const { entries } = (await (await fetch(`${address}/api/v1/audit?limit=200`)).json()) as {
      entries: { action: string; target: string; outcome: string }[];
    };
    const done = entries.filter(({ target }) => target.includes(shop.id)).map(({ action }) => action);
    for (const action of ['logs', 'exec', 'stop', 'start', 'kill', 'remove']) expect(done).toContain(`container.${action}`);
  });

  it('made no error in the page', () => {
    expect(problems).toEqual([]);
  });
});
