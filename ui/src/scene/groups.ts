// The groups of a scene: members, hull, worst health.

import { convexHull } from './hull';
import { HealthCode, NodeFlag, type Group } from './scene';

const PADDING = 26;

export interface GroupInput {
  id: string;
  label: string;
  members: number[];
}

const SEVERITY: Record<HealthCode, number> = {
  [HealthCode.Ok]: 0,
  [HealthCode.Unknown]: 1,
  [HealthCode.Warning]: 2,
  [HealthCode.Critical]: 3,
};

export function finishGroup(
  input: GroupInput,
  nodes: { x: Float32Array; y: Float32Array; radius: Float32Array; health: Uint8Array; flags: Uint8Array },
): Group {
  const points = new Float32Array(input.members.length * 2);
  let largest = 0;
  let health: HealthCode = HealthCode.Ok;
  let critical = 0;
  input.members.forEach((node, i) => {
    points[2 * i] = nodes.x[node]!;
    points[2 * i + 1] = nodes.y[node]!;
    largest = Math.max(largest, nodes.radius[node]!);
    // What has ended no longer makes its group sick.
    if ((nodes.flags[node]! & NodeFlag.Ended) !== 0) return;
    const code = nodes.health[node] as HealthCode;
    if (code === HealthCode.Critical) critical += 1;
    if (SEVERITY[code] > SEVERITY[health]) health = code;
  });
  const hull = convexHull(points);
  const centre = middle(hull);
  const padding = largest + PADDING;
  let radius = 0;
  for (let i = 0; i < hull.length; i += 2) {
    radius = Math.max(radius, Math.hypot(hull[i]! - centre.x, hull[i + 1]! - centre.y));
  }
  const [top, bottom] = crossed(hull, centre.x);
  return {
    ...input,
    health,
    critical,
    hull,
    padding,
    x: centre.x,
    y: centre.y,
    radius: radius + padding,
    top: top - padding,
    bottom: bottom + padding,
  };
}

// Where a vertical line enters and leaves the hull.
function crossed(hull: Float32Array, x: number): [top: number, bottom: number] {
  let [top, bottom] = [Infinity, -Infinity];
  for (let i = 0; i < hull.length; i += 2) {
    const [ax, ay] = [hull[i]!, hull[i + 1]!];
    const [bx, by] = [hull[(i + 2) % hull.length]!, hull[(i + 3) % hull.length]!];
    if (Math.min(ax, bx) > x || Math.max(ax, bx) < x) continue;
    const ys = ax === bx ? [ay, by] : [ay + ((by - ay) * (x - ax)) / (bx - ax)];
    top = Math.min(top, ...ys);
    bottom = Math.max(bottom, ...ys);
  }
  return [top, bottom];
}

function middle(hull: Float32Array): { x: number; y: number } {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < hull.length; i += 2) {
    left = Math.min(left, hull[i]!);
    right = Math.max(right, hull[i]!);
    top = Math.min(top, hull[i + 1]!);
    bottom = Math.max(bottom, hull[i + 1]!);
  }
  return { x: (left + right) / 2, y: (top + bottom) / 2 };
}
