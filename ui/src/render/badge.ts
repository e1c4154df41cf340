// State by form, so that colour is never alone: triangle for a warning, octagon for critical, disc with
// a question mark for unknown, disc with a bar for capped events.

import { HealthCode, NodeFlag } from '../scene/scene';
import { fonts, type Palette } from '../theme/tokens';
import { healthColor } from './color';
import { screenRadius, toScreenX, toScreenY } from './geometry';
import type { Frame } from './renderer';
import { opacity } from './style';

// Nodes smaller than this have no room for one.
export const BADGE_FROM_RADIUS_PX = 4.2;

// Those of many nodes, drawn with this radius at least.
export function paintBadges(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  nodes: readonly number[],
  radiusMin: number,
): void {
  const { scene, viewport } = frame;
  for (const node of nodes) {
    if (scene.health[node] === HealthCode.Ok && (scene.flags[node]! & NodeFlag.Throttled) === 0) continue;
    const r = Math.max(radiusMin, screenRadius(scene, node, viewport.k));
    if (r < BADGE_FROM_RADIUS_PX) continue;
    ctx.globalAlpha = opacity(frame, node);
    paintNodeBadge(ctx, frame, node, toScreenX(viewport, scene.x[node]!), toScreenY(viewport, scene.y[node]!), r);
  }
  ctx.globalAlpha = 1;
}

// At the upper right of a node with this centre and radius.
export function paintNodeBadge(
  ctx: CanvasRenderingContext2D,
  { scene, palette }: Frame,
  node: number,
  centreX: number,
  centreY: number,
  r: number,
): void {
  const x = centreX + r * 0.72;
  const y = centreY - r * 0.72;
  const size = Math.min(8, 3.2 + r * 0.28);
  const flags = scene.flags[node]!;
  if ((flags & NodeFlag.Throttled) !== 0) throttleBadge(ctx, palette, x, y, size);
  else if ((flags & NodeFlag.Ended) === 0) healthBadge(ctx, palette, scene.health[node]!, x, y, size);
}

export function healthBadge(
  ctx: CanvasRenderingContext2D,
  palette: Palette,
  health: number,
  x: number,
  y: number,
  size: number,
): void {
  if (health === HealthCode.Ok) return;
  ctx.beginPath();
  if (health === HealthCode.Warning) {
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size * 1.05, y + size * 0.8);
    ctx.lineTo(x - size * 1.05, y + size * 0.8);
    ctx.closePath();
  } else if (health === HealthCode.Critical) {
    for (let i = 0; i < 8; i += 1) {
      const angle = Math.PI / 8 + (i * Math.PI) / 4;
      ctx.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
    }
    ctx.closePath();
  } else {
    ctx.arc(x, y, size * 0.9, 0, 2 * Math.PI);
  }
  ground(ctx, palette, healthColor(palette, health));
  const color = health === HealthCode.Warning ? palette.onWarning : palette.onMark;
  sign(ctx, health === HealthCode.Unknown ? '?' : '!', color, x, y, size);
}

function throttleBadge(ctx: CanvasRenderingContext2D, palette: Palette, x: number, y: number, size: number): void {
  ctx.beginPath();
  ctx.arc(x, y, size * 0.95, 0, 2 * Math.PI);
  ground(ctx, palette, palette.warning);
  ctx.fillStyle = palette.background;
  ctx.fillRect(x - size * 0.5, y - size * 0.16, size, size * 0.32);
}

// A rim in the colour of the background sets the badge off from the node.
function ground(ctx: CanvasRenderingContext2D, palette: Palette, color: string): void {
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = palette.background;
  ctx.stroke();
  ctx.fillStyle = color;
  ctx.fill();
}

function sign(ctx: CanvasRenderingContext2D, text: string, color: string, x: number, y: number, size: number): void {
  ctx.font = `700 ${Math.round(size * 1.4)}px ${fonts.text}`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillStyle = color;
  ctx.fillText(text, x, y + size * 0.12);
}
