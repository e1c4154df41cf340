import { describe, expect, it } from 'vitest';
import { Shape } from '../../scene/scene';
import { OUTLINES } from '../outline';
import { borderOf } from './hulls';
import { makeMeshes, mitre } from './meshes';

// Twice the area of the triangles from a vertex on, as they are wound.
function area(vertices: Float32Array, first: number, count: number): number {
  let sum = 0;
  for (let i = first; i < first + count; i += 3) {
    const at = (k: number) => [vertices[(i + k) * 5]!, vertices[(i + k) * 5 + 1]!] as const;
    const [[ax, ay], [bx, by], [cx, cy]] = [at(0), at(1), at(2)];
    sum += (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
  }
  return sum;
}

function polygonArea(polygon: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const [x2, y2] = [polygon[(i + 2) % polygon.length]!, polygon[(i + 3) % polygon.length]!];
    sum += polygon[i]! * y2 - x2 * polygon[i + 1]!;
  }
  return sum;
}

describe('meshes', () => {
  it('cover just what Canvas 2D fills, without folds', () => {
    const { vertices, meshes } = makeMeshes();
    for (const shape of Object.values(Shape)) {
      const { fillFirst, fillCount } = meshes[shape];
      expect(area(vertices, fillFirst, fillCount)).toBeCloseTo(polygonArea(OUTLINES[shape]), 4);
    }
  });

  it('meet at a corner where the borders of both pieces cross', () => {
    const [x, y] = mitre([-1, 0], [0, 0], [0, 1]);
    expect(Math.hypot(x, y)).toBeCloseTo(Math.SQRT2);
    expect(mitre(null, [0, 0], [1, 0])).toEqual(mitre([-1, 0], [0, 0], null));
    // A line that turns back has no end to its corner.
    expect(Math.hypot(...mitre([-1, 0], [0, 0], [-1, 1e-9]))).toBeLessThanOrEqual(2.001);
  });
});

describe('the border of a group', () => {
  it('keeps its distance from every corner', () => {
    const square = { hull: Float32Array.of(0, 0, 10, 0, 10, 10, 0, 10), padding: 3 };
    const line = borderOf(square);
    for (const [x, y] of line) {
      const nearest = Math.hypot(Math.max(0, -x, x - 10), Math.max(0, -y, y - 10));
      expect(nearest).toBeCloseTo(3);
    }
    expect(Math.max(...line.map(([x]) => x))).toBeCloseTo(13);
  });

  it('is a circle around a single node', () => {
    const line = borderOf({ hull: Float32Array.of(5, 5), padding: 2 });
    expect(line.length).toBeGreaterThan(16);
    for (const [x, y] of line) expect(Math.hypot(x - 5, y - 5)).toBeCloseTo(2);
  });
});
