// The page's few icons, drawn on a 16-pixel grid in the current colour.

import type { ReactNode } from 'react';
import { CYLINDER, OUTLINES } from '../render/outline';
import { Shape } from '../scene/scene';

interface IconProps {
  size?: number;
  title?: string;
}

function Icon({ size = 16, title, children }: IconProps & { children: ReactNode }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      role={title ? 'img' : undefined}
      aria-label={title}
      aria-hidden={title ? undefined : true}
      style={{ flex: 'none', display: 'block' }}
    >
      {children}
    </svg>
  );
}

export const SearchIcon = (props: IconProps) => (
  <Icon {...props}>
    <circle cx="7" cy="7" r="4.5" />
    <path d="m10.5 10.5 3.5 3.5" />
  </Icon>
);

export const SignOutIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M6.5 2.5h-4v11h4" />
    <path d="M6.5 8h7m-3-3 3 3-3 3" />
  </Icon>
);

export const PinIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M5.5 2.5h5l-.75 4.5 2.25 2.5h-8L6.25 7z" />
    <path d="M8 9.5V14" />
  </Icon>
);

export const PauseIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M5.5 3.5v9M10.5 3.5v9" />
  </Icon>
);

export const PlayIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="m5 3 7.5 5L5 13z" />
  </Icon>
);

export const WindowIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M9.5 2.5h4v4M13.5 2.5 8 8M7 3.5H2.5v10h10V9" />
  </Icon>
);

export const CloseIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="m4 4 8 8M12 4l-8 8" />
  </Icon>
);

export const ChevronIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="m6 4 4 4-4 4" />
  </Icon>
);

export const PlusIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M8 3.5v9M3.5 8h9" />
  </Icon>
);

export const MinusIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M3.5 8h9" />
  </Icon>
);

export const FitIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M9.8 6.2 13 3M13 6V3h-3M6.2 9.8 3 13M3 10v3h3" />
  </Icon>
);

export const SunIcon = (props: IconProps) => (
  <Icon {...props}>
    <circle cx="8" cy="8" r="2.75" />
    <path d="M8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M3.6 12.4l1-1M11.4 4.6l1-1" />
  </Icon>
);

export const MoonIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M13 9.6A5.4 5.4 0 0 1 6.4 3a5.4 5.4 0 1 0 6.6 6.6Z" />
  </Icon>
);

export const ContrastIcon = (props: IconProps) => (
  <Icon {...props}>
    <circle cx="8" cy="8" r="5.5" />
    <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" />
  </Icon>
);

export const MenuIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" />
  </Icon>
);

export const ShareIcon = (props: IconProps) => (
  <Icon {...props}>
    <path d="M8 9.5v-7M5.3 5 8 2.3 10.7 5M3 8.5V13h10V8.5" />
  </Icon>
);

export const KeyboardIcon = (props: IconProps) => (
  <Icon {...props}>
    <rect x="1.5" y="4" width="13" height="8.5" rx="1.5" />
    <path d="M4.5 6.8v.01M7 6.8v.01M9.2 6.8v.01M11.5 6.8v.01M5 9.8h6" />
  </Icon>
);

export const InfoIcon = (props: IconProps) => (
  <Icon {...props}>
    <circle cx="8" cy="8" r="6" />
    <path d="M8 7.3v3.6M8 5v.1" />
  </Icon>
);

export function Brand() {
  return (
    <svg width="22" height="22" viewBox="0 0 24 24" fill="none" aria-hidden style={{ flex: 'none' }}>
      <g stroke="var(--accent)" strokeWidth="1.8" strokeLinejoin="round" strokeLinecap="round">
        <path d="M12 2.2 20.5 7v10L12 21.8 3.5 17V7z" />
        <path d="M12 10V6.6M13.8 13l2.9 1.7M10.2 13l-2.9 1.7" />
      </g>
      <circle cx="12" cy="12" r="2.4" fill="var(--accent)" />
    </svg>
  );
}

const SIGN = { fontSize: 9.5, fontWeight: 800, textAnchor: 'middle' } as const;

// The same forms as the badges of the map.
export function HealthIcon({ health, size = 15 }: { health: string; size?: number }) {
  const props = { width: size, height: size, viewBox: '0 0 16 16', 'aria-hidden': true, style: { flex: 'none' } };
  switch (health) {
    case 'ok':
      return (
        <svg {...props}>
          <circle cx="8" cy="8" r="4.5" fill="var(--ok)" />
        </svg>
      );
    case 'ended':
      return (
        <svg {...props}>
          <circle cx="8" cy="8" r="4" fill="none" stroke="var(--text-3)" strokeWidth="1.5" strokeDasharray="2.5 2" />
        </svg>
      );
    case 'warning':
      return (
        <svg {...props}>
          <path d="M8 1.6 15 14H1z" fill="var(--warning)" stroke="var(--warning)" strokeLinejoin="round" />
          <text x="8" y="12.4" fill="var(--on-warning)" style={SIGN}>!</text>
        </svg>
      );
    case 'critical':
      return (
        <svg {...props}>
          <path d="M5.2 1h5.6L15 5.2v5.6L10.8 15H5.2L1 10.8V5.2z" fill="var(--critical)" />
          <text x="8" y="11.4" fill="var(--on-mark)" style={SIGN}>!</text>
        </svg>
      );
    default:
      return (
        <svg {...props}>
          <circle cx="8" cy="8" r="6.5" fill="var(--unknown)" />
          <text x="8" y="11.4" fill="var(--on-mark)" style={SIGN}>?</text>
        </svg>
      );
  }
}

// A node's shape, as the map draws it.
export function ShapeIcon({ shape, size = 14, color = 'currentColor' }: { shape: Shape; size?: number; color?: string }) {
  const points = OUTLINES[shape];
  const path = points.reduce(
    (text, value, i) => text + (i % 2 === 0 ? `${i === 0 ? 'M' : 'L'}${value.toFixed(3)} ` : `${value.toFixed(3)}`),
    '',
  );
  const { halfWidth, halfHeight, lid } = CYLINDER;
  return (
    <svg width={size} height={size} viewBox="-1.3 -1.3 2.6 2.6" fill="none" aria-hidden style={{ flex: 'none' }}>
      <g stroke={color} strokeWidth="0.22" strokeLinejoin="round">
        <path d={`${path}Z`} />
        {shape === Shape.Cylinder && (
          <path d={`M${-halfWidth} ${-halfHeight}A${halfWidth} ${lid} 0 0 0 ${halfWidth} ${-halfHeight}`} />
        )}
      </g>
    </svg>
  );
}
