// Where things of the scene are on the screen; shared by drawing and hit testing.

import type { Scene } from '../scene/scene';
import type { Viewport } from './renderer';

// Nodes grow slower than the space between them, so that zooming in opens room and zooming out keeps
// them in sight.
const TURN = 1.1;
const GROWTH_BELOW = 0.82;
const GROWTH_ABOVE = 0.55;
const RADIUS_MIN_PX = 1.6;

export function radiusScale(k: number): number {
  return TURN * (k / TURN) ** (k <= TURN ? GROWTH_BELOW : GROWTH_ABOVE);
}

export function screenRadius(scene: Scene, node: number, k: number): number {
  return Math.max(RADIUS_MIN_PX, scene.radius[node]! * radiusScale(k));
}

export function toScreenX(viewport: Viewport, x: number): number {
  return x * viewport.k + viewport.x;
}

export function toScreenY(viewport: Viewport, y: number): number {
  return y * viewport.k + viewport.y;
}

export function isVisible(viewport: Viewport, sx: number, sy: number, margin: number): boolean {
  return sx > -margin && sy > -margin && sx < viewport.width + margin && sy < viewport.height + margin;
}

// A quadratic curve from rim to rim.
export interface Curve {
  x1: number;
  y1: number;
  cx: number;
  cy: number;
  x2: number;
  y2: number;
}

const BEND = 0.1;
const BEND_MAX_PX = 46;
// Between edges of the same two nodes; the middle of a quadratic curve moves half as far.
const LANE_PX = 22;
const RIM_GAP_PX = 3;

// The curve of an edge; bends to its right, so that the two directions run apart. Null when the ends
// touch.
export function edgeCurve(scene: Scene, viewport: Viewport, edge: number): Curve | null {
  const source = scene.edgeSource[edge]!;
  const target = scene.edgeTarget[edge]!;
  const sx = toScreenX(viewport, scene.x[source]!);
  const sy = toScreenY(viewport, scene.y[source]!);
  const tx = toScreenX(viewport, scene.x[target]!);
  const ty = toScreenY(viewport, scene.y[target]!);
  const dx = tx - sx;
  const dy = ty - sy;
  const length = Math.hypot(dx, dy);
  const rs = screenRadius(scene, source, viewport.k) + RIM_GAP_PX;
  const rt = screenRadius(scene, target, viewport.k) + RIM_GAP_PX;
  if (length <= rs + rt) return null;
  const bend = Math.min(BEND * length, BEND_MAX_PX) + scene.edgeLane[edge]! * Math.min(LANE_PX, length * 0.2);
  const cx = (sx + tx) / 2 - (dy / length) * bend;
  const cy = (sy + ty) / 2 + (dx / length) * bend;
  const out = Math.hypot(cx - sx, cy - sy);
  const back = Math.hypot(cx - tx, cy - ty);
  return {
    x1: sx + ((cx - sx) / out) * rs,
    y1: sy + ((cy - sy) / out) * rs,
    cx,
    cy,
    x2: tx + ((cx - tx) / back) * rt,
    y2: ty + ((cy - ty) / back) * rt,
  };
}

// Both ends off the same side: nothing of the curve can be seen (its bend is small).
export function isOutside(viewport: Viewport, curve: Curve): boolean {
  const { x1, y1, x2, y2 } = curve;
  const m = 50;
  return (
    (x1 < -m && x2 < -m) ||
    (y1 < -m && y2 < -m) ||
    (x1 > viewport.width + m && x2 > viewport.width + m) ||
    (y1 > viewport.height + m && y2 > viewport.height + m)
  );
}

export function curvePoint(curve: Curve, t: number): [number, number] {
  const u = 1 - t;
  return [
    u * u * curve.x1 + 2 * u * t * curve.cx + t * t * curve.x2,
    u * u * curve.y1 + 2 * u * t * curve.cy + t * t * curve.y2,
  ];
}
