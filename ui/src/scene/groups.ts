// The groups of a scene: members, hull, worst health.

import { convexHull } from './hull';
import { HealthCode, NodeFlag, type Group } from './scene';

export const PADDING = 26;

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
  // Between the middle and the highest corner: near the top, and not far from the middle.
  const tabX = (centre.x + highest(hull)) / 2;
  const [top, bottom] = crossed(hull, tabX, padding);
  return {
    ...input,
    health,
    critical,
    hull,
    padding,
    x: centre.x,
    y: centre.y,
    radius: radius + padding,
    tabX,
    top,
    bottom,
  };
}

// Where a vertical line enters and leaves the border, which runs `padding` outside of the hull: arcs
// around the corners, and the sides moved outwards.
function crossed(hull: Float32Array, x: number, padding: number): [top: number, bottom: number] {
  let [top, bottom] = [Infinity, -Infinity];
  const include = (y: number) => {
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  };
  for (let i = 0; i < hull.length; i += 2) {
    const [ax, ay] = [hull[i]!, hull[i + 1]!];
    const [bx, by] = [hull[(i + 2) % hull.length]!, hull[(i + 3) % hull.length]!];
    const reach = padding ** 2 - (x - ax) ** 2;
    if (reach >= 0) {
      include(ay - Math.sqrt(reach));
      include(ay + Math.sqrt(reach));
    }
    const length = Math.hypot(bx - ax, by - ay);
    if (length === 0) continue;
    const [ox, oy] = [((by - ay) / length) * padding, (-(bx - ax) / length) * padding];
    const [x1, x2] = [ax + ox, bx + ox];
    if (x1 === x2 || Math.min(x1, x2) > x || Math.max(x1, x2) < x) continue;
    include(ay + oy + ((by - ay) * (x - x1)) / (x2 - x1));
  }
  return [top, bottom];
}

function highest(hull: Float32Array): number {
  let at = 0;
  for (let i = 2; i < hull.length; i += 2) if (hull[i + 1]! < hull[at + 1]!) at = i;
  return hull[at]!;
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
