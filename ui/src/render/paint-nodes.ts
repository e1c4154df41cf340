// Nodes: a ring and a liquid level in the colour of the health when near, dots when far.

import { HealthCode, NodeFlag, Shape } from '../scene/scene';
import { withAlpha } from './color';
import { isVisible, screenRadius, toScreenX, toScreenY } from './geometry';
import { CYLINDER, filledTo, OUTLINES, type Polygon } from './outline';
import type { Frame } from './renderer';
import { DASH_PX, dotAlpha, dotRank, dotScale, LIQUID, opacity, ringColor, ringWidth, TINT } from './style';

export function trace(ctx: CanvasRenderingContext2D, polygon: Polygon, x: number, y: number, r: number): void {
  ctx.beginPath();
  ctx.moveTo(x + polygon[0]! * r, y + polygon[1]! * r);
  for (let i = 2; i < polygon.length; i += 2) ctx.lineTo(x + polygon[i]! * r, y + polygon[i + 1]! * r);
  ctx.closePath();
}

// One node in full: ground, liquid, ring, and the lid of a cylinder.
function paintNode(ctx: CanvasRenderingContext2D, frame: Frame, node: number, x: number, y: number, r: number): void {
  const { scene, palette } = frame;
  const shape = scene.shape[node] as Shape;
  const color = ringColor(frame, node);
  const flags = scene.flags[node]!;
  ctx.globalAlpha = opacity(frame, node);
  trace(ctx, OUTLINES[shape], x, y, r);
  ctx.fillStyle = palette.surface;
  ctx.fill();
  if (scene.health[node] === HealthCode.Critical || scene.health[node] === HealthCode.Warning) {
    ctx.fillStyle = withAlpha(color, TINT);
    ctx.fill();
  }
  const fill = scene.fill[node]!;
  if (fill > 0.01 && (flags & NodeFlag.Ended) === 0) {
    const liquid = filledTo(shape, fill);
    if (liquid.length >= 6) {
      trace(ctx, liquid, x, y, r);
      ctx.fillStyle = withAlpha(color, LIQUID);
      ctx.fill();
    }
  }
  trace(ctx, OUTLINES[shape], x, y, r);
  ctx.strokeStyle = color;
  ctx.lineWidth = ringWidth(r);
  if ((flags & (NodeFlag.Ended | NodeFlag.Pseudo)) !== 0 && shape !== Shape.Cloud) ctx.setLineDash(DASH_PX);
  ctx.stroke();
  ctx.setLineDash([]);
  if (shape === Shape.Cylinder) {
    ctx.beginPath();
    const { halfWidth, halfHeight, lid } = CYLINDER;
    ctx.ellipse(x, y - halfHeight * r, halfWidth * r, lid * r, 0, 0, Math.PI);
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

export function paintNodes(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  visible: readonly number[],
  radiusMin: number,
): void {
  const { scene, viewport } = frame;
  ctx.lineJoin = 'round';
  for (const node of visible) {
    const x = toScreenX(viewport, scene.x[node]!);
    const y = toScreenY(viewport, scene.y[node]!);
    paintNode(ctx, frame, node, x, y, Math.max(radiusMin, screenRadius(scene, node, viewport.k)));
  }
}

// Far away: one fill per colour. Sick nodes come last and a little larger, so that none is covered.
export function paintDots(ctx: CanvasRenderingContext2D, frame: Frame, visible: readonly number[]): void {
  const { scene, viewport } = frame;
  const buckets = new Map<string, { color: string; alpha: number; rank: number; nodes: number[] }>();
  for (const node of visible) {
    const color = ringColor(frame, node);
    const alpha = dotAlpha(frame, node);
    const rank = dotRank(scene.health[node]!);
    const key = `${rank}${color}${alpha}`;
    const bucket = buckets.get(key) ?? { color, alpha, rank, nodes: [] };
    bucket.nodes.push(node);
    buckets.set(key, bucket);
  }
  for (const { color, alpha, rank, nodes } of [...buckets.values()].sort((a, b) => a.rank - b.rank)) {
    ctx.globalAlpha = alpha;
    ctx.fillStyle = color;
    ctx.beginPath();
    for (const node of nodes) {
      const x = toScreenX(viewport, scene.x[node]!);
      const y = toScreenY(viewport, scene.y[node]!);
      const r = screenRadius(scene, node, viewport.k) * dotScale(rank);
      // Squares are drawn three times as fast as circles, and look the same at this size.
      if (r < 2.2) ctx.rect(x - r, y - r, 2 * r, 2 * r);
      else {
        ctx.moveTo(x + r, y);
        ctx.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

export function visibleNodes({ scene, viewport }: Frame): number[] {
  const nodes: number[] = [];
  for (let i = 0; i < scene.ids.length; i += 1) {
    const x = toScreenX(viewport, scene.x[i]!);
    const y = toScreenY(viewport, scene.y[i]!);
    if (isVisible(viewport, x, y, 40)) nodes.push(i);
  }
  return nodes;
}
