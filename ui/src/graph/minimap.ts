// The whole map in a corner, with the part that is on the screen.

import { healthColor, withAlpha } from '../render/color';
import type { Viewport } from '../render/renderer';
import { HealthCode, NodeFlag, type Scene } from '../scene/scene';
import type { Palette } from '../theme/tokens';

export const MINIMAP = { width: 150, height: 96 };
const MARGIN = 8;

interface Fit {
  k: number;
  x: number;
  y: number;
}

export class Minimap {
  private readonly ctx: CanvasRenderingContext2D;
  private readonly picture = document.createElement('canvas');
  private fit: Fit = { k: 1, x: 0, y: 0 };

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.ctx = canvas.getContext('2d')!;
  }

  // The dots, once per scene.
  setScene(scene: Scene, palette: Palette, pixelRatio: number): void {
    for (const canvas of [this.canvas, this.picture]) {
      canvas.width = MINIMAP.width * pixelRatio;
      canvas.height = MINIMAP.height * pixelRatio;
    }
    const { bounds } = scene;
    const w = bounds.right - bounds.left;
    const h = bounds.bottom - bounds.top;
    const k = Math.min((MINIMAP.width - 2 * MARGIN) / w, (MINIMAP.height - 2 * MARGIN) / h);
    this.fit = {
      k,
      x: MINIMAP.width / 2 - (k * (bounds.left + bounds.right)) / 2,
      y: MINIMAP.height / 2 - (k * (bounds.top + bounds.bottom)) / 2,
    };
    const ctx = this.picture.getContext('2d')!;
    ctx.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    ctx.clearRect(0, 0, MINIMAP.width, MINIMAP.height);
    ctx.fillStyle = palette.raised;
    for (const group of scene.groups) {
      ctx.beginPath();
      ctx.arc(this.px(group.x), this.py(group.y), Math.max(3, group.radius * k), 0, 2 * Math.PI);
      ctx.fill();
    }
    const size = scene.ids.length > 2_000 ? 0.6 : scene.ids.length > 300 ? 0.9 : 1.3;
    scene.x.forEach((x, node) => {
      const sick = scene.health[node] === HealthCode.Critical || scene.health[node] === HealthCode.Warning;
      const pseudo = (scene.flags[node]! & (NodeFlag.Pseudo | NodeFlag.Ended)) !== 0;
      ctx.fillStyle = pseudo ? palette.text3 : healthColor(palette, scene.health[node]!);
      const r = sick ? size + 0.8 : size;
      ctx.fillRect(this.px(x) - r, this.py(scene.y[node]!) - r, 2 * r, 2 * r);
    });
  }

  draw(view: Viewport, palette: Palette, pixelRatio: number): void {
    const { ctx } = this;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ctx.drawImage(this.picture, 0, 0);
    ctx.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    const left = Math.max(1, this.px(-view.x / view.k));
    const top = Math.max(1, this.py(-view.y / view.k));
    const right = Math.min(MINIMAP.width - 1, this.px((view.width - view.x) / view.k));
    const bottom = Math.min(MINIMAP.height - 1, this.py((view.height - view.y) / view.k));
    ctx.fillStyle = withAlpha(palette.accent, 0.08);
    ctx.fillRect(left, top, right - left, bottom - top);
    ctx.strokeStyle = palette.accent;
    ctx.lineWidth = 1.25;
    ctx.strokeRect(left, top, right - left, bottom - top);
  }

  // The point of the world under a point of the small map.
  worldAt(mx: number, my: number): [number, number] {
    return [(mx - this.fit.x) / this.fit.k, (my - this.fit.y) / this.fit.k];
  }

  private px(x: number): number {
    return x * this.fit.k + this.fit.x;
  }

  private py(y: number): number {
    return y * this.fit.k + this.fit.y;
  }
}
