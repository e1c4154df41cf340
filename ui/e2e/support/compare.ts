// Pictures against those in docs/screenshots. UPDATE_SCREENSHOTS=1 takes the new ones instead.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';

const kept = resolve(import.meta.dirname, '../../../docs/screenshots');
const made = process.env.MESOSCOPE_SCREENSHOTS ?? resolve(import.meta.dirname, '../../../target/screenshots');
const update = process.env.UPDATE_SCREENSHOTS === '1';

// Of a colour, before a pixel counts as another one; the rims of letters differ between machines.
const COLOR_TOLERANCE = 0.15;
// Of all pixels.
const SHARE_TOLERANCE = 0.004;

// The share of pixels that differ, 1 where the sizes do; `diff` shows which.
export function difference(one: Buffer, other: Buffer): { share: number; diff: Buffer } {
  const [a, b] = [PNG.sync.read(one), PNG.sync.read(other)];
  if (a.width !== b.width || a.height !== b.height) return { share: 1, diff: other };
  const diff = new PNG({ width: a.width, height: a.height });
  const pixels = pixelmatch(a.data, b.data, diff.data, a.width, a.height, { threshold: COLOR_TOLERANCE });
  return { share: pixels / (a.width * a.height), diff: PNG.sync.write(diff) };
}

// Null, or what is wrong with the picture.
export function compared(name: string, picture: Buffer): string | null {
  const path = join(kept, `${name}.png`);
  if (update) {
    mkdirSync(kept, { recursive: true });
    // What looks the same stays the same file.
    if (!existsSync(path) || difference(readFileSync(path), picture).share > 0) writeFileSync(path, picture);
    return null;
  }
  mkdirSync(made, { recursive: true });
  writeFileSync(join(made, `${name}.png`), picture);
  if (!existsSync(path)) return `${path} is not there: make it with UPDATE_SCREENSHOTS=1`;
  const { share, diff } = difference(readFileSync(path), picture);
  if (share <= SHARE_TOLERANCE) return null;
  writeFileSync(join(made, `${name}-diff.png`), diff);
  const percent = (share * 100).toFixed(2);
  return `${name} differs from ${path} in ${percent} % of its pixels; see ${join(made, `${name}-diff.png`)}`;
}
