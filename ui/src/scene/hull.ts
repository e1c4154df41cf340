// Convex hull of points given as x and y in turn (Andrew's monotone chain), counter-clockwise in a
// plane whose y grows downwards as on the screen it is clockwise; callers rely on one direction only.

export function convexHull(points: Float32Array): Float32Array {
  const count = points.length / 2;
  const order = Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => points[2 * a]! - points[2 * b]! || points[2 * a + 1]! - points[2 * b + 1]!,
  );
  if (count < 3) return flat(points, order);
  const lower = chain(points, order);
  const upper = chain(points, order.reverse());
  lower.pop();
  upper.pop();
  return flat(points, lower.concat(upper));
}

function chain(points: Float32Array, order: readonly number[]): number[] {
  const kept: number[] = [];
  for (const next of order) {
    while (kept.length >= 2 && turn(points, kept.at(-2)!, kept.at(-1)!, next) <= 0) kept.pop();
    kept.push(next);
  }
  return kept;
}

function turn(points: Float32Array, a: number, b: number, c: number): number {
  const [ax, ay] = [points[2 * a]!, points[2 * a + 1]!];
  return (
    (points[2 * b]! - ax) * (points[2 * c + 1]! - ay) - (points[2 * b + 1]! - ay) * (points[2 * c]! - ax)
  );
}

function flat(points: Float32Array, order: readonly number[]): Float32Array {
  const out = new Float32Array(order.length * 2);
  order.forEach((point, i) => {
    out[2 * i] = points[2 * point]!;
    out[2 * i + 1] = points[2 * point + 1]!;
  });
  return out;
}
