// Files of a real container from the page, and the same done to several containers at once.

import type { Browser, Locator, Page } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, launch, problemsOf, WIDE } from './support/browser';
import { Container, docker, hasDocker, makeImage } from './support/docker';

const tag = `files-${process.pid}`;
const MAKE = [
  'mkdir -p /shop/shelf /etc',
  'printf "apples\\npears\\n" > /shop/list.txt',
  'printf "a\\000b" > /shop/picture',
  'printf x > "/shop/<img src=x onerror=document.title=1>"',
  'printf "of the container" > /etc/shadow',
  'busybox ln -s /etc/shadow /shop/shadow',
  'exec sleep 600',
].join('; ');

let browser: Browser;
let page: Page;
let problems: string[];
let containers: Container[];
let drawer: Locator;

// Of the container itself: an address that it has taken over may be called by its name too.
const row = (name: string) =>
  page.getByTestId('table').getByRole('row').filter({ has: page.getByRole('checkbox', { name: `Mark ${name}`, exact: true }) });
const files = () => drawer.getByRole('table');

describe.runIf(hasDocker())('files', () => {
  beforeAll(async () => {
    makeImage();
    containers = ['a', 'b', 'c'].map((name) => new Container(`${tag}-${name}`, MAKE));
    browser = await launch();
    page = await browser.newPage({ viewport: WIDE });
    problems = problemsOf(page);
    drawer = page.getByTestId('drawer');
    await page.goto(at('view=containers&mode=table'));
    await row(containers[0]!.name).click({ timeout: 30_000 });
    await page.getByTestId('control').getByRole('button', { name: 'Files' }).click({ timeout: 30_000 });
  });

  afterAll(async () => {
    await browser?.close();
    for (const container of containers ?? []) container.remove();
  });

  it('are browsed, folders first, whatever their names', async () => {
    await files().getByRole('button', { name: 'shop/' }).click({ timeout: 30_000 });
    await files().getByText('list.txt').waitFor({ timeout: 30_000 });
    const names = await files().locator('tbody tr td:first-child').allInnerTexts();
    expect(names[0]).toBe('shelf/');
    expect(names).toContain('<img src=x onerror=document.title=1>');
    expect(await page.title()).not.toBe('1');
  });

  it('are shown as text, and said to be none', async () => {
    await files().getByRole('button', { name: 'list.txt', exact: true }).click();
    await drawer.getByLabel('Contents of /shop/list.txt').getByText('apples').waitFor({ timeout: 30_000 });
    await drawer.getByRole('button', { name: 'Back' }).click();
    await files().getByRole('button', { name: 'picture', exact: true }).click();
    await drawer.getByText('not text: download it').waitFor({ timeout: 30_000 });
    await drawer.getByRole('button', { name: 'Back' }).click();
    // The container's own, not the machine's.
    await files().getByRole('button', { name: 'shadow', exact: true }).click();
    await drawer.getByText('of the container').waitFor({ timeout: 30_000 });
    await drawer.getByRole('button', { name: 'Back' }).click();
  });

  it('are downloaded, folders as a tar', async () => {
    const one = page.waitForEvent('download');
    await files().getByRole('button', { name: 'Download list.txt' }).click();
    expect(readFileSync(await (await one).path(), 'utf8')).toBe('apples\npears\n');
    const all = page.waitForEvent('download');
    await drawer.getByRole('button', { name: 'Download folder' }).click();
    const tar = await all;
    expect(tar.suggestedFilename()).toBe('shop.tar');
    expect(readFileSync(await tar.path(), 'latin1')).toContain('shop/list.txt');
  });

  it('are uploaded, and replaced only when that is said', async () => {
    const upload = async (text: string) => {
      const file = { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from(text) };
      await drawer.getByTestId('upload').setInputFiles(file);
    };
    const kept = () => docker('exec', containers[0]!.id, '/bin/cat', '/shop/note.txt');
    await upload('first');
    await files().getByText('note.txt').waitFor({ timeout: 30_000 });
    expect(kept()).toBe('first');
    await upload('second');
    const question = drawer.getByRole('alertdialog', { name: 'Replace the file?' });
    await question.waitFor({ timeout: 30_000 });
    expect(kept()).toBe('first');
    await question.getByRole('button', { name: 'Replace' }).click();
    await expect.poll(kept, { timeout: 30_000 }).toBe('second');
  });

  it('that are not there are said not to be', async () => {
    await drawer.getByPlaceholder('Go to /…').fill('nowhere');
    await page.keyboard.press('Enter');
    await drawer.getByRole('alert').filter({ hasText: 'no such file or folder' }).waitFor({ timeout: 30_000 });
  });

  it('and their containers are marked, and stopped together after one question', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type(`name:${tag}`);
    await row(containers[2]!.name).getByRole('checkbox').click({ timeout: 30_000 });
    await row(containers[1]!.name).getByRole('checkbox').click();
    const bar = page.getByTestId('bulk');
    await bar.getByText('2 containers marked').waitFor();
    await bar.getByRole('button', { name: 'Kill 2' }).click();
    const question = bar.getByRole('alertdialog');
    for (const container of containers.slice(1)) await question.getByText(container.name).waitFor();
    await question.getByRole('button', { name: 'Kill 2' }).click();
    await bar.getByText('2 containers: 2 done').waitFor({ timeout: 60_000 });
    expect(containers.map(({ state }) => state)).toEqual(['running', 'exited', 'exited']);
  });

  it('made no error in the page', () => {
    // The browser itself tells of answers that are no success.
    expect(problems.filter((text) => !text.includes('Failed to load resource'))).toEqual([]);
  });
});
