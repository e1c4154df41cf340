// Edges: single ones when they can be told apart, sums between groups when not.

import { EdgeFlag, type Scene } from '../scene/scene';
import { withAlpha } from './color';
import { edgeCurve, isOutside, isVisible, toScreenX, toScreenY, type Curve } from './geometry';
import { isDimmed } from './paint-nodes';
import type { Frame, Viewport } from './renderer';

// More single edges than this say nothing and cost a frame.
const EDGES_MAX = 900;
const BUNDLES_MAX = 150;
const WIDTH_STEP = 0.5;
const CROWDED_FROM_EDGES = 600;

interface Stroke {
  color: string;
  width: number;
  dash: boolean;
  curves: Curve[];
}

// The edges of one node, whatever the zoom.
export function incidentEdges({ scene }: Frame, node: number): Uint32Array {
  return scene.incident.subarray(scene.incidentStart[node]!, scene.incidentStart[node + 1]!);
}

export function paintEdges(ctx: CanvasRenderingContext2D, frame: Frame): void {
  const { scene, viewport, palette } = frame;
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
  const sorted = [...strokes.values()].sort((a, b) => Number(a.dash) - Number(b.dash) || b.width - a.width);
  for (const stroke of sorted) paintStroke(ctx, stroke);
  if (viewport.k >= 0.8) paintArrows(ctx, sorted, palette.background);
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
  const color = withAlpha(failing ? palette.critical : palette.text3, alpha);
  const key = `${color}|${width}|${failing}`;
  const stroke = strokes.get(key) ?? { color, width: Math.max(failing ? 1.5 : 0.75, width), dash: failing, curves: [] };
  stroke.curves.push(curve);
  strokes.set(key, stroke);
}

function paintStroke(ctx: CanvasRenderingContext2D, { color, width, dash, curves }: Stroke): void {
  ctx.strokeStyle = color;
  ctx.lineWidth = width;
  ctx.lineCap = dash ? 'butt' : 'round';
  ctx.setLineDash(dash ? [6, 4] : []);
  ctx.beginPath();
  for (const curve of curves) {
    ctx.moveTo(curve.x1, curve.y1);
    ctx.quadraticCurveTo(curve.cx, curve.cy, curve.x2, curve.y2);
  }
  ctx.stroke();
  ctx.setLineDash([]);
}

function paintArrows(ctx: CanvasRenderingContext2D, strokes: readonly Stroke[], background: string): void {
  for (const { color, width, curves } of strokes) {
    const size = 4.5 + width;
    ctx.beginPath();
    for (const curve of curves) arrow(ctx, curve, size);
    // The line below would shine through a translucent head.
    ctx.fillStyle = background;
    ctx.fill();
    ctx.fillStyle = color;
    ctx.fill();
  }
}

export function arrow(ctx: CanvasRenderingContext2D, { cx, cy, x2, y2 }: Curve, size: number): void {
  const length = Math.hypot(x2 - cx, y2 - cy);
  if (length < size) return;
  const dx = (x2 - cx) / length;
  const dy = (y2 - cy) / length;
  ctx.moveTo(x2, y2);
  ctx.lineTo(x2 - dx * size - dy * size * 0.5, y2 - dy * size + dx * size * 0.5);
  ctx.lineTo(x2 - dx * size + dy * size * 0.5, y2 - dy * size - dx * size * 0.5);
  ctx.closePath();
}

function bundlePoint(scene: Scene, end: number): { x: number; y: number } {
  return end >= 0 ? scene.groups[end]! : { x: scene.x[-1 - end]!, y: scene.y[-1 - end]! };
}

// The heaviest sums between groups, from centre to centre; the hulls painted later cover the ends. What
// fails among them is a thin broken line on top: the sum of what works is not red.
export function paintBundles(ctx: CanvasRenderingContext2D, { scene, viewport, palette }: Frame): void {
  ctx.lineCap = 'round';
  for (const { a, b, weight, edges, failing } of scene.bundles.slice(0, BUNDLES_MAX)) {
    const from = bundlePoint(scene, a);
    const to = bundlePoint(scene, b);
    const x1 = toScreenX(viewport, from.x);
    const y1 = toScreenY(viewport, from.y);
    const x2 = toScreenX(viewport, to.x);
    const y2 = toScreenY(viewport, to.y);
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.quadraticCurveTo((x1 + x2) / 2 - (y2 - y1) * 0.14, (y1 + y2) / 2 + (x2 - x1) * 0.14, x2, y2);
    if (failing < edges) {
      ctx.strokeStyle = withAlpha(palette.text3, 0.32);
      ctx.lineWidth = Math.min(9, 1.2 + 1.1 * Math.log2(1 + weight));
      ctx.stroke();
    }
    if (failing > 0) {
      ctx.strokeStyle = withAlpha(palette.critical, 0.9);
      ctx.lineWidth = 1.5;
      ctx.setLineDash([6, 4]);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  }
}
