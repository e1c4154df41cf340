// Names come from whoever runs something on a node: a reporter tells hostile ones to the real
// aggregator, and a real container writes a hostile log. Wherever the page shows them they are text.

import { execFileSync } from 'node:child_process';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const address = process.env.MESOSCOPE_URL ?? 'http://127.0.0.1:4040';
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const IMAGE = 'mesoscope-hostile:1';
const CONTAINER = 'mesoscope-hostile';
// Each would do something that is seen: set a flag, or ask another address.
const hostile = (mark: string) =>
  `${mark}"'><img src=x onerror="window.inert=false"><script>window.inert=false</script><svg onload=window.inert=false>`;

const key = { pid: 7, start_boottime_ns: 70_000_000 };
const REPORT = {
  agent_id: 'hostile',
  hostname: hostile('host'),
  version: hostile('version'),
  host: { os: hostile('os'), kernel: hostile('kernel') },
  processes: [{ key, name: hostile('process'), argv: [hostile('program'), hostile('argument')] }],
  containers: [
    {
      id: 'f'.repeat(64),
      name: hostile('container'),
      image: hostile('image'),
      state: 'running',
      labels: [{ key: hostile('label'), value: hostile('value') }],
    },
  ],
  connections: [
    {
      cookie: 1,
      protocol: 'tcp',
      direction: 'outbound',
      local: { address: '10.9.9.9', port: 40_001 },
      remote: { address: '10.9.9.8', port: 80 },
      process: key,
    },
  ],
};

let browser: Browser;
let page: Page;
const problems: string[] = [];
const foreign: string[] = [];

const docker = (...words: string[]) => execFileSync('docker', words, { encoding: 'utf8' });

// Nothing ran, nothing was drawn that the page did not make, and the policy did not have to step in.
async function expectInert() {
  expect(await page.evaluate(() => (window as { inert?: boolean }).inert)).toBeUndefined();
  expect(await page.locator('img[src="x"], svg[onload], script:not([src])').count()).toBe(0);
  expect(problems).toEqual([]);
  expect(foreign).toEqual([]);
}

async function row(view: string, text: string) {
  await page.getByRole('navigation').getByRole('button', { name: view }).click();
  await page.getByRole('radio', { name: 'Table' }).click();
  const found = page.getByTestId('table').getByRole('row').filter({ hasText: text });
  await found.first().waitFor({ timeout: 20_000 });
  return found.first();
}

beforeAll(async () => {
  const told = await fetch(`${address}/api/v1/reports`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(REPORT),
  });
  expect(await told.text()).toContain('entries');
  const busybox = execFileSync('tar', ['-C', '/', '-c', 'bin/busybox'], { maxBuffer: 64 << 20 });
  execFileSync('docker', ['import', '-', IMAGE], { input: busybox });
  docker('rm', '-f', CONTAINER);
  const write = `while true; do echo '${hostile('log').replaceAll("'", '')}'; /bin/busybox sleep 1; done`;
  docker('run', '-d', '--name', CONTAINER, '--label', `note=${hostile('note')}`, IMAGE, '/bin/busybox', 'sh', '-c', write);
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A search that is half typed is refused, and the browser tells of it; the policy's refusals read otherwise.
    const refused = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !refused) problems.push(message.text());
  });
  page.on('dialog', (dialog) => {
    problems.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(address).host) foreign.push(request.url());
  });
  await page.goto(address);
});

afterAll(async () => {
  await browser?.close();
  docker('rm', '-f', CONTAINER);
  docker('rmi', '-f', IMAGE);
});

describe('hostile names', () => {
  it.each([
    ['Processes', 'process"\'><img src=x'],
    ['Containers', 'container"\'><img src=x'],
    ['Hosts', 'host"\'><img src=x'],
  ])('are text in the table and the details of %s', async (view, text) => {
    const found = await row(view, text);
    expect(await found.textContent()).toContain('<script>window.inert=false</script>');
    await expectInert();
    await found.click();
    const details = page.getByTestId('details');
    await details.getByRole('heading', { level: 1 }).filter({ hasText: text }).waitFor();
    await details.getByRole('term').first().waitFor({ timeout: 10_000 });
    await expectInert();
  });

  it('are text on the map, under the pointer and in the suggestions', async () => {
    await page.getByRole('radio', { name: 'Graph' }).click();
    await page.getByTestId('map').focus();
    await page.keyboard.press('Tab');
    const box = page.getByRole('combobox', { name: 'Search the map' });
    await box.fill('host"');
    await box.press('ArrowDown');
    await page.waitForTimeout(500);
    await expectInert();
    await box.fill('');
    await page.keyboard.press('Escape');
  });
});

describe('a hostile log and label of a real container', () => {
  it('are text', async () => {
    const found = await row('Containers', CONTAINER);
    await found.click();
    const details = page.getByTestId('details');
    await details.getByText('note"\'><img src=x', { exact: false }).first().waitFor({ timeout: 20_000 });
    await expectInert();
    await details.getByRole('button', { name: 'Log', exact: false }).first().click();
    await page.getByText('log"><img src=x', { exact: false }).first().waitFor({ timeout: 20_000 });
    await expectInert();
  });
});
