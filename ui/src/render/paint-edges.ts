// Edges: single ones when they can be told apart, sums between groups when not.

import { EdgeFlag, type Scene } from '../scene/scene';
import { withAlpha } from './color';
import { edgeCurve, isOutside, isVisible, toScreenX, toScreenY, type Curve } from './geometry';
import type { Frame, Viewport } from './renderer';
import { isDimmed } from './style';

// More single edges than this say nothing and cost a frame.
const EDGES_MAX = 900;
const BUNDLES_MAX = 150;
const WIDTH_STEP = 0.5;
const CROWDED_FROM_EDGES = 600;
const ARROWS_FROM_ZOOM = 0.8;
const BUNDLE_BEND = 0.14;

// Line and gap of what fails.
export const EDGE_DASH_PX = [6, 4];

// Curves that look the same.
export interface Stroke {
  color: string;
  alpha: number;
  width: number;
  dash: boolean;
  curves: Curve[];
}

// The edges of one node, whatever the zoom.
export function incidentEdges({ scene }: Frame, node: number): Uint32Array {
  return scene.incident.subarray(scene.incidentStart[node]!, scene.incidentStart[node + 1]!);
}

export function paintEdges(ctx: CanvasRenderingContext2D, frame: Frame): void {
  const strokes = edgeStrokes(frame);
  for (const stroke of strokes) paintStroke(ctx, stroke);
  if (hasArrows(frame)) paintArrows(ctx, strokes, frame.palette.background);
}

export function hasArrows({ viewport }: Frame): boolean {
  return viewport.k >= ARROWS_FROM_ZOOM;
}

export function arrowSize(stroke: Stroke): number {
  return 4.5 + stroke.width;
}

// The heaviest edges in sight, those to be drawn first in front.
export function edgeStrokes(frame: Frame): Stroke[] {
  const { scene, viewport } = frame;
  const strokes = new Map<string, Stroke>();
  const crowded = scene.edgeIds.length > CROWDED_FROM_EDGES;
  let drawn = 0;
  for (const edge of scene.edgesByWeight) {
    if (drawn >= EDGES_MAX) break;
    const curve = edgeCurve(scene, viewport, edge);
    if (!curve || isOutside(viewport, curve)) continue;
    const ends = Number(inside(viewport, curve.x1, curve.y1)) + Number(inside(viewport, curve.x2, curve.y2));
    // What only passes through says nothing about what is in sight.
    if (ends === 0 && crowded) continue;
    drawn += 1;
    add(strokes, frame, edge, curve, ends);
  }
  // Heavy lines lie under thin ones.
  return [...strokes.values()].sort((a, b) => Number(a.dash) - Number(b.dash) || b.width - a.width);
}

function inside(viewport: Viewport, x: number, y: number): boolean {
  return isVisible(viewport, x, y, 20);
}

function add(strokes: Map<string, Stroke>, frame: Frame, edge: number, curve: Curve, ends: number): void {
  const { scene, palette, viewport } = frame;
  const flags = scene.edgeFlags[edge]!;
  const failing = (flags & EdgeFlag.Failing) !== 0;
  const dimmed = isDimmed(frame, scene.edgeSource[edge]!) && isDimmed(frame, scene.edgeTarget[edge]!);
  const zoomed = Math.min(1.4, Math.max(0.6, viewport.k));
  const width = Math.round((scene.edgeWidth[edge]! * zoomed) / WIDTH_STEP) * WIDTH_STEP;
  const leaving = ends === 2 ? 1 : ends === 1 ? 0.5 : 0.25;
  const past = (flags & EdgeFlag.Past) !== 0;
  const steady = (flags & EdgeFlag.Idle) !== 0 ? 0.24 : width > 2.5 ? 0.36 : 0.46;
  const alpha = dimmed ? 0.08 : failing ? (past ? 0.5 : 0.9) : (past ? 0.12 : steady) * leaving;
  const color = failing ? palette.critical : palette.text3;
  const key = `${alpha}|${width}|${failing}`;
  const stroke = strokes.get(key) ?? {
    color,
    alpha,
    width: Math.max(failing ? 1.5 : 0.75, width),
    dash: failing,
    curves: [],
  };
  stroke.curves.push(curve);
  strokes.set(key, stroke);
}

function paintStroke(ctx: CanvasRenderingContext2D, { color, alpha, width, dash, curves }: Stroke): void {
  ctx.strokeStyle = withAlpha(color, alpha);
  ctx.lineWidth = width;
  ctx.lineCap = dash ? 'butt' : 'round';
  ctx.setLineDash(dash ? EDGE_DASH_PX : []);
  ctx.beginPath();
  for (const curve of curves) {
    ctx.moveTo(curve.x1, curve.y1);
    ctx.quadraticCurveTo(curve.cx, curve.cy, curve.x2, curve.y2);
  }
  ctx.stroke();
  ctx.setLineDash([]);
}

function paintArrows(ctx: CanvasRenderingContext2D, strokes: readonly Stroke[], background: string): void {
  for (const stroke of strokes) {
    ctx.beginPath();
    for (const curve of stroke.curves) arrow(ctx, curve, arrowSize(stroke));
    // The line below would shine through a translucent head.
    ctx.fillStyle = background;
    ctx.fill();
    ctx.fillStyle = withAlpha(stroke.color, stroke.alpha);
    ctx.fill();
  }
}

// The corners of the head at a curve's end, the tip first; null where it does not fit.
export function arrowHead({ cx, cy, x2, y2 }: Curve, size: number): number[] | null {
  const length = Math.hypot(x2 - cx, y2 - cy);
  if (length < size) return null;
  const dx = ((x2 - cx) / length) * size;
  const dy = ((y2 - cy) / length) * size;
  return [x2, y2, x2 - dx - dy * 0.5, y2 - dy + dx * 0.5, x2 - dx + dy * 0.5, y2 - dy - dx * 0.5];
}

export function arrow(ctx: CanvasRenderingContext2D, curve: Curve, size: number): void {
  const head = arrowHead(curve, size);
  if (!head) return;
  ctx.moveTo(head[0]!, head[1]!);
  ctx.lineTo(head[2]!, head[3]!);
  ctx.lineTo(head[4]!, head[5]!);
  ctx.closePath();
}

function bundlePoint(scene: Scene, end: number): { x: number; y: number } {
  return end >= 0 ? scene.groups[end]! : { x: scene.x[-1 - end]!, y: scene.y[-1 - end]! };
}

export function paintBundles(ctx: CanvasRenderingContext2D, frame: Frame): void {
  for (const stroke of bundleStrokes(frame)) paintStroke(ctx, stroke);
}

// The heaviest sums between groups, from centre to centre; the hulls painted later cover the ends. What
// fails among them is a thin broken line on top: the sum of what works is not red.
export function bundleStrokes({ scene, viewport, palette }: Frame): Stroke[] {
  const strokes: Stroke[] = [];
  for (const { a, b, weight, edges, failing } of scene.bundles.slice(0, BUNDLES_MAX)) {
    const from = bundlePoint(scene, a);
    const to = bundlePoint(scene, b);
    const x1 = toScreenX(viewport, from.x);
    const y1 = toScreenY(viewport, from.y);
    const x2 = toScreenX(viewport, to.x);
    const y2 = toScreenY(viewport, to.y);
    const cx = (x1 + x2) / 2 - (y2 - y1) * BUNDLE_BEND;
    const cy = (y1 + y2) / 2 + (x2 - x1) * BUNDLE_BEND;
    const curves = [{ x1, y1, cx, cy, x2, y2 }];
    if (failing < edges) {
      const width = Math.min(9, 1.2 + 1.1 * Math.log2(1 + weight));
      strokes.push({ color: palette.text3, alpha: 0.32, width, dash: false, curves });
    }
    if (failing > 0) strokes.push({ color: palette.critical, alpha: 0.9, width: 1.5, dash: true, curves });
  }
  return strokes;
}
