// Triangles of the shapes, from the same outlines that Canvas 2D fills and strokes.

import { Shape } from '../../scene/scene';
import { CYLINDER, OUTLINES, type Polygon } from '../outline';

// Floats of a vertex: the point at radius 1, the way out of the line there, the way along the line.
export const VERTEX = [2, 2, 1];
const FLOATS = 5;

export interface Mesh {
  // Where its vertices begin and how many there are: its ground, then its line.
  fillFirst: number;
  fillCount: number;
  ringFirst: number;
  ringCount: number;
}

// All shapes in one buffer.
export function makeMeshes(): { vertices: Float32Array; meshes: Record<Shape, Mesh> } {
  const values: number[] = [];
  const entries = Object.values(Shape).map((shape): [Shape, Mesh] => {
    const fillFirst = values.length / FLOATS;
    fan(values, OUTLINES[shape]);
    const ringFirst = values.length / FLOATS;
    ribbon(values, OUTLINES[shape], true);
    if (shape === Shape.Cylinder) ribbon(values, lid(), false);
    const end = values.length / FLOATS;
    return [shape, { fillFirst, fillCount: ringFirst - fillFirst, ringFirst, ringCount: end - ringFirst }];
  });
  return { vertices: Float32Array.from(values), meshes: Object.fromEntries(entries) as Record<Shape, Mesh> };
}

// From the middle to each side: every outline is seen whole from there.
function fan(values: number[], polygon: Polygon): void {
  const n = polygon.length;
  for (let i = 0; i < n; i += 2) {
    values.push(0, 0, 0, 0, 0);
    values.push(polygon[i]!, polygon[i + 1]!, 0, 0, 0);
    values.push(polygon[(i + 2) % n]!, polygon[(i + 3) % n]!, 0, 0, 0);
  }
}

// Two triangles a piece; neighbours meet on the line that halves their angle.
function ribbon(values: number[], line: Polygon, closed: boolean): void {
  const count = line.length / 2;
  const point = (i: number) => [line[2 * (i % count)]!, line[2 * (i % count) + 1]!] as const;
  const pieces = closed ? count : count - 1;
  let along = 0;
  for (let i = 0; i < pieces; i += 1) {
    const [ax, ay] = point(i);
    const [bx, by] = point(i + 1);
    const length = Math.hypot(bx - ax, by - ay);
    if (length < 1e-6) continue;
    const before = closed || i > 0 ? point(i + count - 1) : null;
    const after = closed || i < pieces - 1 ? point(i + 2) : null;
    const [anx, any] = mitre(before, [ax, ay], [bx, by]);
    const [bnx, bny] = mitre([ax, ay], [bx, by], after);
    const corner = (x: number, y: number, nx: number, ny: number, side: number, at: number) =>
      values.push(x, y, nx * side, ny * side, at);
    corner(ax, ay, anx, any, 1, along);
    corner(ax, ay, anx, any, -1, along);
    corner(bx, by, bnx, bny, 1, along + length);
    corner(bx, by, bnx, bny, 1, along + length);
    corner(ax, ay, anx, any, -1, along);
    corner(bx, by, bnx, bny, -1, along + length);
    along += length;
  }
}

type Point = readonly [number, number];
const MITRE_MAX = 2;

// How far the border goes at a point between two others, as a multiple of half the line's width.
export function mitre(before: Point | null, at: Point, after: Point | null): [number, number] {
  const normal = (a: Point, b: Point): [number, number] => {
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    return [(b[1] - a[1]) / length, (a[0] - b[0]) / length];
  };
  const one = before && normal(before, at);
  const two = after && normal(at, after);
  if (!one || !two) return one ?? two ?? [0, 0];
  const sum: [number, number] = [one[0] + two[0], one[1] + two[1]];
  const length = Math.hypot(...sum) || 1;
  const cosine = (sum[0] * one[0] + sum[1] * one[1]) / length;
  const reach = Math.min(MITRE_MAX, 1 / Math.max(cosine, 1e-3)) / length;
  return [sum[0] * reach, sum[1] * reach];
}

function lid(): Polygon {
  const { halfWidth, halfHeight, lid: height } = CYLINDER;
  const steps = 14;
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = (i / steps) * Math.PI;
    return [halfWidth * Math.cos(angle), -halfHeight + height * Math.sin(angle)];
  }).flat();
}
