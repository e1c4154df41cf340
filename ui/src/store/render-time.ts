// How long the map takes to draw, told to the aggregator now and then (scope_ui_render_time_ms).

import { reportRenderTime } from '../api/rest';

const SAMPLES_MAX = 240;
const REPORT_EVERY_MS = 30_000;

class RenderTimes {
  private samples: number[] = [];

  // Milliseconds of one full drawing; 0 (an earlier one reused) says nothing.
  add(ms: number): void {
    if (ms <= 0) return;
    this.samples.push(ms);
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  // The median since the last call, or null when nothing was drawn.
  take(): number | null {
    if (this.samples.length === 0) return null;
    const sorted = this.samples.sort((a, b) => a - b);
    this.samples = [];
    return sorted[sorted.length >> 1]!;
  }
}

export const renderTimes = new RenderTimes();

export function reportRenderTimes(): () => void {
  const timer = setInterval(() => {
    const ms = renderTimes.take();
    // A figure that does not arrive is not worth a message to the person.
    if (ms !== null && !document.hidden) reportRenderTime(ms).catch(() => undefined);
  }, REPORT_EVERY_MS);
  return () => clearInterval(timer);
}
