// One whole picture, back to front. What is drawn depends on how near it is.

import { paintBundles, paintEdges } from './paint-edges';
import { paintHulls, paintTabs } from './paint-groups';
import { paintLabels, type PlacedLabel } from './paint-labels';
import { paintDots, paintNodes, visibleNodes } from './paint-nodes';
import { NodeFlag } from '../scene/scene';
import { radiusScale } from './geometry';
import type { Frame } from './renderer';

// A node smaller than this is a dot: its ring and level could not be read.
const SHAPES_FROM_RADIUS_PX = 4.2;
const TYPICAL_RADIUS = 12;
// Up to so many nodes and edges everything can be drawn one by one at any zoom.
const SHAPES_MAX = 1_400;
const SINGLE_EDGES_MAX = 900;
const LANDMARKS_MAX = 40;
const LANDMARK_RADIUS_PX = 9;

// Returns the labels of the selection, for the overlay.
export function paint(ctx: CanvasRenderingContext2D, frame: Frame): PlacedLabel[] {
  const { scene, viewport } = frame;
  ctx.clearRect(0, 0, viewport.width, viewport.height);
  const visible = visibleNodes(frame);
  const near = TYPICAL_RADIUS * radiusScale(viewport.k) >= SHAPES_FROM_RADIUS_PX && visible.length <= SHAPES_MAX;
  const bundled = !near && scene.edgeIds.length > SINGLE_EDGES_MAX && scene.groups.length > 1;

  if (bundled) paintBundles(ctx, frame);
  paintHulls(ctx, frame);
  if (!bundled) paintEdges(ctx, frame);
  const outside = near ? [] : visible.filter((node) => (scene.flags[node]! & NodeFlag.Pseudo) !== 0);
  // The few that stand for the rest of the world are landmarks, however far one is away.
  const landmarks = outside.length <= LANDMARKS_MAX ? outside : [];
  if (near) paintNodes(ctx, frame, visible, 0);
  else {
    paintDots(ctx, frame, visible);
    paintNodes(ctx, frame, landmarks, LANDMARK_RADIUS_PX);
  }
  const tabs = paintTabs(ctx, frame);
  const labelled = near || frame.emphasis.matches || frame.emphasis.selected >= 0 ? visible : landmarks;
  return paintLabels(ctx, frame, labelled, tabs, near ? 0 : LANDMARK_RADIUS_PX);
}
