// One whole picture, back to front. What is drawn depends on how near it is.

import { NodeFlag } from '../scene/scene';
import { paintBadges } from './badge';
import { radiusScale } from './geometry';
import { paintBundles, paintEdges } from './paint-edges';
import { paintHulls, paintTabs } from './paint-groups';
import { paintLabels, type PlacedLabel } from './paint-labels';
import { paintDots, paintNodes, visibleNodes } from './paint-nodes';
import type { Frame } from './renderer';

// A node smaller than this is a dot: its ring and level could not be read.
const SHAPES_FROM_RADIUS_PX = 4.2;
const TYPICAL_RADIUS = 12;
// Up to so many nodes and edges everything can be drawn one by one at any zoom.
const SHAPES_MAX = 1_400;
const SINGLE_EDGES_MAX = 900;
const LANDMARKS_MAX = 40;
const LANDMARK_RADIUS_PX = 9;

// What a picture consists of, for every back end.
export interface Plan {
  visible: number[];
  // Nodes are shapes, else dots.
  near: boolean;
  // Edges are sums between groups.
  bundled: boolean;
  // Drawn as shapes however far away.
  landmarks: number[];
  // The least radius of those.
  radiusMin: number;
}

export function planOf(frame: Frame): Plan {
  const { scene, viewport } = frame;
  const visible = visibleNodes(frame);
  const near = TYPICAL_RADIUS * radiusScale(viewport.k) >= SHAPES_FROM_RADIUS_PX && visible.length <= SHAPES_MAX;
  const bundled = !near && scene.edgeIds.length > SINGLE_EDGES_MAX && scene.groups.length > 1;
  const outside = near ? [] : visible.filter((node) => (scene.flags[node]! & NodeFlag.Pseudo) !== 0);
  // The few that stand for the rest of the world are landmarks, however far one is away.
  const landmarks = outside.length <= LANDMARKS_MAX ? outside : [];
  return { visible, near, bundled, landmarks, radiusMin: near ? 0 : LANDMARK_RADIUS_PX };
}

// Returns the labels of the selection, for the overlay.
export function paint(ctx: CanvasRenderingContext2D, frame: Frame): PlacedLabel[] {
  const { viewport } = frame;
  ctx.clearRect(0, 0, viewport.width, viewport.height);
  const plan = planOf(frame);
  if (plan.bundled) paintBundles(ctx, frame);
  paintHulls(ctx, frame);
  if (!plan.bundled) paintEdges(ctx, frame);
  if (plan.near) paintNodes(ctx, frame, plan.visible, 0);
  else {
    paintDots(ctx, frame, plan.visible);
    paintNodes(ctx, frame, plan.landmarks, plan.radiusMin);
  }
  return paintText(ctx, frame, plan);
}

// Signs, tabs and labels.
export function paintText(ctx: CanvasRenderingContext2D, frame: Frame, plan: Plan): PlacedLabel[] {
  paintBadges(ctx, frame, plan.near ? plan.visible : plan.landmarks, plan.radiusMin);
  const tabs = paintTabs(ctx, frame);
  const { matches, selected } = frame.emphasis;
  const labelled = plan.near || matches || selected >= 0 ? plan.visible : plan.landmarks;
  return paintLabels(ctx, frame, labelled, tabs, plan.radiusMin);
}
