// Groups: a soft hull around the nodes, and a tab with name, number and worst state.

import { HealthCode, type Group } from '../scene/scene';
import { shortened } from '../lib/format';
import { fonts } from '../theme/tokens';
import { healthBadge } from './badge';
import { healthColor, withAlpha } from './color';
import { isVisible, toScreenX, toScreenY } from './geometry';
import type { Frame, Viewport } from './renderer';

const TAB_HEIGHT = 22;
const TAB_TEXT_MAX = 26;

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

// The border runs `padding` outside of the hull: an arc around each corner, lines between.
function traceHull(ctx: CanvasRenderingContext2D, { hull, padding }: Group, viewport: Viewport): void {
  const corners = hull.length / 2;
  const r = padding * viewport.k;
  const x = (i: number) => toScreenX(viewport, hull[2 * (i % corners)]!);
  const y = (i: number) => toScreenY(viewport, hull[2 * (i % corners) + 1]!);
  ctx.beginPath();
  if (corners === 1) {
    ctx.arc(x(0), y(0), r, 0, 2 * Math.PI);
    return;
  }
  for (let i = 0; i < corners; i += 1) {
    const before = Math.atan2(y(i) - y(i + corners - 1), x(i) - x(i + corners - 1)) - Math.PI / 2;
    const after = Math.atan2(y(i + 1) - y(i), x(i + 1) - x(i)) - Math.PI / 2;
    ctx.arc(x(i), y(i), r, before, after);
  }
  ctx.closePath();
}

function groupVisible({ x, y, radius }: Group, viewport: Viewport): boolean {
  const reach = radius * viewport.k;
  return isVisible(viewport, toScreenX(viewport, x), toScreenY(viewport, y), reach + 30);
}

export function paintHulls(ctx: CanvasRenderingContext2D, { scene, viewport, palette }: Frame): void {
  const solid = palette.background === '#F5F6F8';
  for (const group of scene.groups) {
    if (!groupVisible(group, viewport)) continue;
    traceHull(ctx, group, viewport);
    ctx.fillStyle = solid ? withAlpha(palette.surface, 0.9) : withAlpha(palette.surface, 0.82);
    ctx.fill();
    ctx.strokeStyle = palette.line;
    ctx.lineWidth = 1;
    ctx.stroke();
  }
}

// The tabs, the largest groups first; one that would cover another is left out. Returns their boxes,
// which labels keep clear of.
export function paintTabs(ctx: CanvasRenderingContext2D, frame: Frame): Box[] {
  const { scene, viewport } = frame;
  const taken: Box[] = [];
  const order = scene.groups.filter((group) => groupVisible(group, viewport));
  order.sort((a, b) => b.members.length - a.members.length);
  for (const group of order) {
    const box = tabBox(ctx, group, viewport);
    if (taken.some((other) => overlap(box, other))) continue;
    taken.push(box);
    paintTab(ctx, frame, group, box);
  }
  return taken;
}

const nameFont = `600 12px ${fonts.text}`;
const countFont = `400 11.5px ${fonts.mono}`;

function tabBox(ctx: CanvasRenderingContext2D, group: Group, viewport: Viewport): Box {
  ctx.font = nameFont;
  const name = ctx.measureText(shortened(group.label, TAB_TEXT_MAX)).width;
  ctx.font = countFont;
  const number = ctx.measureText(String(group.members.length)).width;
  const width = name + number + 28 + (group.health === HealthCode.Ok ? 0 : 18);
  const x = toScreenX(viewport, group.x);
  // On the border, but not out of sight while the group is in sight.
  const top = toScreenY(viewport, group.top);
  const bottom = toScreenY(viewport, 2 * group.y - group.top);
  const y = Math.max(top, Math.min(14, bottom - 14));
  return { left: x - width / 2, right: x + width / 2, top: y - TAB_HEIGHT / 2, bottom: y + TAB_HEIGHT / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function paintTab(ctx: CanvasRenderingContext2D, frame: Frame, group: Group, box: Box): void {
  const { palette } = frame;
  const middle = (box.top + box.bottom) / 2;
  const sick = group.health === HealthCode.Critical || group.health === HealthCode.Warning;
  ctx.beginPath();
  ctx.roundRect(box.left, box.top, box.right - box.left, TAB_HEIGHT, TAB_HEIGHT / 2);
  ctx.fillStyle = palette.surface;
  ctx.fill();
  ctx.strokeStyle = sick ? healthColor(palette, group.health) : palette.lineStrong;
  ctx.lineWidth = 1;
  ctx.stroke();
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  ctx.font = nameFont;
  ctx.fillStyle = palette.text1;
  const name = shortened(group.label, TAB_TEXT_MAX);
  ctx.fillText(name, box.left + 11, middle + 0.5);
  const after = box.left + 11 + ctx.measureText(name).width + 6;
  ctx.font = countFont;
  ctx.fillStyle = palette.text3;
  ctx.fillText(String(group.members.length), after, middle + 0.5);
  if (group.health !== HealthCode.Ok) healthBadge(ctx, palette, group.health, box.right - 14, middle, 5.5);
}
