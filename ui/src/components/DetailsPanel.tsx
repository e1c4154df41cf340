import { useEffect, useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import { create } from 'zustand';
import type { TopologyNode } from '../api/types';
import { mayNot } from '../lib/control';
import { peersOf } from '../lib/peers';
import { usePage } from '../store/page';
import { useSession } from '../store/session';
import { Connections } from './details/Connections';
import { ContainerControls } from './details/ContainerControls';
import { Children } from './details/Children';
import { DetailsHead } from './details/DetailsHead';
import { Links } from './details/Links';
import { Metrics } from './details/Metrics';
import { OwnLabels } from './details/OwnLabels';
import { PeerList } from './details/PeerList';
import { PluginSection } from './details/PluginSection';
import { ProcessTree } from './details/ProcessTree';
import { RefList } from './details/RefList';
import { Sections } from './details/Sections';
import { Tier2Section } from './details/Tier2Section';
import { NARROW_PX } from './narrow';
import { useDetails } from './useDetails';
import { useTopology } from './useTopology';

const WIDTH_PX = 348;
const WIDTH_MIN_PX = 280;
const WIDTH_MAX_PX = 900;

// The same for all nodes, until the page is left.
const useWidth = create<{ width: number; setWidth: (px: number) => void }>()((set) => ({
  width: WIDTH_PX,
  setWidth: (px) => set({ width: Math.min(WIDTH_MAX_PX, Math.max(WIDTH_MIN_PX, px)) }),
}));

// Everything of the selected node.
export function DetailsPanel() {
  const view = usePage((page) => page.view);
  const id = usePage((page) => page.selected)!;
  return <Details key={`${view} ${id}`} view={view} id={id} />;
}

function Details({ view, id }: { view: string; id: string }) {
  const topology = useTopology(1_000);
  const [environment, setEnvironment] = useState(false);
  const { details, problem, again } = useDetails(view, id, environment);
  const refused = useSession(({ who }) => mayNot(who));
  const peers = useMemo(() => peersOf(topology, id), [topology, id]);
  const panel = useRef<HTMLElement>(null);
  const { width, setWidth } = useWidth();
  // What the map says is newer than the last answer.
  const node = topology.nodes.get(id) ?? details?.node ?? null;

  // Reading starts at the top of another node's details.
  useEffect(() => {
    // Newer browsers return a promise here, which React would take for a clean-up.
    void panel.current?.scrollTo(0, 0);
  }, [id]);

  return (
    <Panel
      ref={panel}
      style={{ '--width': `${width}px` } as React.CSSProperties}
      aria-label={node ? `Details of ${node.label}` : 'Details'} data-testid="details"
    >
      <Grip
        role="separator"
        aria-orientation="vertical"
        aria-label="Width of the details"
        aria-valuenow={Math.round(width)}
        aria-valuemin={WIDTH_MIN_PX}
        aria-valuemax={WIDTH_MAX_PX}
        tabIndex={0}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
          setWidth(panel.current!.getBoundingClientRect().right - event.clientX);
        }}
        onDoubleClick={() => setWidth(WIDTH_PX)}
        onKeyDown={(event) => {
          const by = { ArrowLeft: 20, ArrowRight: -20 }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          setWidth(width + by);
        }}
      />
      <DetailsHead node={node} gone={topology.loaded && !topology.nodes.has(id)} />
      {details && <Links links={details.links} />}
      {problem && !details && <Problem role="alert">{problem}</Problem>}
      {node && node.metrics.length > 0 && <Metrics node={node} />}
      <PeerList title="Inbound" peers={peers.inbound} />
      <PeerList title="Outbound" peers={peers.outbound} />
      {node && <RefList title="Part of" refs={details?.node?.parents ?? node.parents} />}
      {details && <ProcessTree details={details} />}
      {details && <Children details={details} view={view} id={id} />}
      {node && details?.control && <ContainerControls node={node} control={details.control} refused={refused} onDone={again} />}
      {node && canHaveLabels(node) && <OwnLabels key={id} id={id} refused={refused} onDone={again} />}
      {node &&
        details?.plugins.map((facts) => (
          <PluginSection
            key={facts.plugin}
            view={view}
            node={node}
            facts={facts}
            refused={refused}
            onDone={again}
          />
        ))}
      {details?.tier2 && <Tier2Section tier2={details.tier2} onSwitched={again} />}
      <Sections
        node={node}
        sections={details?.sections ?? []}
        environment={environment}
        onEnvironment={() => setEnvironment(!environment)}
      />
      {details && <Connections details={details} view={view} id={id} />}
    </Panel>
  );
}

// Groups have those of what is in them.
function canHaveLabels({ id, pseudo }: TopologyNode): boolean {
  return !pseudo && /^(process|container|host);/.test(id);
}

const Panel = styled.aside`
  /* The map keeps some room whatever is asked for. */
  width: min(var(--width), 60vw);
  flex: none;
  position: relative;
  overflow-y: auto;
  background: var(--surface);
  border-left: 1px solid var(--line);
  > section,
  > p {
    padding: 14px 16px;
    border-top: 1px solid var(--line);
  }
  @media (max-width: 1000px) {
    width: min(var(--width), 300px);
  }
  @media (max-width: ${NARROW_PX}px) {
    width: auto;
    height: 58%;
    border-left: 0;
    border-top: 1px solid var(--line-strong);
  }
`;

// As high as what can be scrolled.
const Grip = styled.div`
  position: sticky;
  z-index: 2;
  top: 0;
  left: 0;
  float: left;
  width: 7px;
  height: 100%;
  margin: 0 -7px -100% 0;
  cursor: col-resize;
  touch-action: none;
  &:hover,
  &:focus-visible {
    background: color-mix(in srgb, var(--accent) 40%, transparent);
  }
  @media (max-width: 1000px) {
    display: none;
  }
`;

const Problem = styled.p`
  color: var(--critical-text);
  font-size: 12px;
`;
