// The WebGL2 back end, for a real GPU: nodes, edges and groups are drawn there, so that every frame is
// sharp however the map moves. Text lies on a 2D canvas above.

import { CachedLayer, context, sizeTo } from './layer';
import { paintText, planOf } from './paint';
import { bundleStrokes, edgeStrokes, hasArrows } from './paint-edges';
import type { PlacedLabel } from './paint-labels';
import { paintOverlay } from './paint-overlay';
import type { Frame, Renderer } from './renderer';
import { HullLayer } from './webgl/hulls';
import { LineLayer } from './webgl/lines';
import { NodeLayer } from './webgl/nodes';
import type { Gl } from './webgl/program';

export class Webgl2Renderer implements Renderer {
  readonly name = 'webgl2';
  readonly layers: readonly HTMLCanvasElement[];
  private readonly canvas = document.createElement('canvas');
  private readonly gl: Gl;
  private readonly nodes: NodeLayer;
  private readonly lines: LineLayer;
  private readonly hulls: HullLayer;
  private readonly text: CachedLayer;
  private readonly overlay: CanvasRenderingContext2D;
  private labels: readonly PlacedLabel[] = [];
  private pixelRatio = 1;

  // Its own canvas goes below `base`, which holds the text. `onLost` is called when the graphics card
  // is taken away (it sleeps, its driver fails, too many pages want it).
  constructor(base: HTMLCanvasElement, overlay: HTMLCanvasElement, onLost: () => void) {
    const gl = this.canvas.getContext('webgl2', { antialias: true, premultipliedAlpha: true });
    if (!gl) throw new Error('This browser has no WebGL2.');
    this.gl = gl;
    this.nodes = new NodeLayer(gl);
    this.lines = new LineLayer(gl);
    this.hulls = new HullLayer(gl);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.text = new CachedLayer(context(base));
    this.overlay = context(overlay);
    base.before(this.canvas);
    this.canvas.addEventListener('webglcontextlost', onLost);
    this.layers = [this.canvas, base, overlay];
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.pixelRatio = pixelRatio;
    sizeTo(this.canvas, width, height, pixelRatio);
    this.text.resize(width, height, pixelRatio);
    sizeTo(this.overlay.canvas, width, height, pixelRatio);
    this.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  invalidate(): void {
    this.nodes.invalidate();
    this.text.invalidate();
  }

  draw(frame: Frame, moving: boolean): number {
    const start = performance.now();
    const plan = planOf(frame);
    const { gl, lines } = this;
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (plan.bundled) lines.drawCurves(frame, bundleStrokes(frame));
    this.hulls.draw(frame);
    if (!plan.bundled) {
      const strokes = edgeStrokes(frame);
      lines.drawCurves(frame, strokes);
      if (hasArrows(frame)) lines.drawHeads(frame, strokes);
    }
    if (plan.near) this.nodes.drawShapes(frame);
    else {
      this.nodes.drawDots(frame, this.pixelRatio);
      this.nodes.drawFew(frame, plan.landmarks, plan.radiusMin);
    }
    let labels: readonly PlacedLabel[] = [];
    const { inPlace } = this.text.draw(frame.viewport, moving, (ctx, viewport) => {
      ctx.clearRect(0, 0, viewport.width, viewport.height);
      const seen = { ...frame, viewport };
      labels = paintText(ctx, seen, viewport === frame.viewport ? plan : planOf(seen));
    });
    this.labels = inPlace ? labels : [];
    return performance.now() - start;
  }

  drawOverlay(frame: Frame, timeMs: number, animate: boolean): boolean {
    this.overlay.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    return paintOverlay(this.overlay, frame, this.labels, animate ? timeMs : 0) && animate;
  }

  destroy(): void {
    this.labels = [];
    this.canvas.remove();
    // Browsers allow a page few of them.
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}
