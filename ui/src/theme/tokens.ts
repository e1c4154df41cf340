// The look, once: the page reads these as CSS custom properties, the canvas as plain values.
// Colours were searched so that every two states stay apart under protanopia, deuteranopia and
// tritanopia; contrast of text is at least 4.5 on all three grounds, 7 in the high-contrast theme, whose
// lines count as well (3). `tokens.test.ts` holds all of it.

export const THEMES = ['dark', 'light', 'contrast'] as const;
export type ThemeName = (typeof THEMES)[number];

export interface Palette {
  background: string;
  surface: string;
  raised: string;
  line: string;
  lineStrong: string;
  text1: string;
  text2: string;
  text3: string;
  accent: string;
  onAccent: string;
  ok: string;
  okText: string;
  warning: string;
  warningText: string;
  critical: string;
  criticalText: string;
  unknown: string;
  unknownText: string;
  // The signs on marks: "!" on a warning, "!" and "?" on the other two.
  onWarning: string;
  onMark: string;
}

export const palettes: Record<ThemeName, Palette> = {
  dark: {
    background: '#0D1117',
    surface: '#131922',
    raised: '#1A222D',
    line: '#252F3C',
    lineStrong: '#334050',
    text1: '#E6EAF0',
    text2: '#A9B3C2',
    text3: '#7F8A9C',
    accent: '#6CB2FF',
    onAccent: '#0A1420',
    ok: '#52CFB9',
    okText: '#52CFB9',
    warning: '#FDD35F',
    warningText: '#FDD35F',
    critical: '#ED414F',
    criticalText: '#FF7B84',
    unknown: '#6A768A',
    unknownText: '#A9B3C2',
    onWarning: '#0D1117',
    onMark: '#FFFFFF',
  },
  light: {
    background: '#F5F6F8',
    surface: '#FFFFFF',
    raised: '#F0F2F5',
    line: '#DFE3E9',
    lineStrong: '#C6CDD7',
    text1: '#161B22',
    text2: '#4B5563',
    text3: '#626D7D',
    accent: '#1F66D1',
    onAccent: '#FFFFFF',
    ok: '#0E9784',
    okText: '#0A6F61',
    warning: '#C67D06',
    warningText: '#8A5600',
    critical: '#A11016',
    criticalText: '#A11016',
    unknown: '#414B5C',
    unknownText: '#414B5C',
    onWarning: '#FFFFFF',
    onMark: '#FFFFFF',
  },
  contrast: {
    background: '#000000',
    surface: '#000000',
    raised: '#1C1C1C',
    line: '#767676',
    lineStrong: '#BFBFBF',
    text1: '#FFFFFF',
    text2: '#F0F0F0',
    text3: '#D0D0D0',
    accent: '#6FC8FF',
    onAccent: '#000000',
    ok: '#5CFFE0',
    okText: '#5CFFE0',
    warning: '#FFE14D',
    warningText: '#FFE14D',
    critical: '#FF5A64',
    criticalText: '#FF9CA2',
    unknown: '#7B8496',
    unknownText: '#E0E0E0',
    onWarning: '#000000',
    onMark: '#000000',
  },
};

export const fonts = {
  text: "'Inter Variable', Inter, system-ui, -apple-system, 'Segoe UI', sans-serif",
  mono: "'JetBrains Mono Variable', 'JetBrains Mono', ui-monospace, 'SF Mono', Menlo, monospace",
};

const dashed = (name: string) => name.replace(/[A-Z0-9]/g, (letter) => `-${letter.toLowerCase()}`);

// The palette as declarations of custom properties: `--text-1: #...;`.
export function customProperties(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, value]) => `--${dashed(name)}: ${value};`)
    .join('\n');
}
