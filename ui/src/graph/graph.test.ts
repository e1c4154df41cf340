import { describe, expect, it } from 'vitest';
import { diff, node } from '../lib/samples';
import { buildScene } from '../scene/build';
import { LocalPlacement } from '../scene/placement';
import { applyDiff, emptyTopology } from '../store/topology';
import { fitTransform } from './camera';
import { HitTest, readingOrder } from './hit';
import { Glide } from './motion';

type Place = [id: string, x: number, y: number];

function sceneOf(...places: Place[]) {
  const nodes = places.map(([id, x, y]) => node(id, { x, y }));
  const topology = applyDiff(emptyTopology('containers'), diff({ reset: true, nodes }))!;
  return buildScene(topology, 'cpu', new LocalPlacement());
}

const cross = () => sceneOf(['mid', 0, 1], ['left', -100, 0], ['right', 100, 0], ['up', 10, -100], ['down', 0, 100]);
const viewport = { k: 2, x: 300, y: 300, width: 600, height: 600 };

describe('HitTest', () => {
  it('finds the node under the pointer at any zoom, and nothing beside it', () => {
    const hit = new HitTest(cross());
    expect(hit.at(viewport, 302, 301)).toBe(0);
    expect(hit.at(viewport, 500, 300)).toBe(2);
    expect(hit.at(viewport, 400, 300)).toBe(-1);
  });

  it('walks in the direction of the key', () => {
    const hit = new HitTest(cross());
    expect(hit.towards(0, -1, 0)).toBe(1);
    expect(hit.towards(0, 1, 0)).toBe(2);
    expect(hit.towards(0, 0, -1)).toBe(3);
    expect(hit.towards(0, 0, 1)).toBe(4);
    expect(hit.towards(2, 1, 0)).toBe(-1);
  });

  it('reads from the top left to the bottom right', () => {
    expect([...readingOrder(cross())]).toEqual([3, 1, 0, 2, 4]);
  });
});

describe('fitTransform', () => {
  it('shows all of it', () => {
    const scene = cross();
    const { k, x, y } = fitTransform(scene.bounds, { width: 800, height: 500 });
    expect(scene.bounds.left * k + x).toBeGreaterThanOrEqual(0);
    expect(scene.bounds.right * k + x).toBeLessThanOrEqual(800);
    expect(scene.bounds.top * k + y).toBeGreaterThanOrEqual(0);
    expect(scene.bounds.bottom * k + y).toBeLessThanOrEqual(500);
  });
});

describe('Glide', () => {
  it('goes from the old place to the new one, and rests there', () => {
    const before = sceneOf(['a', 0, 1], ['b', 50, 0]);
    const after = sceneOf(['a', 100, 1], ['b', 50, 0], ['c', 9, 9]);
    const glide = new Glide(after, before, 1_000);
    expect(after.x[0]).toBe(0);
    expect(after.x[2]).toBe(9);
    glide.step(1_150);
    expect(after.x[0]).toBeGreaterThan(0);
    expect(after.x[0]).toBeLessThan(100);
    glide.step(1_300);
    expect(after.x[0]).toBe(100);
    expect(glide.moving).toBe(false);
  });

  it('stands still when nothing moved', () => {
    const glide = new Glide(sceneOf(['a', 0, 1]), sceneOf(['a', 0, 1]), 0);
    expect(glide.moving).toBe(false);
  });
});
