// The last minute and a half of each metric, gathered in the page from the differences as they come: what
// is newer than the aggregator's last answer, and all that there is where it keeps no series.

import type { TopologyNode } from '../api/types';

export const HISTORY_SAMPLES = 90;
const SAMPLE_EVERY_MS = 1_000;
export const HISTORY_SPAN_MS = HISTORY_SAMPLES * SAMPLE_EVERY_MS;
// 2,000 nodes * 90 samples * (8 metrics * 4 bytes + 8 of the time) = 7.2 MB at most.
export const HISTORY_NODES_MAX = 2_000;

// What has metrics.
type Measured = Pick<TopologyNode, 'id' | 'metrics'>;

// A value at a time of `performance.now()`; null where the node did not have the metric.
export interface Sample {
  timeMs: number;
  value: number | null;
}

class Series {
  private readonly times = new Float64Array(HISTORY_SAMPLES);
  private readonly values = new Map<string, Float32Array>();
  private next = 0;
  private length = 0;

  push(node: Measured, timeMs: number): void {
    this.times[this.next] = timeMs;
    for (const ring of this.values.values()) ring[this.next] = NaN;
    for (const { key, value } of node.metrics) {
      let ring = this.values.get(key);
      if (!ring) this.values.set(key, (ring = new Float32Array(HISTORY_SAMPLES).fill(NaN)));
      ring[this.next] = value;
    }
    this.next = (this.next + 1) % HISTORY_SAMPLES;
    this.length = Math.min(this.length + 1, HISTORY_SAMPLES);
  }

  get lastMs(): number {
    return this.length === 0 ? -Infinity : this.times[(this.next + HISTORY_SAMPLES - 1) % HISTORY_SAMPLES]!;
  }

  // Oldest first.
  of(metric: string): Sample[] {
    const ring = this.values.get(metric);
    if (!ring) return [];
    const start = this.next - this.length + HISTORY_SAMPLES;
    return Array.from({ length: this.length }, (_, i) => {
      const at = (start + i) % HISTORY_SAMPLES;
      const value = ring[at]!;
      return { timeMs: this.times[at]!, value: Number.isNaN(value) ? null : value };
    });
  }
}

export class MetricHistory {
  private readonly nodes = new Map<string, Series>();

  // One sample of each node; nodes that did not change repeat their last value.
  sample(nodes: ReadonlyMap<string, Measured>, nowMs: number): void {
    for (const id of this.nodes.keys()) if (!nodes.has(id)) this.nodes.delete(id);
    for (const node of nodes.values()) {
      if (node.metrics.length > 0) this.record(node, nowMs);
    }
  }

  private record(node: Measured, nowMs: number): void {
    let series = this.nodes.get(node.id);
    if (!series) {
      if (this.nodes.size >= HISTORY_NODES_MAX) return;
      series = new Series();
      this.nodes.set(node.id, series);
    }
    if (nowMs - series.lastMs >= SAMPLE_EVERY_MS * 0.9) series.push(node, nowMs);
  }

  of(id: string, metric: string): Sample[] {
    return this.nodes.get(id)?.of(metric) ?? [];
  }

  get size(): number {
    return this.nodes.size;
  }
}
