// Positions for a view whose server has none yet: each group is a sunflower of its nodes, the groups
// are set one after the other as near to the centre as they fit. What has a place keeps it.

import type { TopologyNode } from '../api/types';

const SPACING = 54;
const GROUP_GAP = 52;
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

interface Disc {
  x: number;
  y: number;
  radius: number;
}

interface Place {
  group: string;
  slot: number;
}

export type Position = readonly [x: number, y: number];

export class LocalPlacement {
  private readonly places = new Map<string, Place>();
  private readonly taken = new Map<string, (string | undefined)[]>();
  private readonly discs = new Map<string, Disc>();

  // Positions of exactly these nodes.
  place(nodes: ReadonlyMap<string, TopologyNode>): Map<string, Position> {
    this.forget(nodes);
    const fresh = [...nodes.values()]
      .filter((node) => this.places.get(node.id)?.group !== groupOf(node))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const node of fresh) this.seat(node);
    this.arrange();

    const positions = new Map<string, Position>();
    for (const node of nodes.values()) {
      const place = this.places.get(node.id)!;
      const disc = this.discs.get(place.group)!;
      const distance = SPACING * Math.sqrt(place.slot) * 0.98;
      const angle = place.slot * GOLDEN_ANGLE;
      positions.set(node.id, [disc.x + distance * Math.cos(angle), disc.y + distance * Math.sin(angle)]);
    }
    return positions;
  }

  private forget(nodes: ReadonlyMap<string, TopologyNode>): void {
    for (const [id, place] of this.places) {
      const node = nodes.get(id);
      if (node && groupOf(node) === place.group) continue;
      this.taken.get(place.group)![place.slot] = undefined;
      this.places.delete(id);
    }
    for (const [group, slots] of this.taken) {
      if (slots.some((id) => id !== undefined)) continue;
      this.taken.delete(group);
      this.discs.delete(group);
    }
  }

  private seat(node: TopologyNode): void {
    const group = groupOf(node);
    const slots = this.taken.get(group) ?? [];
    this.taken.set(group, slots);
    const free = slots.indexOf(undefined);
    const slot = free >= 0 ? free : slots.length;
    slots[slot] = node.id;
    this.places.set(node.id, { group, slot });
  }

  private arrange(): void {
    const sized = [...this.taken].map(([group, slots]) => ({
      group,
      radius: SPACING * Math.sqrt(slots.length) + GROUP_GAP,
    }));
    const grown = sized.filter(({ group, radius }) => (this.discs.get(group)?.radius ?? 0) < radius);
    grown.sort((a, b) => b.radius - a.radius || (a.group < b.group ? -1 : 1));
    for (const { group, radius } of grown) {
      this.discs.delete(group);
      this.discs.set(group, fit([...this.discs.values()], radius));
    }
  }
}

function groupOf(node: TopologyNode): string {
  return node.group || (node.pseudo ? ' outside' : ' ungrouped');
}

// The free place nearest to the centre, along a spiral.
function fit(discs: readonly Disc[], radius: number): Disc {
  for (let step = 0; ; step += 1) {
    const distance = radius * 0.28 * Math.sqrt(step);
    const angle = step * GOLDEN_ANGLE;
    const x = distance * Math.cos(angle) * 1.25;
    const y = distance * Math.sin(angle) * 0.8;
    if (discs.every((disc) => Math.hypot(disc.x - x, disc.y - y) >= disc.radius + radius)) return { x, y, radius };
  }
}

// True when the server has not laid the view out: every node lies at the origin.
export function isUnplaced(nodes: ReadonlyMap<string, TopologyNode>): boolean {
  if (nodes.size < 2) return false;
  for (const node of nodes.values()) if (node.x !== 0 || node.y !== 0) return false;
  return true;
}
