import { HealthCode } from '../scene/scene';
import type { Palette } from '../theme/tokens';

// "#RRGGBB" with an opacity.
export function withAlpha(hex: string, alpha: number): string {
  const value = Number.parseInt(hex.slice(1), 16);
  return `rgba(${value >> 16}, ${(value >> 8) & 255}, ${value & 255}, ${alpha})`;
}

export function healthColor(palette: Palette, health: number): string {
  switch (health) {
    case HealthCode.Ok:
      return palette.ok;
    case HealthCode.Warning:
      return palette.warning;
    case HealthCode.Critical:
      return palette.critical;
    default:
      return palette.unknown;
  }
}
