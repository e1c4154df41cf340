// The browser that the tests drive, and what must not happen in it.

import { chromium, type Browser, type Page } from 'playwright-core';

export const address = process.env.MESOSCOPE_URL ?? 'http://127.0.0.1:4040';
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const WIDE = { width: 1600, height: 900 };

// The same text and colours wherever the pictures are made.
const SAME_EVERYWHERE = ['--font-render-hinting=none', '--disable-lcd-text', '--force-color-profile=srgb'];

export function launch(...more: string[]): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-background-networking', ...SAME_EVERYWHERE, ...more];
  return chromium.launch({ executablePath, args });
}

// Errors of the page are collected; those that `expected` knows are part of what is tested.
export function problemsOf(page: Page, expected: (text: string, url: string) => boolean = () => false): string[] {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() !== 'error' || expected(message.text(), message.location().url)) return;
    problems.push(`${message.text()} (${message.location().url})`);
  });
  return problems;
}

// The page at one of its addresses: `view=containers&mode=table`.
export function at(fragment: string, base = address): string {
  return `${base}/#${fragment}`;
}

export async function changeTheme(page: Page, name: string, theme: string): Promise<void> {
  await page.getByRole('button', { name: 'Theme' }).click();
  await page.getByRole('menuitemradio', { name }).click();
  await page.locator(`html[data-theme="${theme}"]`).waitFor();
}
