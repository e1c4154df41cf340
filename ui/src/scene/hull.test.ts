import { describe, expect, it } from 'vitest';
import { convexHull } from './hull';

const hull = (...points: number[]) => [...convexHull(Float32Array.from(points))];

describe('convexHull', () => {
  it('leaves out what lies inside and on the sides', () => {
    expect(hull(0, 0, 4, 0, 4, 4, 0, 4, 2, 2, 2, 0)).toEqual([0, 0, 4, 0, 4, 4, 0, 4]);
  });

  it('takes points, pairs and lines as they are', () => {
    expect(hull()).toEqual([]);
    expect(hull(1, 2)).toEqual([1, 2]);
    expect(hull(3, 0, 1, 0)).toEqual([1, 0, 3, 0]);
    expect(hull(0, 0, 1, 1, 2, 2)).toEqual([0, 0, 2, 2]);
  });
});
