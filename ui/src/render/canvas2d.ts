// The Canvas 2D back end. A full drawing goes into a picture larger than the screen; while a gesture
// lasts, the picture is moved and scaled instead of drawn again.

import { paint } from './paint';
import type { PlacedLabel } from './paint-labels';
import { paintOverlay } from './paint-overlay';
import type { Frame, Renderer, Viewport } from './renderer';

const CACHE_SCALE = 1.4;
// Beyond this change of zoom the scaled picture is too blurred or too coarse.
const RESCALE_MAX = 1.6;
// Below this a drawing fits into a frame and needs no picture.
const DIRECT_MS = 7;

export class Canvas2dRenderer implements Renderer {
  private readonly base: CanvasRenderingContext2D;
  private readonly overlay: CanvasRenderingContext2D;
  private readonly cache: CanvasRenderingContext2D;
  private cached: Viewport | null = null;
  private labels: readonly PlacedLabel[] = [];
  private lastMs = 0;
  private width = 0;
  private height = 0;
  private pixelRatio = 1;

  constructor(base: HTMLCanvasElement, overlay: HTMLCanvasElement) {
    this.base = context(base);
    this.overlay = context(overlay);
    this.cache = context(document.createElement('canvas'));
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.width = width;
    this.height = height;
    this.pixelRatio = pixelRatio;
    for (const ctx of [this.base, this.overlay]) {
      ctx.canvas.width = Math.round(width * pixelRatio);
      ctx.canvas.height = Math.round(height * pixelRatio);
    }
    this.cache.canvas.width = Math.round(width * CACHE_SCALE * pixelRatio);
    this.cache.canvas.height = Math.round(height * CACHE_SCALE * pixelRatio);
    this.cached = null;
  }

  invalidate(): void {
    this.cached = null;
  }

  draw(frame: Frame, moving: boolean): number {
    if (moving && this.cached && this.covers(this.cached, frame.viewport)) {
      this.blit(this.cached, frame.viewport);
      this.labels = [];
      return 0;
    }
    const start = performance.now();
    // What is cheap is drawn sharp in every frame.
    if (!moving || this.lastMs < DIRECT_MS) {
      this.cached = null;
      this.base.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
      this.labels = paint(this.base, frame);
    } else {
      this.cached = enlarged(frame.viewport);
      this.cache.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
      paint(this.cache, { ...frame, viewport: this.cached });
      // Where they are in the moved picture is not where they were put.
      this.labels = [];
      this.blit(this.cached, frame.viewport);
    }
    this.lastMs = performance.now() - start;
    return this.lastMs;
  }

  drawOverlay(frame: Frame, timeMs: number, animate: boolean): boolean {
    this.overlay.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    return paintOverlay(this.overlay, frame, this.labels, animate ? timeMs : 0) && animate;
  }

  private covers(cached: Viewport, view: Viewport): boolean {
    const scale = view.k / cached.k;
    if (scale > RESCALE_MAX || scale < 1 / RESCALE_MAX) return false;
    const left = view.x - cached.x * scale;
    const top = view.y - cached.y * scale;
    return (
      left <= 0 &&
      top <= 0 &&
      left + cached.width * scale >= view.width &&
      top + cached.height * scale >= view.height
    );
  }

  private blit(cached: Viewport, view: Viewport): void {
    const scale = view.k / cached.k;
    this.base.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    this.base.clearRect(0, 0, this.width, this.height);
    this.base.drawImage(
      this.cache.canvas,
      view.x - cached.x * scale,
      view.y - cached.y * scale,
      cached.width * scale,
      cached.height * scale,
    );
  }
}

function enlarged(view: Viewport): Viewport {
  const width = view.width * CACHE_SCALE;
  const height = view.height * CACHE_SCALE;
  return {
    k: view.k,
    x: view.x + (width - view.width) / 2,
    y: view.y + (height - view.height) / 2,
    width,
    height,
  };
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ctx = canvas.getContext('2d');
  if (!ctx) throw new Error('This browser has no 2D canvas.');
  return ctx;
}
