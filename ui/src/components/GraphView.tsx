import { useEffect, useRef, useState } from 'react';
import styled from 'styled-components';
import { GraphController } from '../graph/controller';
import { MINIMAP } from '../graph/minimap';
import { describeNode } from '../lib/describe';
import { useLive } from '../store/live';
import { usePage } from '../store/page';
import type { Palette } from '../theme/tokens';
import { VisuallyHidden } from './controls';
import { FitIcon, MinusIcon, PlusIcon } from './icons';
import { MapNote } from './MapNote';
import { NARROW_PX } from './narrow';
import { SituationNote } from './SituationNote';

const ARROWS: Record<string, { dx: number; dy: number }> = {
  ArrowLeft: { dx: -1, dy: 0 },
  ArrowRight: { dx: 1, dy: 0 },
  ArrowUp: { dx: 0, dy: -1 },
  ArrowDown: { dx: 0, dy: 1 },
};
const PAN_PX = 80;
const ZOOM_STEP = 1.5;

// The canvas and its buttons. React renders this once; the controller does the rest.
export function GraphView({ palette }: { palette: Palette }) {
  const host = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const minimap = useRef<HTMLCanvasElement>(null);
  const controller = useRef<GraphController | null>(null);
  const firstPalette = useRef(palette);
  const [focused, setFocused] = useState<string | null>(null);

  useEffect(() => {
    const made = new GraphController(
      { host: host.current!, base: base.current!, overlay: overlay.current!, minimap: minimap.current! },
      firstPalette.current,
      setFocused,
    );
    controller.current = made;
    return () => {
      made.destroy();
      controller.current = null;
    };
  }, []);

  useEffect(() => controller.current?.setPalette(palette), [palette]);
  // Text measured before the font has arrived is measured in another font.
  useEffect(() => {
    void document.fonts.ready.then(() => controller.current?.setPalette(palette));
  }, [palette]);

  return (
    <Frame>
      <Host
        ref={host}
        tabIndex={0}
        role="application"
        aria-roledescription="map"
        aria-label="Topology. Arrow keys and Tab move between nodes, Enter opens details, Escape leaves."
        aria-describedby="map-focus"
        onKeyDown={(event) => onKey(event, controller.current)}
        onBlur={() => controller.current?.clearFocus()}
        data-testid="map"
      >
        <canvas ref={base} />
        <canvas ref={overlay} />
      </Host>
      <FocusAnnouncer id={focused} />
      <Tools role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" onClick={() => controller.current?.zoomBy(ZOOM_STEP)}>
          <PlusIcon />
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => controller.current?.zoomBy(1 / ZOOM_STEP)}>
          <MinusIcon />
        </button>
        <button type="button" aria-label="Show everything" onClick={() => controller.current?.fit()}>
          <FitIcon />
        </button>
      </Tools>
      <MapNote />
      <SituationNote over />
      <Small
        ref={minimap}
        aria-hidden
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          toMinimap(event, controller.current);
        }}
        onPointerMove={(event) => event.buttons > 0 && toMinimap(event, controller.current)}
      />
    </Frame>
  );
}

function toMinimap(event: React.PointerEvent, controller: GraphController | null) {
  const box = event.currentTarget.getBoundingClientRect();
  controller?.minimapTo(event.clientX - box.left, event.clientY - box.top);
}

function onKey(event: React.KeyboardEvent, controller: GraphController | null) {
  if (!controller || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) controller.panBy(-arrow.dx * PAN_PX, -arrow.dy * PAN_PX);
  else if (arrow) controller.moveFocus(arrow);
  else if (event.key === 'Tab') {
    // At the end of the nodes the key leaves the map, as everywhere else.
    if (!controller.moveFocus({ by: event.shiftKey ? -1 : 1 })) return;
  } else if (event.key === 'Enter' || event.key === ' ') controller.selectFocused();
  else if (event.key === 'Escape' && controller.hasFocus && !usePage.getState().selected) controller.clearFocus();
  else if (event.key === '+' || event.key === '=') controller.zoomBy(ZOOM_STEP);
  else if (event.key === '-') controller.zoomBy(1 / ZOOM_STEP);
  else if (event.key === '0') controller.fit();
  else return;
  event.preventDefault();
}

function FocusAnnouncer({ id }: { id: string | null }) {
  const node = id === null ? undefined : useLive.getState().topology.nodes.get(id);
  return (
    <VisuallyHidden id="map-focus" aria-live="polite">
      {node && describeNode(node)}
    </VisuallyHidden>
  );
}

const Frame = styled.div`
  flex: 1;
  position: relative;
  min-height: 0;
  overflow: hidden;
`;

const Host = styled.div`
  position: absolute;
  inset: 0;
  touch-action: none;
  cursor: grab;
  &:active {
    cursor: grabbing;
  }
  &:focus-visible {
    outline-offset: -2px;
  }
  canvas {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
  }
`;

const Tools = styled.div`
  position: absolute;
  left: 14px;
  bottom: 14px;
  display: grid;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: var(--surface);
  overflow: hidden;
  button {
    width: 30px;
    height: 30px;
    display: grid;
    place-items: center;
    border: 0;
    background: none;
    color: var(--text-2);
  }
  button + button {
    border-top: 1px solid var(--line);
  }
  button:hover {
    background: var(--raised);
    color: var(--text-1);
  }
  button:focus-visible {
    outline-offset: -3px;
  }
`;

const Small = styled.canvas`
  position: absolute;
  right: 14px;
  bottom: 14px;
  width: ${MINIMAP.width}px;
  height: ${MINIMAP.height}px;
  border: 1px solid var(--line-strong);
  border-radius: 8px;
  background: color-mix(in srgb, var(--surface) 88%, transparent);
  cursor: crosshair;
  touch-action: none;
  @media (max-width: ${NARROW_PX}px) {
    display: none;
  }
`;
