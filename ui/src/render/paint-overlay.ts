// What moves or follows the pointer: the selection with its edges and pulses, hover, keyboard focus.

import { EdgeFlag, Shape } from '../scene/scene';
import { shortened } from '../lib/format';
import { fonts } from '../theme/tokens';
import { withAlpha } from './color';
import { curvePoint, edgeCurve, isOutside, screenRadius, toScreenX, toScreenY, type Curve } from './geometry';
import { OUTLINES } from './outline';
import { arrow, incidentEdges } from './paint-edges';
import { BADGE_FROM_RADIUS_PX, paintNodeBadge } from './badge';
import { paintLabel, type PlacedLabel } from './paint-labels';
import { trace } from './paint-nodes';
import type { Frame } from './renderer';

const PULSE_EVERY_PX = 96;
const PULSE_PX = 18;
const PULSE_SPEED_PX_PER_S = 70;
// A hub may have thousands; the heaviest carry the message.
const SELECTION_EDGES_MAX = 160;

// `labels` are those of the selection, which its edges would cover. True when something moves.
export function paintOverlay(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  labels: readonly PlacedLabel[],
  timeMs: number,
): boolean {
  const { viewport, emphasis } = frame;
  ctx.clearRect(0, 0, viewport.width, viewport.height);
  let animated = false;
  for (const node of emphasis.marked) paintHalo(ctx, frame, node, 1, false);
  if (emphasis.hovered >= 0 && emphasis.hovered !== emphasis.selected) {
    paintIncident(ctx, frame, emphasis.hovered, 0.55, null);
    paintHalo(ctx, frame, emphasis.hovered, 0.8, false);
  }
  if (emphasis.selected >= 0) {
    animated = paintIncident(ctx, frame, emphasis.selected, 1, timeMs);
    paintHalo(ctx, frame, emphasis.selected, 1, true);
    for (const label of labels) paintLabel(ctx, frame.palette, label);
  }
  if (emphasis.focused >= 0) paintFocus(ctx, frame, emphasis.focused);
  if (emphasis.hovered >= 0 && emphasis.hovered !== emphasis.selected) paintHoverLabel(ctx, frame, emphasis.hovered);
  return animated;
}

function paintIncident(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  node: number,
  alpha: number,
  timeMs: number | null,
): boolean {
  const { scene, viewport, palette } = frame;
  let pulses = false;
  ctx.lineCap = 'round';
  for (const edge of incidentEdges(frame, node).subarray(0, SELECTION_EDGES_MAX)) {
    const curve = edgeCurve(scene, viewport, edge);
    if (!curve || isOutside(viewport, curve)) continue;
    const failing = (scene.edgeFlags[edge]! & EdgeFlag.Failing) !== 0;
    const color = failing ? palette.critical : palette.accent;
    const width = Math.max(1.6, scene.edgeWidth[edge]!);
    ctx.strokeStyle = withAlpha(color, 0.85 * alpha);
    ctx.lineWidth = width;
    ctx.setLineDash(failing ? [6, 4] : []);
    ctx.beginPath();
    ctx.moveTo(curve.x1, curve.y1);
    ctx.quadraticCurveTo(curve.cx, curve.cy, curve.x2, curve.y2);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = color;
    ctx.beginPath();
    arrow(ctx, curve, 5 + width);
    ctx.fill();
    if (timeMs !== null && (scene.edgeFlags[edge]! & (EdgeFlag.Idle | EdgeFlag.Failing)) === 0) {
      paintPulses(ctx, curve, width, palette.text1, timeMs);
      pulses = true;
    }
  }
  return pulses;
}

// Short bright pieces that run from source to target.
function paintPulses(ctx: CanvasRenderingContext2D, curve: Curve, width: number, color: string, timeMs: number): void {
  const length = Math.hypot(curve.x2 - curve.x1, curve.y2 - curve.y1) * 1.02;
  if (length < 24) return;
  const start = ((timeMs / 1000) * PULSE_SPEED_PX_PER_S) % PULSE_EVERY_PX;
  ctx.strokeStyle = withAlpha(color, 0.75);
  ctx.lineWidth = width + 0.4;
  ctx.beginPath();
  for (let at = start - PULSE_EVERY_PX; at < length; at += PULSE_EVERY_PX) {
    const from = Math.max(0, at) / length;
    const to = Math.min(length, at + PULSE_PX) / length;
    if (to <= from) continue;
    const [x1, y1] = curvePoint(curve, from);
    const [xm, ym] = curvePoint(curve, (from + to) / 2);
    const [x2, y2] = curvePoint(curve, to);
    ctx.moveTo(x1, y1);
    ctx.quadraticCurveTo(2 * xm - (x1 + x2) / 2, 2 * ym - (y1 + y2) / 2, x2, y2);
  }
  ctx.stroke();
}

function paintHalo(ctx: CanvasRenderingContext2D, frame: Frame, node: number, alpha: number, glow: boolean): void {
  const { scene, viewport, palette } = frame;
  const x = toScreenX(viewport, scene.x[node]!);
  const y = toScreenY(viewport, scene.y[node]!);
  const r = screenRadius(scene, node, viewport.k);
  trace(ctx, OUTLINES[scene.shape[node] as Shape], x, y, r + Math.max(4, r * 0.2));
  ctx.lineJoin = 'round';
  if (glow) {
    ctx.strokeStyle = withAlpha(palette.accent, 0.22);
    ctx.lineWidth = 8;
    ctx.stroke();
  }
  ctx.strokeStyle = withAlpha(palette.accent, alpha);
  ctx.lineWidth = 2;
  ctx.stroke();
  if (r >= BADGE_FROM_RADIUS_PX) paintNodeBadge(ctx, frame, node, x, y, r);
}

function paintFocus(ctx: CanvasRenderingContext2D, { scene, viewport, palette }: Frame, node: number): void {
  const r = screenRadius(scene, node, viewport.k) + 11;
  ctx.beginPath();
  ctx.arc(toScreenX(viewport, scene.x[node]!), toScreenY(viewport, scene.y[node]!), r, 0, 2 * Math.PI);
  ctx.strokeStyle = palette.text1;
  ctx.lineWidth = 2;
  ctx.setLineDash([2, 4]);
  ctx.lineCap = 'round';
  ctx.stroke();
  ctx.setLineDash([]);
}

function paintHoverLabel(ctx: CanvasRenderingContext2D, { scene, viewport, palette }: Frame, node: number): void {
  const name = shortened(scene.labels[node]!, 60);
  const value = scene.values[node]!;
  ctx.font = `600 12px ${fonts.text}`;
  const nameWidth = ctx.measureText(name).width;
  ctx.font = `400 11px ${fonts.mono}`;
  const valueWidth = value ? ctx.measureText(value).width + 10 : 0;
  const width = nameWidth + valueWidth + 20;
  const r = screenRadius(scene, node, viewport.k);
  const centre = toScreenX(viewport, scene.x[node]!) - width / 2;
  const left = Math.max(6, Math.min(viewport.width - width - 6, centre));
  const below = toScreenY(viewport, scene.y[node]!) + r + 9;
  const top = below + 26 > viewport.height ? toScreenY(viewport, scene.y[node]!) - r - 35 : below;
  ctx.beginPath();
  ctx.roundRect(left, top, width, 26, 6);
  ctx.fillStyle = palette.raised;
  ctx.fill();
  ctx.strokeStyle = palette.lineStrong;
  ctx.lineWidth = 1;
  ctx.stroke();
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  ctx.font = `600 12px ${fonts.text}`;
  ctx.fillStyle = palette.text1;
  ctx.fillText(name, left + 10, top + 13.5);
  if (!value) return;
  ctx.font = `400 11px ${fonts.mono}`;
  ctx.fillStyle = palette.text2;
  ctx.fillText(value, left + 20 + nameWidth, top + 13.5);
}
