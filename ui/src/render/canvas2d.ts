// The Canvas 2D back end: works in every browser, and is the faster one where there is no GPU.

import { CachedLayer, context, sizeTo } from './layer';
import { paint } from './paint';
import type { PlacedLabel } from './paint-labels';
import { paintOverlay } from './paint-overlay';
import type { Frame, Renderer } from './renderer';

export class Canvas2dRenderer implements Renderer {
  readonly name = 'canvas2d';
  readonly layers: readonly HTMLCanvasElement[];
  private readonly base: CachedLayer;
  private readonly overlay: CanvasRenderingContext2D;
  private labels: readonly PlacedLabel[] = [];
  private pixelRatio = 1;

  constructor(base: HTMLCanvasElement, overlay: HTMLCanvasElement) {
    this.base = new CachedLayer(context(base));
    this.overlay = context(overlay);
    this.layers = [base, overlay];
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.pixelRatio = pixelRatio;
    this.base.resize(width, height, pixelRatio);
    sizeTo(this.overlay.canvas, width, height, pixelRatio);
  }

  invalidate(): void {
    this.base.invalidate();
  }

  draw(frame: Frame, moving: boolean): number {
    let labels: readonly PlacedLabel[] = [];
    const { ms, inPlace } = this.base.draw(frame.viewport, moving, (ctx, viewport) => {
      labels = paint(ctx, { ...frame, viewport });
    });
    // Where they are in a moved picture is not where they were put.
    this.labels = inPlace ? labels : [];
    return ms;
  }

  drawOverlay(frame: Frame, timeMs: number, animate: boolean): boolean {
    this.overlay.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    return paintOverlay(this.overlay, frame, this.labels, animate ? timeMs : 0) && animate;
  }

  destroy(): void {
    this.labels = [];
  }
}
