// How nodes look, for every back end.

import { HealthCode, NodeFlag } from '../scene/scene';
import { healthColor } from './color';
import type { Frame } from './renderer';

const DIMMED = 0.16;
const ENDED = 0.42;
// Opacity of what says that a node is unwell, and of the metric's level.
export const TINT = 0.2;
export const LIQUID = 0.5;
// Line and gap around what has ended or is not seen by any agent.
export const DASH_PX = [4, 3];

export function isDimmed({ emphasis }: Frame, node: number): boolean {
  return emphasis.matches !== null && emphasis.matches[node] === 0;
}

export function opacity(frame: Frame, node: number): number {
  if (isDimmed(frame, node)) return DIMMED;
  return (frame.scene.flags[node]! & NodeFlag.Ended) !== 0 ? ENDED : 1;
}

export function ringColor({ scene, palette }: Frame, node: number): string {
  const flags = scene.flags[node]!;
  if ((flags & NodeFlag.Ended) !== 0) return palette.text3;
  if ((flags & NodeFlag.Pseudo) !== 0 && scene.health[node] !== HealthCode.Critical) return palette.text3;
  return healthColor(palette, scene.health[node]!);
}

export function ringWidth(radiusPx: number): number {
  return radiusPx > 8 ? 2 : 1.4;
}

// Sick dots lie above the others and are a little larger, so that none is covered.
export function dotRank(health: number): number {
  return [0, 2, 3, 1][health]!;
}

export function dotScale(rank: number): number {
  return rank >= 2 ? 1.25 : 0.9;
}

export function dotAlpha(frame: Frame, node: number): number {
  return opacity(frame, node) * (frame.scene.health[node] === HealthCode.Ok ? 0.85 : 1);
}
