import { describe, expect, it } from 'vitest';
import { customProperties, palettes, type Palette } from './tokens';

function luminance(hex: string): number {
  const channel = (from: number) => {
    const value = Number.parseInt(hex.slice(from, from + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each(Object.entries(palettes))('%s', (_, palette: Palette) => {
  it('has text that can be read on every ground', () => {
    const texts = [palette.text1, palette.text2, palette.text3, palette.okText, palette.warningText, palette.criticalText];
    for (const ground of [palette.background, palette.surface, palette.raised]) {
      for (const text of texts) expect(contrast(text, ground)).toBeGreaterThanOrEqual(4.5);
    }
    expect(contrast(palette.onAccent, palette.accent)).toBeGreaterThanOrEqual(4.5);
  });

  it('has marks that stand off the ground', () => {
    for (const mark of [palette.ok, palette.warning, palette.critical, palette.unknown]) {
      expect(contrast(mark, palette.background)).toBeGreaterThanOrEqual(3);
    }
  });
});

describe('customProperties', () => {
  it('writes names as CSS does', () => {
    const css = customProperties(palettes.dark);
    expect(css).toContain('--text-1: #E6EAF0;');
    expect(css).toContain('--line-strong: #334050;');
    expect(css).toContain('--on-accent: #0A1420;');
  });
});
