import { describe, expect, it } from 'vitest';
import { Shape } from '../scene/scene';
import { below, filledTo, OUTLINES } from './outline';

function area(polygon: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const [x2, y2] = [polygon[(i + 2) % polygon.length]!, polygon[(i + 3) % polygon.length]!];
    sum += polygon[i]! * y2 - x2 * polygon[i + 1]!;
  }
  return Math.abs(sum) / 2;
}

describe('filledTo', () => {
  it('is nothing when empty and the whole outline when full', () => {
    for (const shape of Object.values(Shape)) {
      expect(area(filledTo(shape, 0))).toBeCloseTo(0, 5);
      expect(area(filledTo(shape, 1))).toBeCloseTo(area(OUTLINES[shape]), 5);
    }
  });

  it('halves a shape that is the same above and below', () => {
    for (const shape of [Shape.Circle, Shape.Hexagon, Shape.Square, Shape.Diamond, Shape.Pill]) {
      expect(area(filledTo(shape, 0.5))).toBeCloseTo(area(OUTLINES[shape]) / 2, 5);
    }
  });

  it('cuts along the line', () => {
    expect(below([0, -1, 1, 0, 0, 1, -1, 0], 0.5)).toEqual([0.5, 0.5, 0, 1, -0.5, 0.5]);
  });
});
