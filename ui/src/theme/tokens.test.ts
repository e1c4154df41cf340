import { describe, expect, it } from 'vitest';
import { customProperties, palettes, type Palette, type ThemeName } from './tokens';
import { themeOf } from './useTheme';
import { ciede2000, contrast, difference, type Vision } from './vision';

// [text, marks, lines]
const LEAST: Record<ThemeName, [number, number, number]> = {
  dark: [4.5, 3, 1],
  light: [4.5, 3, 1],
  contrast: [7, 4.5, 3],
};
const VISIONS: readonly Vision[] = ['normal', 'protan', 'deutan', 'tritan'];

describe.each(Object.entries(palettes) as [ThemeName, Palette][])('%s', (name, palette) => {
  const [text, mark, line] = LEAST[name];
  const grounds = [palette.background, palette.surface, palette.raised];
  const states = [palette.ok, palette.warning, palette.critical, palette.unknown];

  it('has text that can be read on every ground', () => {
    const { text1, text2, text3, okText, warningText, criticalText, unknownText } = palette;
    for (const ground of grounds) {
      for (const color of [text1, text2, text3, okText, warningText, criticalText, unknownText]) {
        expect(contrast(color, ground)).toBeGreaterThanOrEqual(text);
      }
    }
    expect(contrast(palette.onAccent, palette.accent)).toBeGreaterThanOrEqual(text);
  });

  it('has marks and lines that stand off the ground, and signs that stand off the marks', () => {
    for (const color of states) expect(contrast(color, palette.background)).toBeGreaterThanOrEqual(mark);
    for (const color of [palette.line, palette.lineStrong]) {
      expect(contrast(color, palette.background)).toBeGreaterThanOrEqual(line);
    }
    // The focus ring.
    for (const ground of grounds) expect(contrast(palette.accent, ground)).toBeGreaterThanOrEqual(3);
    expect(contrast(palette.onWarning, palette.warning)).toBeGreaterThanOrEqual(3);
    for (const color of [palette.critical, palette.unknown]) {
      expect(contrast(palette.onMark, color)).toBeGreaterThanOrEqual(3);
    }
  });

  it.each(VISIONS)('has states that cannot be mistaken for each other (%s)', (vision) => {
    states.forEach((one, i) => {
      for (const other of states.slice(i + 1)) expect(difference(one, other, vision)).toBeGreaterThan(18);
    });
  });
});

describe('ciede2000', () => {
  it('agrees with the published test data', () => {
    // Sharma, Wu and Dalal 2005, table 1, pairs 1, 9, 17 and 25.
    expect(ciede2000([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 3);
    expect(ciede2000([50, 2.49, -0.001], [50, -2.49, 0.0009])).toBeCloseTo(7.1792, 3);
    expect(ciede2000([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 3);
    expect(ciede2000([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387])).toBeCloseTo(1.2644, 3);
  });
});

describe('the theme in force', () => {
  it('is the choice, else what the system asks for', () => {
    expect(themeOf('light', { light: false, contrast: true })).toBe('light');
    expect(themeOf('system', { light: true, contrast: false })).toBe('light');
    expect(themeOf('system', { light: true, contrast: true })).toBe('contrast');
    expect(themeOf('system', { light: false, contrast: false })).toBe('dark');
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
