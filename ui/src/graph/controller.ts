// The graph, outside of React: follows the stores, builds scenes, schedules drawing, answers the
// pointer. A difference from the aggregator never makes React render the map.

import { Canvas2dRenderer } from '../render/canvas2d';
import { makeRenderer } from '../render/choose';
import { drawingOf } from '../render/drawing';
import { pictureOf } from '../render/picture';
import { toScreenX, toScreenY } from '../render/geometry';
import type { Emphasis, Frame, Renderer, Viewport } from '../render/renderer';
import { buildScene } from '../scene/build';
import { LocalPlacement } from '../scene/placement';
import type { Scene } from '../scene/scene';
import { matchedNodes } from '../store/filter';
import { canBeMarked, useMarks } from '../store/marks';
import { useLive } from '../store/live';
import { usePage, type Place } from '../store/page';
import { renderTimes } from '../store/render-time';
import { useSearch } from '../store/search';
import type { Palette } from '../theme/tokens';
import { Camera, fitTransform, placeOf, placeTransform } from './camera';
import { offerMap } from './handle';
import { HitTest, readingOrder } from './hit';
import { Minimap } from './minimap';
import { Glide } from './motion';

export interface GraphElements {
  host: HTMLElement;
  base: HTMLCanvasElement;
  overlay: HTMLCanvasElement;
  minimap: HTMLCanvasElement;
}

// Differences that arrive faster than this become one scene.
const SCENE_EVERY_MS = 100;
// A scene that is slow to make is made less often: the page is to have three quarters of the time for
// the person, but what changes is to be seen within a second.
const SCENE_SHARE = 0.25;
const SCENE_EVERY_MAX_MS = 450;
const SHARP_AFTER_MS = 90;
const OVERLAY_EVERY_MS = 33;
const READABLE_ZOOM = 0.9;
// The address follows the map once it rests.
const PLACE_AFTER_MS = 400;

export class GraphController {
  private renderer: Renderer;
  private readonly camera: Camera;
  private readonly minimap: Minimap;
  // One per view: what the views hold differs, and so do its places.
  private readonly placements = new Map<string, LocalPlacement>();
  private readonly cleanup: (() => void)[] = [];
  private scene: Scene | null = null;
  // Of the difference that the scene was built from.
  private sequence = 0;
  private glide: Glide | null = null;
  private hit: HitTest | null = null;
  private order: Uint32Array | null = null;
  private emphasis: Emphasis = { selected: -1, hovered: -1, focused: -1, marked: [], matches: null };
  private size = { width: 1, height: 1 };
  private frame = 0;
  private sceneTimer: ReturnType<typeof setTimeout> | undefined;
  private sharpTimer: ReturnType<typeof setTimeout> | undefined;
  private placeTimer: ReturnType<typeof setTimeout> | undefined;
  // What the map itself has told the page.
  private place: Place | null = null;
  private sceneBegunMs = -Infinity;
  // Building the last scene and drawing it.
  private sceneCostMs = 0;
  private overlayDrawnMs = 0;
  private dirty = { base: true, overlay: true, minimap: true };
  private moving = false;
  private fittedView = '';
  private destroyed = false;

  constructor(
    private readonly elements: GraphElements,
    private palette: Palette,
    private readonly onFocus: (id: string | null) => void,
  ) {
    this.renderer = makeRenderer(elements.base, elements.overlay, () => this.withoutGraphicsCard());
    elements.host.dataset.renderer = this.renderer.name;
    this.minimap = new Minimap(elements.minimap);
    this.camera = new Camera(
      elements.host,
      () => this.cameraMoved(),
      () => this.sharpen(),
    );
    const resizes = new ResizeObserver(() => this.resize());
    resizes.observe(elements.host);
    this.cleanup.push(
      () => resizes.disconnect(),
      useLive.subscribe((now, before) => {
        if (now.topology !== before.topology) this.scheduleScene();
      }),
      useSearch.subscribe((now, before) => {
        if (now.ids !== before.ids || now.search !== before.search) this.updateMatches();
      }),
      usePage.subscribe((now, before) => {
        if (now.metric !== before.metric) this.scheduleScene(0);
        if (now.search !== before.search || now.pins !== before.pins || now.health !== before.health) {
          this.updateMatches();
        }
        if (now.selected !== before.selected) this.updateSelected(true);
        if (now.place !== before.place && now.view === before.view) this.goTo(now.place);
      }),
      useMarks.subscribe(() => this.updateMarked()),
      offerMap(this),
    );
    this.listen();
    this.resize();
    this.rebuild();
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.sceneTimer);
    clearTimeout(this.sharpTimer);
    clearTimeout(this.placeTimer);
    for (const undo of this.cleanup) undo();
    this.camera.destroy();
    this.renderer.destroy();
    this.destroyed = true;
  }

  // For as long as this map is shown: what is gone once may go again.
  private withoutGraphicsCard(): void {
    if (this.destroyed) return;
    const { base, overlay, host } = this.elements;
    this.renderer.destroy();
    this.renderer = new Canvas2dRenderer(base, overlay);
    host.dataset.renderer = this.renderer.name;
    this.resize();
  }

  setPalette(palette: Palette): void {
    this.palette = palette;
    if (this.scene) this.minimap.setScene(this.scene, palette, devicePixelRatio);
    this.invalidate();
  }

  fit(): void {
    if (!this.scene) return;
    this.camera.touched = false;
    this.keepPlace();
    this.camera.fly(fitTransform(this.scene.bounds, this.size));
  }

  picture(caption: string): Promise<Blob> {
    this.moving = false;
    this.invalidate();
    this.drawNow(performance.now());
    return pictureOf(this.renderer.layers, this.palette, devicePixelRatio, caption);
  }

  drawing(caption: string): Promise<Blob> {
    if (!this.scene) return Promise.reject(new Error('There is no map yet.'));
    return drawingOf(this.seen(this.scene), caption);
  }

  // Where the person has moved the map to, for the address.
  private keepPlace(): void {
    clearTimeout(this.placeTimer);
    const page = usePage.getState();
    if (this.fittedView !== page.view) return;
    this.place = this.camera.touched ? placeOf(this.camera.transform, this.size) : null;
    if (this.place !== page.place) page.setPlace(this.place);
  }

  // Another address asks for another place.
  private goTo(place: Place | null): void {
    if (place === this.place) return;
    this.place = place;
    if (!place) return this.fit();
    this.camera.touched = true;
    this.camera.fly(placeTransform(place, this.size));
  }

  zoomBy(factor: number): void {
    this.camera.zoomBy(factor, this.size);
  }

  panBy(dx: number, dy: number): void {
    this.camera.panBy(dx, dy);
  }

  minimapTo(mx: number, my: number): void {
    const [x, y] = this.minimap.worldAt(mx, my);
    const { k } = this.camera.transform;
    this.camera.panBy(
      this.size.width / 2 - k * x - this.camera.transform.x,
      this.size.height / 2 - k * y - this.camera.transform.y,
    );
  }

  // Moves the keyboard's focus to the next node in a direction, or in reading order by steps of one.
  // False when there is none further.
  moveFocus(step: { dx: number; dy: number } | { by: 1 | -1 }): boolean {
    const { scene, hit } = this;
    if (!scene || !hit || scene.ids.length === 0) return false;
    const from = this.emphasis.focused >= 0 ? this.emphasis.focused : this.emphasis.selected;
    let next: number;
    if ('by' in step) {
      this.order ??= readingOrder(scene);
      const at = from < 0 ? (step.by > 0 ? -1 : this.order.length) : this.order.indexOf(from);
      next = this.order[at + step.by] ?? -1;
    } else {
      next = from < 0 ? (this.order ??= readingOrder(scene))[0]! : hit.towards(from, step.dx, step.dy);
    }
    if (next < 0) return false;
    this.setFocus(next);
    return true;
  }

  clearFocus(): void {
    this.setFocus(-1);
  }

  selectFocused(): void {
    const id = this.scene?.ids[this.emphasis.focused];
    if (id !== undefined) usePage.getState().select(id);
  }

  get hasFocus(): boolean {
    return this.emphasis.focused >= 0;
  }

  private mark(id: string): void {
    const node = useLive.getState().topology.nodes.get(id);
    if (node && canBeMarked(node)) useMarks.getState().toggle(id);
  }

  private updateMarked(): void {
    const { ids } = useMarks.getState();
    this.emphasis.marked = [...ids].flatMap((id) => this.scene?.index.get(id) ?? []);
    this.dirty.overlay = true;
    this.request();
  }

  private setFocus(node: number): void {
    this.emphasis.focused = node;
    this.onFocus(node >= 0 ? this.scene!.ids[node]! : null);
    if (node >= 0) this.reveal(node);
    this.dirty.overlay = true;
    this.request();
  }

  // Scrolls as little as needed to have the node on the screen.
  private reveal(node: number): void {
    const { scene, viewport } = this;
    const x = toScreenX(viewport, scene!.x[node]!);
    const y = toScreenY(viewport, scene!.y[node]!);
    const margin = 60;
    const inside =
      x > margin && y > margin && x < this.size.width - margin && y < this.size.height - margin;
    if (!inside || viewport.k < 0.25) {
      this.camera.centreOn(scene!.x[node]!, scene!.y[node]!, this.size, READABLE_ZOOM);
    }
  }

  private get viewport(): Viewport {
    const { k, x, y } = this.camera.transform;
    return { k, x, y, ...this.size };
  }

  private scheduleScene(afterMs?: number): void {
    if (afterMs === 0) clearTimeout(this.sceneTimer);
    else if (this.sceneTimer !== undefined) return;
    const since = performance.now() - this.sceneBegunMs;
    const every = Math.min(SCENE_EVERY_MAX_MS, Math.max(SCENE_EVERY_MS, this.sceneCostMs / SCENE_SHARE));
    this.sceneTimer = setTimeout(() => this.rebuild(), afterMs ?? Math.max(0, every - since));
  }

  private rebuild(): void {
    this.sceneTimer = undefined;
    const start = performance.now();
    this.sceneBegunMs = start;
    const { topology } = useLive.getState();
    this.sequence = topology.sequence;
    const before = this.scene;
    const focusedId = before?.ids[this.emphasis.focused];
    const hoveredId = before?.ids[this.emphasis.hovered];
    const placement = this.placements.get(topology.view) ?? new LocalPlacement();
    this.placements.set(topology.view, placement);
    this.scene = buildScene(topology, usePage.getState().metric, placement);
    this.emphasis.focused = this.scene.index.get(focusedId ?? '') ?? -1;
    this.emphasis.hovered = this.scene.index.get(hoveredId ?? '') ?? -1;
    this.hit = new HitTest(this.scene);
    this.order = null;
    this.minimap.setScene(this.scene, this.palette, devicePixelRatio);
    this.elements.minimap.hidden = this.scene.ids.length === 0;
    this.frameAll(topology.loaded && this.scene.ids.length > 0);
    this.glide = new Glide(this.scene, before, start);
    this.updateMarked();
    this.updateMatches();
    this.updateSelected(false);
    this.invalidate();
    this.sceneCostMs = performance.now() - start;
  }

  // The first picture of a view shows all of it, and so do those that follow until the person moves.
  private frameAll(hasNodes: boolean): void {
    const { scene, camera } = this;
    if (!scene || !hasNodes) return;
    const first = this.fittedView !== scene.view;
    if (first) {
      const { place, view } = usePage.getState();
      this.place = place;
      this.fittedView = scene.view;
      camera.touched = place !== null && view === scene.view;
      if (camera.touched) return camera.set(placeTransform(place!, this.size));
    }
    if (camera.touched) return;
    const to = fitTransform(scene.bounds, this.size);
    const change = Math.abs(Math.log(to.k / camera.transform.k));
    const shift = Math.hypot(to.x - camera.transform.x, to.y - camera.transform.y);
    if (first) camera.set(to);
    else if (change > 0.08 || shift > 60) camera.fly(to);
  }

  private updateMatches(): void {
    if (!this.scene) return;
    const matched = matchedNodes(useLive.getState().topology, usePage.getState(), useSearch.getState());
    this.emphasis.matches = matched && Uint8Array.from(this.scene.ids, (id) => (matched.has(id) ? 1 : 0));
    this.invalidate();
  }

  private updateSelected(byPerson: boolean): void {
    const { selected } = usePage.getState();
    this.emphasis.selected = this.scene?.index.get(selected ?? '') ?? -1;
    if (byPerson && this.emphasis.selected >= 0) {
      // After the panel has opened and the map has its new size.
      requestAnimationFrame(() => this.emphasis.selected >= 0 && this.reveal(this.emphasis.selected));
    }
    this.invalidate();
  }

  private listen(): void {
    const { host } = this.elements;
    const point = (event: MouseEvent): [number, number] => {
      const box = host.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const hoverAt = (node: number) => {
      if (node === this.emphasis.hovered) return;
      this.emphasis.hovered = node;
      host.style.cursor = node >= 0 ? 'pointer' : '';
      this.dirty.overlay = true;
      this.request();
    };
    const handlers: [string, (event: MouseEvent) => void][] = [
      ['mousemove', (event) => hoverAt(this.camera.gesture ? -1 : (this.hit?.at(this.viewport, ...point(event)) ?? -1))],
      ['mouseleave', () => hoverAt(-1)],
      [
        'click',
        (event) => {
          const node = this.hit?.at(this.viewport, ...point(event)) ?? -1;
          this.emphasis.focused = -1;
          const id = this.scene?.ids[node];
          if (id !== undefined && (event.ctrlKey || event.metaKey || event.shiftKey)) this.mark(id);
          else usePage.getState().select(id ?? null);
        },
      ],
      [
        'dblclick',
        (event) => {
          const [sx, sy] = point(event);
          const { k, x, y } = this.camera.transform;
          this.camera.centreOn((sx - x) / k, (sy - y) / k, this.size, Math.min(4, k * 1.8));
        },
      ],
    ];
    for (const [name, handler] of handlers) {
      host.addEventListener(name, handler as EventListener);
      this.cleanup.push(() => host.removeEventListener(name, handler as EventListener));
    }
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.elements.host;
    if (width === 0 || height === 0) return;
    this.size = { width, height };
    this.renderer.resize(width, height, devicePixelRatio);
    if (this.scene && !this.camera.touched && this.scene.ids.length > 0) {
      this.camera.set(fitTransform(this.scene.bounds, this.size));
    }
    this.invalidate();
    // A resized canvas is empty until it is drawn; do not show that.
    this.drawNow(performance.now());
  }

  private cameraMoved(): void {
    this.moving = true;
    this.dirty = { base: true, overlay: true, minimap: true };
    clearTimeout(this.sharpTimer);
    this.sharpTimer = setTimeout(() => this.sharpen(), SHARP_AFTER_MS);
    clearTimeout(this.placeTimer);
    this.placeTimer = setTimeout(() => this.keepPlace(), PLACE_AFTER_MS);
    this.request();
  }

  private sharpen(): void {
    if (!this.moving) return;
    this.moving = false;
    this.dirty.base = true;
    this.request();
  }

  private invalidate(): void {
    this.renderer.invalidate();
    this.dirty = { base: true, overlay: true, minimap: true };
    this.request();
  }

  private request(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.drawNow(now));
  }

  // Which difference the map holds, for whoever measures from outside.
  private tellDrawn(ms: number): void {
    const { dataset } = this.elements.host;
    const sequence = String(this.sequence);
    if (dataset.drawnSequence === sequence) return;
    this.sceneCostMs += ms;
    dataset.drawnNodes = String(this.scene!.ids.length);
    dataset.drawnSequence = sequence;
  }

  private seen(scene: Scene): Frame {
    return { scene, viewport: this.viewport, emphasis: this.emphasis, palette: this.palette };
  }

  private drawNow(nowMs: number): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.scene) return;
    if (this.glide?.moving) {
      this.glide.step(nowMs);
      this.renderer.invalidate();
      this.dirty = { base: true, overlay: true, minimap: this.dirty.minimap };
    }
    const frame = this.seen(this.scene);
    if (this.dirty.base) {
      const ms = this.renderer.draw(frame, this.moving);
      renderTimes.add(ms);
      this.tellDrawn(ms);
    }
    if (this.dirty.minimap) this.minimap.draw(frame.viewport, this.palette, devicePixelRatio);
    let animated = this.emphasis.selected >= 0;
    if (this.dirty.overlay || nowMs - this.overlayDrawnMs >= OVERLAY_EVERY_MS) {
      const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
      animated = this.renderer.drawOverlay(frame, nowMs, !calm);
      this.overlayDrawnMs = nowMs;
    }
    this.dirty = { base: false, overlay: false, minimap: false };
    if (this.glide?.moving || animated) this.request();
  }
}
