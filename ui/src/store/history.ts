// The last minute of each metric, gathered in the page from the differences as they come, so that a
// sparkline is there the moment a node is selected.

import type { TopologyNode } from '../api/types';

export const HISTORY_SAMPLES = 90;
const SAMPLE_EVERY_MS = 1_000;
// 2,000 nodes * 8 metrics * 90 samples * 4 bytes = 5.8 MB at most.
export const HISTORY_NODES_MAX = 2_000;

interface Series {
  lastMs: number;
  values: Map<string, Ring>;
}

class Ring {
  private readonly samples = new Float32Array(HISTORY_SAMPLES);
  private next = 0;
  private length = 0;

  push(value: number): void {
    this.samples[this.next] = value;
    this.next = (this.next + 1) % HISTORY_SAMPLES;
    this.length = Math.min(this.length + 1, HISTORY_SAMPLES);
  }

  // Oldest first.
  toArray(): number[] {
    const start = (this.next - this.length + HISTORY_SAMPLES) % HISTORY_SAMPLES;
    return Array.from({ length: this.length }, (_, i) => this.samples[(start + i) % HISTORY_SAMPLES]!);
  }
}

export class MetricHistory {
  private readonly nodes = new Map<string, Series>();

  // One sample of each node; nodes that did not change repeat their last value.
  sample(nodes: ReadonlyMap<string, TopologyNode>, nowMs: number): void {
    for (const id of this.nodes.keys()) if (!nodes.has(id)) this.nodes.delete(id);
    for (const node of nodes.values()) {
      if (node.metrics.length > 0) this.record(node, nowMs);
    }
  }

  private record(node: TopologyNode, nowMs: number): void {
    let series = this.nodes.get(node.id);
    if (!series) {
      if (this.nodes.size >= HISTORY_NODES_MAX) return;
      series = { lastMs: -Infinity, values: new Map() };
      this.nodes.set(node.id, series);
    }
    if (nowMs - series.lastMs < SAMPLE_EVERY_MS * 0.9) return;
    series.lastMs = nowMs;
    for (const metric of node.metrics) {
      let ring = series.values.get(metric.key);
      if (!ring) series.values.set(metric.key, (ring = new Ring()));
      ring.push(metric.value);
    }
  }

  of(id: string, metric: string): number[] {
    return this.nodes.get(id)?.values.get(metric)?.toArray() ?? [];
  }

  get size(): number {
    return this.nodes.size;
  }
}
