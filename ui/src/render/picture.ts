// The map as a file: its layers on their ground, with a line below that says what it shows.

import { fonts, type Palette } from '../theme/tokens';

const CAPTION_PX = 30;

export function pictureOf(
  layers: readonly HTMLCanvasElement[],
  palette: Palette,
  pixelRatio: number,
  caption: string,
): Promise<Blob> {
  const { width, height } = layers[0]!;
  const foot = Math.round(CAPTION_PX * pixelRatio);
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height + foot;
  const ctx = canvas.getContext('2d')!;
  ctx.fillStyle = palette.background;
  ctx.fillRect(0, 0, width, height + foot);
  for (const layer of layers) ctx.drawImage(layer, 0, 0);
  ctx.fillStyle = palette.surface;
  ctx.fillRect(0, height, width, foot);
  ctx.fillStyle = palette.text2;
  ctx.font = `400 ${12 * pixelRatio}px ${fonts.text}`;
  ctx.textBaseline = 'middle';
  ctx.fillText(caption, 14 * pixelRatio, height + foot / 2, width - 28 * pixelRatio);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser made no picture.'))), 'image/png');
  });
}
