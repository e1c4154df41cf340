// Signing in by a real OpenID Connect provider, in a real browser: cookies, redirects and the page's
// own policy have to fit together. The programs lie in the folder MESOSCOPE_BIN.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const binary = join(process.env.MESOSCOPE_BIN ?? resolve('../target/release'), 'mesoscope-aggregator');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const screenshot = process.env.MESOSCOPE_SCREENSHOT?.replace(/\.png$/, '-sign-in.png');
const SECRET = 'what the client and the provider know';

const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'mesoscope-sign-in-'));
let browser: Browser;
let page: Page;
let address: string;

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

function provider(redirectUrl: string): Promise<string> {
  const asked = { redirectUrl, secret: SECRET, people: { ada: { groups: ['ops'] }, eve: { groups: [] } } };
  const script = resolve('../aggregator/tests/oidc/provider.mjs');
  const child = spawn(process.execPath, [script, JSON.stringify(asked)], { stdio: ['pipe', 'pipe', 'ignore'] });
  children.push(child);
  return new Promise((done) => {
    createInterface(child.stdout!).once('line', (line) => done((JSON.parse(line) as { issuer: string }).issuer));
  });
}

// Fills in what the provider asks for.
async function atProvider(name: string) {
  await page.getByPlaceholder('Enter any login').fill(name);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

beforeAll(async () => {
  const port = await freePort();
  address = `http://127.0.0.1:${port}`;
  const redirectUrl = `${address}/api/v1/session/oidc/callback`;
  const issuer = await provider(redirectUrl);
  const file = join(folder, 'oidc.toml');
  writeFileSync(join(folder, 'secret'), SECRET);
  writeFileSync(
    file,
    `name = "Example SSO"\nissuer = "${issuer}"\nclient_id = "mesoscope"\nclient_secret_file = "secret"\n` +
      `redirect_url = "${redirectUrl}"\nscopes = ["profile", "groups"]\n[roles]\nops = "operator"\n`,
  );
  const words = ['--port', String(port), '--grpc-port', '0', '--oidc-file', file];
  children.push(spawn(binary, words, { stdio: 'ignore' }));
  await vi.waitFor(async () => expect((await fetch(`${address}/health`)).status).toBe(200), { timeout: 20_000, interval: 100 });
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
});

afterAll(async () => {
  await browser?.close();
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

describe('the sign-in by a provider', () => {
  it('comes back signed in, to what was looked at', async () => {
    page = await (await browser.newContext({ viewport: { width: 1200, height: 800 } })).newPage();
    await page.goto(`${address}/#view=hosts&metric=memory`);
    const button = page.getByRole('button', { name: 'Sign in with Example SSO' });
    await button.waitFor();
    if (screenshot) await page.screenshot({ path: screenshot });
    await button.click();
    await atProvider('ada');
    await page.getByRole('status', { name: 'Live' }).waitFor({ timeout: 20_000 });
    expect(page.url()).toContain('#view=hosts');
    expect(page.url()).not.toContain('code=');
    await page.getByRole('button', { name: 'Sign out ada (operator)' }).click();
    await button.waitFor();
    await page.context().close();
  });

  it('says in the form why one is not let in', async () => {
    page = await (await browser.newContext()).newPage();
    await page.goto(address);
    await page.getByRole('button', { name: 'Sign in with Example SSO' }).click();
    await atProvider('eve');
    await page.getByRole('alert').filter({ hasText: 'You are in no group' }).waitFor();
    expect(page.url()).not.toContain('sign-in=');
    await page.context().close();
  });
});
