// The map as SVG: painted as on the screen, on a context that writes down what it is told.

import { fonts } from '../theme/tokens';
import { paint } from './paint';
import type { Frame } from './renderer';

const CAPTION_PX = 30;

export async function drawingOf(frame: Frame, caption: string): Promise<Blob> {
  // Few need it.
  const { Context } = await import('svgcanvas');
  const { palette, viewport } = frame;
  const { width, height } = viewport;
  const svg = new Context(width, height + CAPTION_PX);
  // It has what the painters use of a canvas.
  const ctx = svg as unknown as CanvasRenderingContext2D;
  paint(grounded(ctx, palette.background), frame);
  ctx.fillStyle = palette.surface;
  ctx.fillRect(0, height, width, CAPTION_PX);
  ctx.fillStyle = palette.text2;
  ctx.font = `400 12px ${fonts.text}`;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  ctx.fillText(caption, 14, height + CAPTION_PX / 2);
  return new Blob([svg.getSerializedSvg(true)], { type: 'image/svg+xml' });
}

// What clears the screen lays the ground of a file.
function grounded(ctx: CanvasRenderingContext2D, background: string): CanvasRenderingContext2D {
  ctx.clearRect = (x, y, width, height) => {
    ctx.fillStyle = background;
    ctx.fillRect(x, y, width, height);
  };
  return ctx;
}
