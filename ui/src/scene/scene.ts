// What is to be drawn, in typed arrays: built from the view, read by every renderer. Positions are
// in world units (pixels at zoom 1).

export const Shape = {
  Circle: 0,
  Hexagon: 1,
  Square: 2,
  Diamond: 3,
  Cylinder: 4,
  Pill: 5,
  Cloud: 6,
} as const;
export type Shape = (typeof Shape)[keyof typeof Shape];

export const HealthCode = { Ok: 0, Warning: 1, Critical: 2, Unknown: 3 } as const;
export type HealthCode = (typeof HealthCode)[keyof typeof HealthCode];

export const NodeFlag = {
  // Has ended and is kept for a while.
  Ended: 1,
  // Stands for something that no agent sees.
  Pseudo: 2,
  // Its events are capped: what is drawn of it is not all.
  Throttled: 4,
} as const;

export const EdgeFlag = {
  // Most attempts fail.
  Failing: 1,
  // Nothing open and nothing moving.
  Idle: 2,
  // One end has ended: what is left of it is history.
  Past: 4,
} as const;

export interface Group {
  id: string;
  label: string;
  // Indexes of its nodes.
  members: number[];
  health: HealthCode;
  critical: number;
  // Convex hull of its nodes, x and y in turn, counter-clockwise; may be a point or a line.
  hull: Float32Array;
  // How far outside of the hull the border runs.
  padding: number;
  x: number;
  y: number;
  // Radius of the circle around everything.
  radius: number;
  // Where its tab hangs, and the border above and below that.
  tabX: number;
  top: number;
  bottom: number;
}

// All traffic between two ends, in both directions. An end is a group, by its index, or a node outside
// of any group, by the negative of its index less one.
export interface Bundle {
  a: number;
  b: number;
  weight: number;
  edges: number;
  failing: number;
}

export interface Bounds {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Scene {
  view: string;
  ids: readonly string[];
  index: ReadonlyMap<string, number>;
  x: Float32Array;
  y: Float32Array;
  radius: Float32Array;
  shape: Uint8Array;
  health: Uint8Array;
  flags: Uint8Array;
  // Level of the liquid, 0 to 1; negative where the metric is not known.
  fill: Float32Array;
  // Index into `groups`, or -1.
  group: Int32Array;
  labels: readonly string[];
  // The metric in words, for the second line of a label.
  values: readonly string[];
  groups: readonly Group[];

  edgeIds: readonly string[];
  edgeSource: Uint32Array;
  edgeTarget: Uint32Array;
  // Pixels at zoom 1.
  edgeWidth: Float32Array;
  edgeFlags: Uint8Array;
  // 0 for the first edge from one node to another, 1 for the next (another protocol), ...
  edgeLane: Uint8Array;
  // Edge indexes, the heaviest first.
  edgesByWeight: Uint32Array;
  // Edges of each node: indexes into `incident` from incidentStart[n] to incidentStart[n + 1].
  incidentStart: Uint32Array;
  incident: Uint32Array;

  // Heaviest first.
  bundles: readonly Bundle[];
  bounds: Bounds;
}
