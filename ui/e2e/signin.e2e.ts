// Signing in, with an aggregator and an agent of its own: a viewer looks, an operator acts, a stranger
// sees nothing.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, launch, problemsOf, WIDE } from './support/browser';
import { Container, hasDocker, makeImage } from './support/docker';
import { programs, Services } from './support/services';

const VIEWER = { name: 'vera', password: 'only-look-1' };
const OPERATOR = { name: 'otto', password: 'may-act-2' };
// Argon2 of the passwords above, as cheap as it may be.
const USERS = `vera:viewer:$argon2id$v=19$m=8,t=1,p=1$ZTJlLXNhbHQtdmVyYS0wMQ$eRUOGQPMQfReoltgpPNhRvnC/LJkuz8WIBxS4PbG4jI
otto:operator:$argon2id$v=19$m=8,t=1,p=1$ZTJlLXNhbHQtb3R0by0wMg$ImLbq7ZV1/eS6+RaJosAK5/v/WhovtnXpgGeQitHYOk
`;
const name = `e2e-${process.pid}-vault`;

const services = new Services();
let browser: Browser;
let page: Page;
let problems: string[];
let vault: Container;

const form = () => page.getByRole('dialog', { name: 'Sign in' });

async function signIn(who: { name: string; password: string }): Promise<void> {
  await form().getByLabel('Name').fill(who.name);
  await form().getByLabel('Password or API token').fill(who.password);
  await form().getByRole('button', { name: 'Sign in' }).click();
}

async function selectVault(): Promise<void> {
  await page.getByTestId('table').getByRole('row').filter({ hasText: name }).click({ timeout: 60_000 });
  await page.getByTestId('details').getByRole('heading', { level: 1, name }).waitFor();
}

describe.runIf(hasDocker() && programs !== undefined && process.getuid?.() === 0)('signing in', () => {
  beforeAll(async () => {
    makeImage();
    vault = new Container(name, 'while :; do sleep 1; done');
    const users = join(services.folder, 'users');
    writeFileSync(users, USERS, { mode: 0o600 });
    await services.startAggregator('--users-file', users);
    await services.startAgent('--agent-id', `signin-${process.pid}`);
    browser = await launch();
    page = await browser.newPage({ viewport: WIDE });
    // The browser tells of every refusal.
    problems = problemsOf(page, (text) => /40[13]|HTTP Authentication failed/.test(text));
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await services.end();
    vault?.remove();
  }, 60_000);

  it('is asked for, and nothing is shown before', async () => {
    await page.goto(at('view=containers&mode=table', services.address));
    await form().waitFor({ timeout: 30_000 });
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await form().waitFor();
    expect(await page.getByText(name).count()).toBe(0);
    expect((await fetch(`${services.address}/api/topology?view=containers`)).status).toBe(401);
  });

  it('is refused with a wrong password', async () => {
    await signIn({ ...VIEWER, password: 'a guess' });
    await form().getByRole('alert').waitFor({ timeout: 30_000 });
    expect(await page.getByText(name).count()).toBe(0);
  });

  it('lets a viewer look, and not act', async () => {
    await signIn(VIEWER);
    await form().waitFor({ state: 'detached', timeout: 30_000 });
    await selectVault();
    const control = page.getByTestId('control');
    await control.waitFor({ timeout: 30_000 });
    // It is there, and says why it can't be pressed.
    const stop = control.getByRole('button', { name: 'Stop', exact: true });
    expect(await stop.isDisabled()).toBe(true);
    expect(await stop.getAttribute('title')).toMatch(/operator/i);
    await stop.click({ force: true });
    expect(await page.getByRole('alertdialog').count()).toBe(0);
    expect(vault.state).toBe('running');
    // Nor without the page, with the same session.
    const status = await page.evaluate(
      async (id) => (await fetch(`/api/containers/${id}/stop`, { method: 'POST' })).status,
      vault.id,
    );
    expect(status).toBe(403);
    expect(vault.state).toBe('running');
  });

  it('ends with signing out', async () => {
    await page.getByRole('button', { name: `Sign out ${VIEWER.name} (viewer)` }).click();
    await form().waitFor({ timeout: 30_000 });
    expect(await page.getByText(name).count()).toBe(0);
  });

  it('lets an operator act', async () => {
    await signIn(OPERATOR);
    await form().waitFor({ state: 'detached', timeout: 30_000 });
    await selectVault();
    await page.getByTestId('control').getByRole('button', { name: 'Stop', exact: true }).click({ timeout: 30_000 });
    await page.getByRole('alertdialog').getByRole('button', { name: 'Stop' }).click();
    await expect.poll(() => vault.state, { timeout: 60_000 }).toBe('exited');
  });

  it('made no other error in the page', () => {
    expect(problems).toEqual([]);
  });
});
