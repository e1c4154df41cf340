// Labels under nodes, as many as fit without touching: a coarse grid of the screen says what is taken.

import { HealthCode, NodeFlag } from '../scene/scene';
import { shortened } from '../lib/format';
import { fonts } from '../theme/tokens';
import { isVisible, screenRadius, toScreenX, toScreenY } from './geometry';
import type { Box } from './paint-groups';
import { incidentEdges } from './paint-edges';
import { isDimmed } from './paint-nodes';
import type { Frame } from './renderer';

const CELL = 8;
const LABELS_MAX = 320;
const TEXT_MAX = 24;
const VALUE_FROM_ZOOM = 1.25;
const LABELS_FROM_RADIUS_PX = 6;

// Which cells of the screen hold something.
class Occupied {
  private readonly columns: number;
  private readonly rows: number;
  private readonly cells: Uint8Array;

  constructor(width: number, height: number) {
    this.columns = Math.ceil(width / CELL) + 1;
    this.rows = Math.ceil(height / CELL) + 1;
    this.cells = new Uint8Array(this.columns * this.rows);
  }

  isFree(box: Box): boolean {
    return this.every(box, (cell) => this.cells[cell] === 0);
  }

  take(box: Box): void {
    this.every(box, (cell) => {
      this.cells[cell] = 1;
      return true;
    });
  }

  private every({ left, top, right, bottom }: Box, test: (cell: number) => boolean): boolean {
    const x1 = Math.max(0, Math.floor(left / CELL));
    const x2 = Math.min(this.columns - 1, Math.floor(right / CELL));
    const y1 = Math.max(0, Math.floor(top / CELL));
    const y2 = Math.min(this.rows - 1, Math.floor(bottom / CELL));
    for (let y = y1; y <= y2; y += 1) {
      for (let x = x1; x <= x2; x += 1) if (!test(y * this.columns + x)) return false;
    }
    return true;
  }
}

export function paintLabels(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  visible: readonly number[],
  tabs: readonly Box[],
): void {
  const { scene, viewport, emphasis } = frame;
  const occupied = new Occupied(viewport.width, viewport.height);
  for (const tab of tabs) occupied.take(tab);
  for (const node of visible) {
    const r = screenRadius(scene, node, viewport.k) * 0.8;
    const x = toScreenX(viewport, scene.x[node]!);
    const y = toScreenY(viewport, scene.y[node]!);
    if (r > 4) occupied.take({ left: x - r, right: x + r, top: y - r, bottom: y + r });
  }
  const neighbours = new Set<number>();
  if (emphasis.selected >= 0) {
    for (const edge of incidentEdges(frame, emphasis.selected)) {
      neighbours.add(scene.edgeSource[edge]!).add(scene.edgeTarget[edge]!);
    }
  }
  const ranked = visible
    .map((node) => ({ node, rank: rankOf(frame, node, neighbours) }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank);
  let drawn = 0;
  for (const { node, rank } of ranked) {
    if (drawn >= LABELS_MAX) break;
    if (paintLabel(ctx, frame, node, occupied, rank >= 500)) drawn += 1;
  }
}

// 0 for no label; from 500 the label is bold.
function rankOf(frame: Frame, node: number, neighbours: ReadonlySet<number>): number {
  const { scene, viewport, emphasis } = frame;
  if (node === emphasis.selected) return 1000;
  if (isDimmed(frame, node)) return 0;
  if (emphasis.matches !== null) return 600 + scene.radius[node]!;
  if (neighbours.has(node)) return 550 + scene.radius[node]!;
  const near = screenRadius(scene, node, viewport.k) >= LABELS_FROM_RADIUS_PX;
  if (!near) return 0;
  if (scene.health[node] === HealthCode.Critical) return 520;
  if (scene.health[node] === HealthCode.Warning) return 510;
  const ended = (scene.flags[node]! & NodeFlag.Ended) !== 0;
  return (ended ? 50 : 100) + scene.radius[node]!;
}

function paintLabel(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  node: number,
  occupied: Occupied,
  bold: boolean,
): boolean {
  const { scene, viewport, palette, emphasis } = frame;
  const x = toScreenX(viewport, scene.x[node]!);
  const y = toScreenY(viewport, scene.y[node]!) + screenRadius(scene, node, viewport.k) + 5;
  if (!isVisible(viewport, x, y, 0)) return false;
  const selected = node === emphasis.selected;
  const text = shortened(scene.labels[node]!, TEXT_MAX);
  ctx.font = `${bold ? 600 : 450} 11.5px ${fonts.text}`;
  const half = ctx.measureText(text).width / 2;
  const value = viewport.k >= VALUE_FROM_ZOOM || selected ? scene.values[node]! : '';
  const box = { left: x - half - 2, right: x + half + 2, top: y - 1, bottom: y + (value ? 26 : 13) };
  if (!selected && !occupied.isFree(box)) return false;
  occupied.take(box);
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  ctx.lineJoin = 'round';
  ctx.lineWidth = 3.5;
  ctx.strokeStyle = palette.background;
  ctx.globalAlpha = 0.75;
  ctx.strokeText(text, x, y);
  ctx.globalAlpha = 1;
  ctx.fillStyle = bold ? palette.text1 : palette.text2;
  ctx.fillText(text, x, y);
  if (value) {
    ctx.font = `400 10.5px ${fonts.mono}`;
    ctx.fillStyle = palette.text3;
    ctx.fillText(value, x, y + 14);
  }
  return true;
}
