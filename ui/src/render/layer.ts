// A 2D canvas whose picture is moved and scaled while a gesture lasts, instead of drawn again.

import type { Viewport } from './renderer';

const CACHE_SCALE = 1.4;
// Beyond this change of zoom the scaled picture is too blurred or too coarse.
const RESCALE_MAX = 1.6;
// Below this a drawing fits into a frame and needs no picture.
const DIRECT_MS = 7;

export class CachedLayer {
  private readonly cache: CanvasRenderingContext2D;
  private cached: Viewport | null = null;
  private lastMs = 0;
  private width = 0;
  private height = 0;
  private pixelRatio = 1;

  constructor(readonly ctx: CanvasRenderingContext2D) {
    this.cache = context(document.createElement('canvas'));
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.width = width;
    this.height = height;
    this.pixelRatio = pixelRatio;
    sizeTo(this.ctx.canvas, width, height, pixelRatio);
    sizeTo(this.cache.canvas, width * CACHE_SCALE, height * CACHE_SCALE, pixelRatio);
    this.cached = null;
  }

  invalidate(): void {
    this.cached = null;
  }

  // Shows what `paint` draws, or an earlier drawing of it. Returns the milliseconds that it took, 0 for
  // an earlier one, and whether what is seen lies where it was painted.
  draw(
    viewport: Viewport,
    moving: boolean,
    paint: (ctx: CanvasRenderingContext2D, viewport: Viewport) => void,
  ): { ms: number; inPlace: boolean } {
    if (moving && this.cached && covers(this.cached, viewport)) {
      this.blit(this.cached, viewport);
      return { ms: 0, inPlace: false };
    }
    const start = performance.now();
    // What is cheap is drawn sharp in every frame.
    const inPlace = !moving || this.lastMs < DIRECT_MS;
    if (inPlace) {
      this.cached = null;
      this.ctx.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
      paint(this.ctx, viewport);
    } else {
      this.cached = enlarged(viewport);
      this.cache.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
      paint(this.cache, this.cached);
      this.blit(this.cached, viewport);
    }
    this.lastMs = performance.now() - start;
    return { ms: this.lastMs, inPlace };
  }

  private blit(cached: Viewport, view: Viewport): void {
    const scale = view.k / cached.k;
    this.ctx.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    this.ctx.clearRect(0, 0, this.width, this.height);
    this.ctx.drawImage(
      this.cache.canvas,
      view.x - cached.x * scale,
      view.y - cached.y * scale,
      cached.width * scale,
      cached.height * scale,
    );
  }
}

function covers(cached: Viewport, view: Viewport): boolean {
  const scale = view.k / cached.k;
  if (scale > RESCALE_MAX || scale < 1 / RESCALE_MAX) return false;
  const left = view.x - cached.x * scale;
  const top = view.y - cached.y * scale;
  return (
    left <= 0 && top <= 0 && left + cached.width * scale >= view.width && top + cached.height * scale >= view.height
  );
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

export function sizeTo(canvas: HTMLCanvasElement, width: number, height: number, pixelRatio: number): void {
  canvas.width = Math.round(width * pixelRatio);
  canvas.height = Math.round(height * pixelRatio);
}

export function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ctx = canvas.getContext('2d');
  if (!ctx) throw new Error('This browser has no 2D canvas.');
  return ctx;
}
