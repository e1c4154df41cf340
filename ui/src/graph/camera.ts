// Pan and zoom: d3-zoom for the gestures, short eased flights for the buttons.

import { select, type Selection } from 'd3-selection';
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior, type ZoomTransform } from 'd3-zoom';
import type { Bounds } from '../scene/scene';
import type { Place } from '../store/page';

const ZOOM_MIN = 0.04;
const ZOOM_MAX = 8;
const FIT_ZOOM_MAX = 2;
const FIT_MARGIN_PX = 36;
// The buttons and the small map lie at the bottom.
const FIT_BOTTOM_PX = 56;
const FLIGHT_MS = 280;

export interface Size {
  width: number;
  height: number;
}

// The transform that shows all of the bounds in the middle.
export function fitTransform(bounds: Bounds, { width, height }: Size): ZoomTransform {
  const w = Math.max(1, bounds.right - bounds.left);
  const h = Math.max(1, bounds.bottom - bounds.top);
  const roomX = Math.max(40, width - 2 * FIT_MARGIN_PX);
  const roomY = Math.max(40, height - FIT_MARGIN_PX - FIT_BOTTOM_PX);
  const k = Math.min(FIT_ZOOM_MAX, Math.max(ZOOM_MIN, Math.min(roomX / w, roomY / h)));
  const x = width / 2 - (k * (bounds.left + bounds.right)) / 2;
  const y = FIT_MARGIN_PX + roomY / 2 - (k * (bounds.top + bounds.bottom)) / 2;
  return zoomIdentity.translate(x, y).scale(k);
}

export function placeOf({ x, y, k }: ZoomTransform, { width, height }: Size): Place {
  return { x: (width / 2 - x) / k, y: (height / 2 - y) / k, zoom: k };
}

export function placeTransform({ x, y, zoom }: Place, { width, height }: Size): ZoomTransform {
  const k = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, zoom));
  return zoomIdentity.translate(width / 2 - k * x, height / 2 - k * y).scale(k);
}

export class Camera {
  transform: ZoomTransform = zoomIdentity;
  // Once the person has moved the map, nothing else does.
  touched = false;
  gesture = false;
  private readonly behaviour: ZoomBehavior<HTMLElement, unknown>;
  private readonly target: Selection<HTMLElement, unknown, null, undefined>;
  private flight = 0;

  constructor(element: HTMLElement, onMove: () => void, onRest: () => void) {
    this.target = select(element);
    this.behaviour = zoom<HTMLElement, unknown>()
      .scaleExtent([ZOOM_MIN, ZOOM_MAX])
      .clickDistance(4)
      .on('zoom', (event: D3ZoomEvent<HTMLElement, unknown>) => {
        this.transform = event.transform;
        if (event.sourceEvent) {
          this.touched = true;
          this.gesture = true;
          cancelAnimationFrame(this.flight);
        }
        onMove();
      })
      .on('end', () => {
        this.gesture = false;
        onRest();
      });
    this.target.call(this.behaviour).on('dblclick.zoom', null);
  }

  set(transform: ZoomTransform): void {
    cancelAnimationFrame(this.flight);
    this.target.call(this.behaviour.transform, transform);
  }

  // Glides there; at once for people who asked their system for less motion.
  fly(to: ZoomTransform): void {
    cancelAnimationFrame(this.flight);
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return this.set(to);
    const from = this.transform;
    const start = performance.now();
    const step = (now: number) => {
      const t = Math.min(1, Math.max(0, (now - start) / FLIGHT_MS));
      const eased = t < 0.5 ? 4 * t ** 3 : 1 - (-2 * t + 2) ** 3 / 2;
      const k = from.k * (to.k / from.k) ** eased;
      const x = from.x + (to.x - from.x) * eased;
      const y = from.y + (to.y - from.y) * eased;
      this.target.call(this.behaviour.transform, t < 1 ? zoomIdentity.translate(x, y).scale(k) : to);
      if (t < 1) this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }

  zoomBy(factor: number, { width, height }: Size): void {
    const { k, x, y } = this.transform;
    const next = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, k * factor));
    const ratio = next / k;
    const [cx, cy] = [width / 2, height / 2];
    this.touched = true;
    this.fly(zoomIdentity.translate(cx - (cx - x) * ratio, cy - (cy - y) * ratio).scale(next));
  }

  panBy(dx: number, dy: number): void {
    this.touched = true;
    const { k, x, y } = this.transform;
    this.set(zoomIdentity.translate(x + dx, y + dy).scale(k));
  }

  // Brings a point of the world into the middle, and near enough to read.
  centreOn(wx: number, wy: number, { width, height }: Size, kMin = 0): void {
    const k = Math.max(this.transform.k, kMin);
    this.fly(zoomIdentity.translate(width / 2 - k * wx, height / 2 - k * wy).scale(k));
  }

  destroy(): void {
    cancelAnimationFrame(this.flight);
    this.target.on('.zoom', null);
  }
}
