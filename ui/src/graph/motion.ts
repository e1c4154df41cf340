// Nodes never jump: after a new scene they glide from where they were drawn to where they belong.

import type { Scene } from '../scene/scene';

const GLIDE_MS = 300;
// A move of less than this cannot be seen.
const STILL_PX = 0.5;

export class Glide {
  private fromX: Float32Array | null = null;
  private fromY: Float32Array | null = null;
  private readonly toX: Float32Array;
  private readonly toY: Float32Array;
  private startMs = -Infinity;

  constructor(
    readonly scene: Scene,
    before: Scene | null,
    nowMs: number,
  ) {
    this.toX = scene.x.slice();
    this.toY = scene.y.slice();
    if (!before || before.view !== scene.view) return;
    const fromX = scene.x.slice();
    const fromY = scene.y.slice();
    let moved = false;
    scene.ids.forEach((id, i) => {
      const old = before.index.get(id);
      if (old === undefined) return;
      fromX[i] = before.x[old]!;
      fromY[i] = before.y[old]!;
      moved ||= Math.abs(fromX[i]! - scene.x[i]!) + Math.abs(fromY[i]! - scene.y[i]!) > STILL_PX;
    });
    if (!moved) return;
    this.fromX = fromX;
    this.fromY = fromY;
    this.startMs = nowMs;
    this.step(nowMs);
  }

  get moving(): boolean {
    return this.fromX !== null;
  }

  // Puts the scene's positions to where they are at this moment.
  step(nowMs: number): void {
    const { fromX, fromY, toX, toY, scene } = this;
    if (!fromX || !fromY) return;
    const t = Math.min(1, (nowMs - this.startMs) / GLIDE_MS);
    const eased = 1 - (1 - t) ** 3;
    for (let i = 0; i < toX.length; i += 1) {
      scene.x[i] = fromX[i]! + (toX[i]! - fromX[i]!) * eased;
      scene.y[i] = fromY[i]! + (toY[i]! - fromY[i]!) * eased;
    }
    if (t < 1) return;
    this.fromX = null;
    this.fromY = null;
  }
}
