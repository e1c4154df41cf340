// Measures the page in a real Chromium for `bench ui`: first full picture, frames while the map is
// moved, and how long a change takes to the screen. Speaks JSON lines with the bench: it says "ready",
// gets {"mark", "at"} for each change that was made, and tells the figures at the end.
//
// MESOSCOPE_URL: the page; NODES: how many nodes a full picture has at least; LOADS: how often it is
// loaded; MARKS: how many changes follow; CHROMIUM: the browser.

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const { MESOSCOPE_URL, NODES, LOADS, MARKS, CHROMIUM, SCREENSHOT } = process.env;
const VIEWPORT = { width: 1600, height: 900 };
const PATIENCE_MS = 120_000;
const PAN_MS = 4_000;

// Runs in the page: when it had drawn what. The map says it by attributes of its element.
function watchDrawing() {
  const drawn = [];
  window.drawn = drawn;
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const { drawnSequence, drawnNodes } = target.dataset;
      if (drawnSequence === undefined) continue;
      drawn.push({ sequence: Number(drawnSequence), nodes: Number(drawnNodes), at: performance.now() });
    }
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-drawn-sequence'] });
}

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

// The canvas is on the screen one frame after it was drawn; what is counted is until it was drawn.
async function load(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  await page.addInitScript(watchDrawing);
  await page.goto(`${MESOSCOPE_URL}/?view=containers`);
  const at = await page.waitForFunction(
    (nodes) => window.drawn.find((one) => one.nodes >= nodes)?.at,
    Number(NODES),
    { timeout: PATIENCE_MS, polling: 50 },
  );
  return { context, page, ms: await at.jsonValue() };
}

async function firstPictures(browser) {
  const times = [];
  for (let count = 0; count < Number(LOADS); count += 1) {
    const { context, ms } = await load(browser);
    times.push(ms);
    await context.close();
  }
  return times;
}

// Frames per second while the map is dragged and zoomed by a hand that does not rest.
async function frames(page) {
  await page.evaluate(() => {
    window.frames_at = [];
    const next = (now) => {
      window.frames_at.push(now);
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  const [x, y] = [VIEWPORT.width / 2, VIEWPORT.height / 2];
  const from = await page.evaluate(() => performance.now());
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let step = 0; Date.now() && step < 60; step += 1) {
    await page.mouse.move(x + 200 * Math.sin(step / 6), y + 120 * Math.cos(step / 6));
  }
  await page.mouse.up();
  for (let step = 0; step < 20; step += 1) await page.mouse.wheel(0, step < 10 ? -40 : 40);
  const to = await page.evaluate(() => performance.now());
  await page.waitForTimeout(Math.max(0, PAN_MS - (to - from)));
  const times = await page.evaluate(([a, b]) => window.frames_at.filter((at) => at >= a && at <= b), [from, to]);
  const gaps = times.slice(1).map((at, index) => at - times[index]);
  gaps.sort((a, b) => a - b);
  return {
    frames_per_s: ((times.length - 1) / (times.at(-1) - times[0])) * 1000,
    frame_p95_ms: gaps[Math.floor(gaps.length * 0.95)] ?? null,
  };
}

// From the bench's change to the picture that holds it: the page's own frames tell which sequence
// number brought a mark, and the map which it has drawn.
async function updates(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  const brought = new Map();
  page.on('websocket', (socket) => {
    socket.on('framereceived', ({ payload }) => {
      const text = String(payload);
      const sequence = Number(/"sequence":(\d+)/.exec(text)?.[1]);
      for (const [, mark] of text.matchAll(/"mark-(\d+)/g)) {
        if (!brought.has(Number(mark))) brought.set(Number(mark), sequence);
      }
    });
  });
  await page.addInitScript(watchDrawing);
  await page.goto(`${MESOSCOPE_URL}/?view=containers`);
  await page.waitForFunction((nodes) => window.drawn.some((one) => one.nodes >= nodes), Number(NODES), {
    timeout: PATIENCE_MS,
  });
  // performance.now() of the page, as Unix milliseconds.
  const origin = await page.evaluate(() => performance.timeOrigin);
  say({ ready: true });
  const marks = await new Promise((resolve) => {
    const marks = [];
    createInterface({ input: process.stdin }).on('line', (line) => {
      marks.push(JSON.parse(line));
      if (marks.length === Number(MARKS)) resolve(marks);
    });
  });
  await page.waitForTimeout(3_000);
  const drawn = await page.evaluate(() => window.drawn);
  if (SCREENSHOT) await page.screenshot({ path: SCREENSHOT });
  await context.close();
  return marks.map(({ mark, at }) => {
    const sequence = brought.get(mark);
    const shown = sequence && drawn.find((one) => one.sequence >= sequence);
    return shown ? origin + shown.at - at / 1e6 : null;
  });
}

const browser = await chromium.launch({ executablePath: CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const first_ms = await firstPictures(browser);
  const { context, page } = await load(browser);
  const moving = await frames(page);
  await context.close();
  const update_ms = await updates(browser);
  say({ first_ms, ...moving, update_ms });
} finally {
  await browser.close();
}
