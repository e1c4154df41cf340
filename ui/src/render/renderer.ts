// What every back end does. A back end holds no state of the page: it is told the scene, the view and
// what to emphasise, and draws.

import type { Scene } from '../scene/scene';
import type { Palette } from '../theme/tokens';

// screen = world * k + (x, y), in CSS pixels.
export interface Viewport {
  k: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Emphasis {
  // Node indexes, -1 for none.
  selected: number;
  hovered: number;
  focused: number;
  // Marked to be acted on together.
  marked: readonly number[];
  // 1 for each node that the search or filter means; null when nothing is searched.
  matches: Uint8Array | null;
}

export interface Frame {
  scene: Scene;
  viewport: Viewport;
  emphasis: Emphasis;
  palette: Palette;
}

export interface Renderer {
  readonly name: 'canvas2d' | 'webgl2';
  // Back to front, for a picture of the map.
  readonly layers: readonly HTMLCanvasElement[];
  resize(width: number, height: number, pixelRatio: number): void;
  // Draws the scene. `moving` allows a scaled picture of an earlier frame while a gesture lasts.
  // Returns the milliseconds of a full drawing, or 0 when an earlier one was reused.
  draw(frame: Frame, moving: boolean): number;
  // Draws what moves or follows the pointer, over the scene. True when it wants another frame.
  drawOverlay(frame: Frame, timeMs: number, animate: boolean): boolean;
  // The next drawing starts afresh.
  invalidate(): void;
  // It draws no more.
  destroy(): void;
}
