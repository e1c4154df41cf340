// Groups: a soft hull around the nodes, and a tab with name, number and worst state.

import { HealthCode, type Group } from '../scene/scene';
import { shortened } from '../lib/format';
import { fonts, type Palette } from '../theme/tokens';
import { healthBadge } from './badge';
import { healthColor, withAlpha } from './color';
import { PADDING } from '../scene/groups';
import { isVisible, radiusScale, toScreenX, toScreenY } from './geometry';
import type { Box } from './occupied';
import type { Frame, Viewport } from './renderer';

const TAB_HEIGHT = 22;
const TAB_TEXT_MAX = 26;

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

// On a light ground a group is lighter than the ground, and shadows of lines would shine through it.
export function hullAlpha(palette: Palette): number {
  return palette.background === '#F5F6F8' ? 0.9 : 0.82;
}

export function paintHulls(ctx: CanvasRenderingContext2D, { scene, viewport, palette }: Frame): void {
  for (const group of scene.groups) {
    if (!groupVisible(group, viewport)) continue;
    traceHull(ctx, group, viewport);
    ctx.fillStyle = withAlpha(palette.surface, hullAlpha(palette));
    ctx.fill();
    ctx.strokeStyle = palette.line;
    ctx.lineWidth = 1;
    ctx.stroke();
  }
}

// More groups than these can't all be named: a map of tabs hides what it is a map of.
const CROWDED_FROM_GROUPS = 60;
// In a crowd a tab may be so many times as wide as its group.
const TAB_TO_GROUP_MAX = 1.5;
// Of those that are wider, only so many: the unwell first, then the largest.
const WIDE_TABS_MAX = 24;
// So far from other tabs, sideways and up and down, that they lie all over the map.
const APART_PX = [90, 70] as const;

// The tabs, the largest groups first, each where it covers no other: on the upper border in full, else
// with less on it, else on the lower border. Returns their boxes, which labels keep clear of.
export function paintTabs(ctx: CanvasRenderingContext2D, frame: Frame): Box[] {
  const { scene, viewport, palette } = frame;
  const taken: Box[] = [];
  const order = scene.groups.filter((group) => groupVisible(group, viewport));
  order.sort((a, b) => b.members.length - a.members.length);
  const crowded = order.length > CROWDED_FROM_GROUPS;
  if (crowded) order.sort((a, b) => Number(isSick(b)) - Number(isSick(a)));
  let wide = 0;
  for (const group of order) {
    const narrowest = 2 * group.radius * viewport.k * TAB_TO_GROUP_MAX;
    if (crowded && wide >= WIDE_TABS_MAX && narrowest < TAB_LEAST_PX) continue;
    const full = tabOf(ctx, group, viewport, 'full');
    const compact = tabOf(ctx, group, viewport, 'compact');
    const isWide = crowded && compact.box.right - compact.box.left > narrowest;
    if (isWide && wide >= WIDE_TABS_MAX) continue;
    // A wide one would cover its own group: it stands above it.
    const choices = isWide
      ? [moved(full, -TAB_HEIGHT / 2 - 2), moved(compact, -TAB_HEIGHT / 2 - 2)]
      : [full, compact, { ...compact, box: lowered(compact.box, group, viewport) }];
    const [across, down] = isWide && !isSick(group) ? APART_PX : [0, 0];
    const tab = choices.find(({ box }) => !taken.some((other) => overlap(grown(box, across, down), other)));
    if (!tab) continue;
    if (isWide) wide += 1;
    taken.push(tab.box);
    paintTab(ctx, palette, group, tab);
  }
  return taken;
}

function moved(tab: Tab, by: number): Tab {
  return { ...tab, box: { ...tab.box, top: tab.box.top + by, bottom: tab.box.bottom + by } };
}

function grown({ left, right, top, bottom }: Box, across: number, down: number): Box {
  return { left: left - across, right: right + across, top: top - down, bottom: bottom + down };
}

function isSick({ health }: Group): boolean {
  return health === HealthCode.Critical || health === HealthCode.Warning;
}

// Of a name of three letters.
const TAB_LEAST_PX = 40;
const nameFont = `600 12px ${fonts.text}`;
const countFont = `400 11.5px ${fonts.mono}`;
const SIDE_PX = 10;
const BADGE_PX = 5.5;
// Between a tab and the border of the map.
const EDGE_PX = 4;

interface Tab {
  box: Box;
  name: string;
  count: string;
  critical: string;
}

function tabOf(ctx: CanvasRenderingContext2D, group: Group, viewport: Viewport, form: 'full' | 'compact'): Tab {
  const name = shortened(group.label, TAB_TEXT_MAX);
  const count = form === 'full' ? String(group.members.length) : '';
  const critical = form === 'full' && group.critical > 1 ? String(group.critical) : '';
  ctx.font = nameFont;
  let width = ctx.measureText(name).width + 2 * SIDE_PX;
  ctx.font = countFont;
  if (count) width += ctx.measureText(count).width + 6;
  if (group.health !== HealthCode.Ok) width += 2 * BADGE_PX + 6;
  if (critical) width += ctx.measureText(critical).width + 4;
  // On the border, but not out of sight while the group is in sight.
  const middle = toScreenX(viewport, group.tabX);
  const inside = Math.min(viewport.width - width / 2 - EDGE_PX, Math.max(width / 2 + EDGE_PX, middle));
  const x = Math.abs(inside - middle) < width ? inside : middle;
  const bottom = toScreenY(viewport, group.bottom);
  const y = Math.max(toScreenY(viewport, group.top) - lift(group, viewport), Math.min(14, bottom - 14));
  const box = { left: x - width / 2, right: x + width / 2, top: y - TAB_HEIGHT / 2, bottom: y + TAB_HEIGHT / 2 };
  return { box, name, count, critical };
}

// How far outside of the border a tab has to hang so that it covers no node.
function lift({ padding }: Group, { k }: Viewport): number {
  const room = padding * k - (padding - PADDING) * radiusScale(k);
  return Math.max(0, TAB_HEIGHT / 2 - room);
}

function lowered(box: Box, group: Group, viewport: Viewport): Box {
  const y = toScreenY(viewport, group.bottom) + lift(group, viewport);
  return { ...box, top: y - TAB_HEIGHT / 2, bottom: y + TAB_HEIGHT / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function paintTab(ctx: CanvasRenderingContext2D, palette: Palette, group: Group, { box, name, count, critical }: Tab): void {
  const middle = (box.top + box.bottom) / 2;
  const sick = isSick(group);
  ctx.beginPath();
  ctx.roundRect(box.left, box.top, box.right - box.left, TAB_HEIGHT, TAB_HEIGHT / 2);
  ctx.fillStyle = palette.surface;
  ctx.fill();
  ctx.strokeStyle = sick ? withAlpha(healthColor(palette, group.health), 0.85) : palette.lineStrong;
  ctx.lineWidth = 1;
  ctx.stroke();
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  let x = box.left + SIDE_PX;
  const write = (text: string, font: string, color: string, gap: number) => {
    if (!text) return;
    ctx.font = font;
    ctx.fillStyle = color;
    ctx.fillText(text, x, middle + 0.5);
    x += ctx.measureText(text).width + gap;
  };
  write(name, nameFont, palette.text1, 6);
  write(count, countFont, palette.text3, 6);
  if (group.health === HealthCode.Ok) return;
  healthBadge(ctx, palette, group.health, x + BADGE_PX, middle, BADGE_PX);
  x += 2 * BADGE_PX + 4;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  write(critical, countFont, palette.criticalText, 0);
}
