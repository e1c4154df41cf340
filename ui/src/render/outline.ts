// The outlines of the shapes as polygons around the origin with radius 1. One form for all makes the
// liquid level one operation: keep what lies below a horizontal line.

import { Shape } from '../scene/scene';

export type Polygon = readonly number[];

function regular(corners: number, turn: number): Polygon {
  return Array.from({ length: corners }, (_, i) => {
    const angle = turn + (i * 2 * Math.PI) / corners;
    return [Math.cos(angle), Math.sin(angle)];
  }).flat();
}

// Quarter circles of radius r in the four corners of a box.
function rounded(halfWidth: number, halfHeight: number, r: number): Polygon {
  const points: number[] = [];
  const steps = 6;
  const corners: [number, number, number][] = [
    [halfWidth - r, halfHeight - r, 0],
    [-halfWidth + r, halfHeight - r, Math.PI / 2],
    [-halfWidth + r, -halfHeight + r, Math.PI],
    [halfWidth - r, -halfHeight + r, 1.5 * Math.PI],
  ];
  for (const [cx, cy, from] of corners) {
    for (let i = 0; i <= steps; i += 1) {
      const angle = from + (i / steps) * (Math.PI / 2);
      points.push(cx + r * Math.cos(angle), cy + r * Math.sin(angle));
    }
  }
  return points;
}

export const CYLINDER = { halfWidth: 0.8, halfHeight: 0.72, lid: 0.26 };

function cylinder(): Polygon {
  const { halfWidth, halfHeight, lid } = CYLINDER;
  const points: number[] = [];
  const steps = 14;
  for (let i = 0; i <= steps; i += 1) {
    const angle = (i / steps) * Math.PI;
    points.push(halfWidth * Math.cos(angle), halfHeight + lid * Math.sin(angle));
  }
  for (let i = 0; i <= steps; i += 1) {
    const angle = Math.PI + (i / steps) * Math.PI;
    points.push(halfWidth * Math.cos(angle), -halfHeight + lid * Math.sin(angle));
  }
  return points;
}

// A flat base and three bumps, as arcs one after the other.
function cloud(): Polygon {
  const arcs: [number, number, number, number, number][] = [
    [0.62, 0.18, 0.42, 0.5 * Math.PI, -0.42 * Math.PI],
    [0.14, -0.22, 0.52, -0.12 * Math.PI, -0.86 * Math.PI],
    [-0.42, -0.08, 0.34, -0.42 * Math.PI, -1.02 * Math.PI],
    [-0.62, 0.24, 0.36, -0.62 * Math.PI, -1.5 * Math.PI],
  ];
  const steps = 9;
  return arcs.flatMap(([cx, cy, r, from, to]) =>
    Array.from({ length: steps + 1 }, (_, i) => {
      const angle = from + ((to - from) * i) / steps;
      return [cx + r * Math.cos(angle), cy + r * Math.sin(angle)];
    }).flat(),
  );
}

export const OUTLINES: Record<Shape, Polygon> = {
  [Shape.Circle]: regular(32, 0),
  [Shape.Hexagon]: regular(6, 0),
  [Shape.Square]: rounded(0.86, 0.86, 0.24),
  [Shape.Diamond]: regular(4, Math.PI / 2).map((value) => value * 1.12),
  [Shape.Cylinder]: cylinder(),
  [Shape.Pill]: rounded(1.1, 0.66, 0.66),
  [Shape.Cloud]: cloud(),
};

const EXTENTS = Object.fromEntries(
  Object.entries(OUTLINES).map(([shape, polygon]) => {
    const ys = polygon.filter((_, i) => i % 2 === 1);
    return [shape, [Math.min(...ys), Math.max(...ys)] as const];
  }),
) as Record<Shape, readonly [number, number]>;

// How high the liquid stands in it, as y.
export function surfaceOf(shape: Shape, level: number): number {
  const [top, bottom] = EXTENTS[shape];
  return bottom - level * (bottom - top);
}

// The part of the outline that a liquid fills to `level` (0 to 1).
export function filledTo(shape: Shape, level: number): Polygon {
  return below(OUTLINES[shape], surfaceOf(shape, level));
}

// Sutherland-Hodgman against one horizontal line.
export function below(polygon: Polygon, line: number): Polygon {
  const kept: number[] = [];
  const n = polygon.length;
  for (let i = 0; i < n; i += 2) {
    const ax = polygon[i]!;
    const ay = polygon[i + 1]!;
    const bx = polygon[(i + 2) % n]!;
    const by = polygon[(i + 3) % n]!;
    if (ay >= line) kept.push(ax, ay);
    if (ay >= line !== by >= line) kept.push(ax + ((bx - ax) * (line - ay)) / (by - ay), line);
  }
  return kept;
}
