import { stretches, type Point } from '../lib/series';

interface SparklineProps {
  points: readonly Point[];
  // How much time the width is.
  spanMs: number;
  // What would be full; 0 where that is not known.
  max: number;
  color: string;
  width?: number;
  height?: number;
}

// Values over time, now at the right; a gap where nothing is known.
export function Sparkline({ points, spanMs, max, color, width = 128, height = 24 }: SparklineProps) {
  const lines = stretches(points);
  const top = lines.flat().reduce((most, { value }) => Math.max(most, value), 1e-9);
  // A line far below its limit would be flat; then its own peak is the scale.
  const scale = max > 0 && top > max * 0.25 ? Math.max(max, top) : top * 1.25;
  const x = (ageMs: number) => (width * (1 - Math.max(0, ageMs) / spanMs)).toFixed(1);
  const y = (value: number) => height - 1.5 - (Math.max(0, value) / scale) * (height - 4);
  const limit = max > 0 && scale === max ? y(max) : null;
  return (
    <svg width={width} height={height} aria-hidden style={{ flex: 'none' }}>
      <path d={`M0 ${height - 0.5}H${width}`} stroke="var(--line)" />
      {limit !== null && <path d={`M0 ${limit}H${width}`} stroke="var(--text-3)" strokeDasharray="3 3" opacity="0.6" />}
      {lines.map((known, i) => {
        const [first, last] = [known[0]!, known.at(-1)!];
        if (known.length === 1) {
          const cx = Math.min(Number(x(first.ageMs)), width - 2);
          return <circle key={i} cx={cx} cy={y(first.value)} r="1.6" fill={color} />;
        }
        const drawn = known.map(({ ageMs, value }) => `${x(ageMs)},${y(value).toFixed(1)}`);
        return (
          <g key={i}>
            <path
              d={`M${x(first.ageMs)},${height}L${drawn.join('L')}L${x(last.ageMs)},${height}Z`}
              fill={color}
              opacity="0.18"
            />
            <polyline points={drawn.join(' ')} fill="none" stroke={color} strokeWidth="1.4" strokeLinejoin="round" />
          </g>
        );
      })}
    </svg>
  );
}
