// Which node is under the pointer, and which lies next in a direction.

import { quadtree, type Quadtree } from 'd3-quadtree';
import { radiusScale, screenRadius } from '../render/geometry';
import type { Viewport } from '../render/renderer';
import type { Scene } from '../scene/scene';

const TOLERANCE_PX = 5;

export class HitTest {
  private readonly tree: Quadtree<number>;
  private readonly largest: number;

  constructor(private readonly scene: Scene) {
    this.tree = quadtree<number>()
      .x((node) => scene.x[node]!)
      .y((node) => scene.y[node]!)
      .addAll(Array.from(scene.x.keys()));
    this.largest = scene.radius.reduce((a, b) => Math.max(a, b), 0);
  }

  // The node at a point of the screen, or -1.
  at(viewport: Viewport, sx: number, sy: number): number {
    const { k } = viewport;
    const wx = (sx - viewport.x) / k;
    const wy = (sy - viewport.y) / k;
    const reach = (this.largest * radiusScale(k) + TOLERANCE_PX) / k;
    const node = this.tree.find(wx, wy, reach);
    if (node === undefined) return -1;
    const distance = Math.hypot(this.scene.x[node]! - wx, this.scene.y[node]! - wy) * k;
    return distance <= screenRadius(this.scene, node, k) + TOLERANCE_PX ? node : -1;
  }

  // The nearest node in a direction (unit vector), preferring what lies straight ahead; -1 for none.
  towards(from: number, dx: number, dy: number): number {
    const { x, y } = this.scene;
    let best = -1;
    let bestCost = Infinity;
    for (let node = 0; node < x.length; node += 1) {
      if (node === from) continue;
      const vx = x[node]! - x[from]!;
      const vy = y[node]! - y[from]!;
      const ahead = vx * dx + vy * dy;
      if (ahead <= 0) continue;
      const aside = Math.abs(vx * dy - vy * dx);
      if (aside > ahead * 2) continue;
      const cost = ahead + 2 * aside;
      if (cost < bestCost) [best, bestCost] = [node, cost];
    }
    return best;
  }
}

// Nodes as one reads them: by group, then from top left to bottom right in bands.
export function readingOrder(scene: Scene): Uint32Array {
  const band = (node: number) => Math.round(scene.y[node]! / 40);
  const groupAt = (node: number) => {
    const group = scene.groups[scene.group[node]!];
    return group ? Math.round(group.y / 200) * 1e6 + group.x : Infinity;
  };
  return Uint32Array.from(scene.x.keys()).sort((a, b) => {
    const [ga, gb] = [groupAt(a), groupAt(b)];
    if (ga !== gb) return ga < gb ? -1 : 1;
    return band(a) - band(b) || scene.x[a]! - scene.x[b]!;
  });
}
