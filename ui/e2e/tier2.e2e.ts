// Tier 2 switched in the page, at the real agent: for a container that is only a cgroup, as an engine
// makes it.

import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const address = process.env.MESOSCOPE_URL ?? 'http://127.0.0.1:4040';
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const root = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) => existsSync(`${path}/cgroup.controllers`));
const id = `e2e${process.pid}`.padEnd(64, '0').replace(/[^0-9a-f]/g, 'e');
const above = `${root}/mesoscope-e2e-${process.pid}`;
const cgroup = `${above}/docker-${id}.scope`;
const possible = root !== undefined && process.getuid?.() === 0;

let browser: Browser;
let page: Page;
let section: Locator;

async function state(): Promise<string | null> {
  return section.getByRole('status').textContent();
}

async function containersOn(): Promise<string[]> {
  const answer = (await (await fetch(`${address}/api/v1/agents/list`)).json()) as {
    agents: { status: { tier2_containers: string[] } | null }[];
  };
  return answer.agents.flatMap((agent) => agent.status?.tier2_containers ?? []);
}

beforeAll(async () => {
  if (!possible) return;
  mkdirSync(cgroup, { recursive: true });
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  await page.goto(address);
});

afterAll(async () => {
  await browser?.close();
  for (const folder of possible ? [cgroup, above] : []) rmdirSync(folder);
});

describe.runIf(possible)('tier 2 of a container', () => {
  it('is off, and says what it gives and costs', async () => {
    await page.getByRole('navigation').getByRole('button', { name: 'Containers' }).click();
    await page.getByRole('radio', { name: 'Table' }).click();
    const row = page.getByTestId('table').getByRole('row').filter({ hasText: id.slice(0, 12) });
    await row.click({ timeout: 20_000 });
    section = page.getByTestId('tier2');
    await section.waitFor({ timeout: 20_000 });
    expect(await state()).toBe('Off');
    expect(await section.textContent()).toMatch(/Gives UDP bytes.*Costs .* while it is on/);
  });

  it('is turned on for this container by keyboard, at the agent', async () => {
    await section.getByRole('button', { name: 'Turn on for this container' }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(state, { timeout: 20_000 }).toBe('On for this container');
    await expect.poll(containersOn, { timeout: 10_000 }).toEqual([id]);
    const focused = page.locator(':focus');
    expect(await focused.textContent()).toBe('Turn off for this container');
  });

  it('is turned off again with the same key', async () => {
    await page.keyboard.press('Enter');
    await expect.poll(state, { timeout: 20_000 }).toBe('Off');
    await expect.poll(containersOn, { timeout: 10_000 }).toEqual([]);
  });

  it('shows what the aggregator refuses', async () => {
    await page.route('**/tier2', (route) =>
      route.fulfill({ status: 507, json: { error: 'the disk is full', hint: 'make room' } }),
    );
    await page.keyboard.press('Enter');
    await section.getByRole('alert').filter({ hasText: 'The disk is full: make room' }).waitFor();
    expect(await state()).toBe('Off');
  });
});
