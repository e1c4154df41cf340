// The page's palette as the colours of a terminal.

import type { ITheme } from '@xterm/xterm';
import type { Palette, ThemeName } from './tokens';

// Programs choose colours without knowing the ground; the terminal draws them so that they can be read.
export function contrastOf(theme: ThemeName): number {
  return theme === 'contrast' ? 7 : 4.5;
}

export function terminalTheme(palette: Palette): ITheme {
  const { background, text1, text2, text3, accent, okText, warningText, criticalText, raised } = palette;
  return {
    background,
    foreground: text1,
    cursor: accent,
    cursorAccent: palette.onAccent,
    selectionBackground: accent,
    selectionForeground: palette.onAccent,
    selectionInactiveBackground: raised,
    black: palette.lineStrong,
    red: criticalText,
    green: okText,
    yellow: warningText,
    blue: accent,
    magenta: palette.critical,
    cyan: palette.ok,
    white: text2,
    brightBlack: text3,
    brightRed: criticalText,
    brightGreen: okText,
    brightYellow: warningText,
    brightBlue: accent,
    brightMagenta: palette.critical,
    brightCyan: palette.ok,
    brightWhite: text1,
  };
}
