import { HISTORY_SAMPLES } from '../store/history';

interface SparklineProps {
  values: readonly number[];
  // What would be full; 0 where that is not known.
  max: number;
  color: string;
  width?: number;
  height?: number;
}

// The last minute and a half; grows from the right until it is full.
export function Sparkline({ values, max, color, width = 128, height = 24 }: SparklineProps) {
  const top = Math.max(...values, 1e-9);
  // A line far below its limit would be flat; then its own peak is the scale.
  const scale = max > 0 && top > max * 0.25 ? Math.max(max, top) : top * 1.25;
  const step = width / (HISTORY_SAMPLES - 1);
  const x = (i: number) => width - (values.length - 1 - i) * step;
  const y = (value: number) => height - 1.5 - (Math.max(0, value) / scale) * (height - 4);
  const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
  const limit = max > 0 && scale === max ? y(max) : null;
  return (
    <svg width={width} height={height} aria-hidden style={{ flex: 'none' }}>
      <path d={`M0 ${height - 0.5}H${width}`} stroke="var(--line)" />
      {limit !== null && <path d={`M0 ${limit}H${width}`} stroke="var(--text-3)" strokeDasharray="3 3" opacity="0.6" />}
      {points.length > 1 && (
        <>
          <path d={`M${x(0)},${height}L${points.join('L')}L${width},${height}Z`} fill={color} opacity="0.18" />
          <polyline points={points.join(' ')} fill="none" stroke={color} strokeWidth="1.4" strokeLinejoin="round" />
        </>
      )}
      {points.length === 1 && <circle cx={width - 2} cy={y(values[0]!)} r="1.6" fill={color} />}
    </svg>
  );
}
