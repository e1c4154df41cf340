// Which back end draws the map.

import { Canvas2dRenderer } from './canvas2d';
import type { Renderer } from './renderer';
import { Webgl2Renderer } from './webgl2';

// Graphics cards that are programs: for them Canvas 2D is the faster one.
const SOFTWARE = /swiftshader|llvmpipe|softpipe|swrast|software|basic render|\bwarp\b/i;

export type RendererName = Renderer['name'];

// What the address asks for (`?renderer=`), else by what draws: its own description, null where there is
// none.
export function rendererFor(query: string, graphicsCard: string | null): RendererName {
  const asked = new URLSearchParams(query).get('renderer');
  if (asked === 'webgl2' || asked === 'canvas2d') return asked;
  return graphicsCard !== null && !SOFTWARE.test(graphicsCard) ? 'webgl2' : 'canvas2d';
}

function graphicsCard(): string | null {
  const gl = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true });
  if (!gl) return null;
  const named = gl.getExtension('WEBGL_debug_renderer_info');
  const name = String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return name;
}

let card: string | null | undefined;

// `onLost`: the graphics card is gone, and Canvas 2D has to go on.
export function makeRenderer(base: HTMLCanvasElement, overlay: HTMLCanvasElement, onLost: () => void): Renderer {
  if (card === undefined) card = graphicsCard();
  if (rendererFor(location.search, card) === 'webgl2') {
    try {
      return new Webgl2Renderer(base, overlay, onLost);
    } catch {
      // A driver that can't do what it says.
    }
  }
  return new Canvas2dRenderer(base, overlay);
}
