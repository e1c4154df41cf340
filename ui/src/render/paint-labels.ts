// Labels by nodes, as many as fit without touching: a coarse grid of the screen says what is taken.

import { shortened } from '../lib/format';
import { HealthCode, NodeFlag, Shape } from '../scene/scene';
import { fonts, type Palette } from '../theme/tokens';
import { withAlpha } from './color';
import { isVisible, screenRadius, toScreenX, toScreenY } from './geometry';
import { Occupied, type Box } from './occupied';
import { incidentEdges } from './paint-edges';
import type { Frame } from './renderer';
import { isDimmed } from './style';

const LABELS_MAX = 320;
const TEXT_MAX = 24;
const VALUE_FROM_ZOOM = 1.25;
const LABELS_FROM_RADIUS_PX = 4.2;
const LINE_PX = 12;
const GAP_PX = 4;

interface Label {
  node: number;
  rank: number;
  x: number;
  y: number;
  r: number;
}

// A label where it was put, to be drawn again over something.
export interface PlacedLabel {
  text: string;
  value: string;
  bold: boolean;
  quiet: boolean;
  x: number;
  top: number;
}

// Returns the labels of the selected node and its neighbours, which its edges would cover.
// `radiusMin` is the least radius that the nodes were drawn with.
export function paintLabels(
  ctx: CanvasRenderingContext2D,
  frame: Frame,
  visible: readonly number[],
  tabs: readonly Box[],
  radiusMin: number,
): PlacedLabel[] {
  const { scene, viewport } = frame;
  const occupied = new Occupied(viewport.width, viewport.height);
  for (const tab of tabs) occupied.take(tab);
  const neighbours = neighboursOfSelected(frame);
  const labels: Label[] = [];
  for (const node of visible) {
    const r = Math.max(radiusMin, screenRadius(scene, node, viewport.k));
    const x = toScreenX(viewport, scene.x[node]!);
    const y = toScreenY(viewport, scene.y[node]!);
    // Labels may touch the rim of a node, not its middle.
    const core = r * 0.7;
    if (r > 4 && !isDimmed(frame, node)) occupied.take({ left: x - core, right: x + core, top: y - core, bottom: y + core });
    const rank = rankOf(frame, node, r, neighbours);
    if (rank > 0) labels.push({ node, rank, x, y, r });
  }
  labels.sort((a, b) => b.rank - a.rank);
  const ofSelection: PlacedLabel[] = [];
  let drawn = 0;
  for (const label of labels) {
    if (drawn >= LABELS_MAX) break;
    const placed = place(ctx, frame, label, occupied);
    if (!placed) continue;
    drawn += 1;
    paintLabel(ctx, frame.palette, placed);
    if (label.node === frame.emphasis.selected || neighbours.has(label.node)) ofSelection.push(placed);
  }
  return ofSelection;
}

function neighboursOfSelected(frame: Frame): ReadonlySet<number> {
  const { scene, emphasis } = frame;
  const neighbours = new Set<number>();
  if (emphasis.selected < 0) return neighbours;
  for (const edge of incidentEdges(frame, emphasis.selected)) {
    neighbours.add(scene.edgeSource[edge]!).add(scene.edgeTarget[edge]!);
  }
  return neighbours;
}

const BOLD_FROM_RANK = 500;

// 0 for no label.
function rankOf(frame: Frame, node: number, r: number, neighbours: ReadonlySet<number>): number {
  const { scene, emphasis } = frame;
  if (node === emphasis.selected) return 1000;
  if (isDimmed(frame, node)) return 0;
  if (emphasis.matches !== null) return 600 + scene.radius[node]!;
  if (neighbours.has(node)) return 550 + scene.radius[node]!;
  if (r < LABELS_FROM_RADIUS_PX) return 0;
  if (scene.health[node] === HealthCode.Critical) return 520;
  if (scene.health[node] === HealthCode.Warning) return 510;
  const ended = (scene.flags[node]! & NodeFlag.Ended) !== 0;
  const outside = (scene.flags[node]! & NodeFlag.Pseudo) !== 0;
  return (ended ? 50 : outside ? 300 : 100) + scene.radius[node]!;
}

// Below the node, above or beside it, where it touches nothing; null where it does not fit.
function place(ctx: CanvasRenderingContext2D, frame: Frame, label: Label, occupied: Occupied): PlacedLabel | null {
  const { scene, viewport, emphasis } = frame;
  const { node, rank, x, y, r } = label;
  if (!isVisible(viewport, x, y, 20)) return null;
  const selected = node === emphasis.selected;
  const bold = rank >= BOLD_FROM_RANK;
  const text = shortened(scene.labels[node]!, TEXT_MAX);
  ctx.font = nameFont(bold);
  const half = ctx.measureText(text).width / 2;
  // Two clouds stand for the two directions; only their second line tells them apart.
  const detailed = viewport.k >= VALUE_FROM_ZOOM || selected || scene.shape[node] === Shape.Cloud;
  const value = detailed ? shortened(scene.values[node]!, TEXT_MAX) : '';
  const height = value ? LINE_PX + 13 : LINE_PX;
  const below = y + r + GAP_PX;
  const beside = r + GAP_PX + half;
  const places: [x: number, top: number][] = [
    [x, below],
    [x, y - r - GAP_PX - height],
    [x + beside, y - height / 2],
    [x - beside, y - height / 2],
  ];
  // A name that the border of the map cuts off is none, unless its node is cut off too.
  const whole = (centre: number) => (centre - half >= 0 && centre + half <= viewport.width) || x - r < 0 || x + r > viewport.width;
  const free = places.find(([centre, top]) => whole(centre) && occupied.isFree(box(centre, top, half, height)));
  if (!free && !selected) return null;
  const [centre, top] = free ?? [x, below];
  occupied.take(box(centre, top, half + 3, height));
  const quiet = !bold && (scene.flags[node]! & NodeFlag.Ended) !== 0;
  // The name of the selected node may cover something; what it measures is in the details as well.
  return { text, value: free ? value : '', bold, quiet, x: centre, top };
}

function nameFont(bold: boolean): string {
  return `${bold ? 600 : 450} 11px ${fonts.text}`;
}

export function paintLabel(ctx: CanvasRenderingContext2D, palette: Palette, label: PlacedLabel): void {
  const { text, value, bold, quiet, x, top } = label;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  ctx.lineJoin = 'round';
  // A rim in the colour of the ground keeps the text readable over lines.
  ctx.lineWidth = 3.5;
  ctx.strokeStyle = withAlpha(palette.background, 0.8);
  ctx.font = nameFont(bold);
  ctx.strokeText(text, x, top);
  ctx.fillStyle = bold ? palette.text1 : quiet ? palette.text3 : palette.text2;
  ctx.fillText(text, x, top);
  if (!value) return;
  ctx.font = `400 10.5px ${fonts.mono}`;
  ctx.strokeText(value, x, top + 14);
  ctx.fillStyle = palette.text3;
  ctx.fillText(value, x, top + 14);
}

function box(x: number, top: number, half: number, height: number): Box {
  return { left: x - half, right: x + half, top, bottom: top + height };
}
