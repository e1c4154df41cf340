import { useEffect, useMemo, useRef, useState } from 'react';
import styled from 'styled-components';
import { peersOf } from '../lib/peers';
import { usePage } from '../store/page';
import { Connections } from './details/Connections';
import { ContainerControls } from './details/ContainerControls';
import { Children } from './details/Children';
import { DetailsHead } from './details/DetailsHead';
import { Links } from './details/Links';
import { Metrics } from './details/Metrics';
import { PeerList } from './details/PeerList';
import { ProcessTree } from './details/ProcessTree';
import { RefList } from './details/RefList';
import { Sections } from './details/Sections';
import { Tier2Section } from './details/Tier2Section';
import { NARROW_PX } from './narrow';
import { useDetails } from './useDetails';
import { useTopology } from './useTopology';

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
  const peers = useMemo(() => peersOf(topology, id), [topology, id]);
  const panel = useRef<HTMLElement>(null);
  // What the map says is newer than the last answer.
  const node = topology.nodes.get(id) ?? details?.node ?? null;

  // Reading starts at the top of another node's details.
  useEffect(() => {
    // Newer browsers return a promise here, which React would take for a clean-up.
    void panel.current?.scrollTo(0, 0);
  }, [id]);

  return (
    <Panel ref={panel} aria-label={node ? `Details of ${node.label}` : 'Details'} data-testid="details">
      <DetailsHead node={node} gone={topology.loaded && !topology.nodes.has(id)} />
      {details && <Links links={details.links} />}
      {problem && !details && <Problem role="alert">{problem}</Problem>}
      {node && node.metrics.length > 0 && <Metrics node={node} />}
      <PeerList title="Inbound" peers={peers.inbound} />
      <PeerList title="Outbound" peers={peers.outbound} />
      {node && <RefList title="Part of" refs={details?.node?.parents ?? node.parents} />}
      {details && <ProcessTree details={details} />}
      {details && <Children details={details} view={view} id={id} />}
      {node && details?.control && <ContainerControls node={node} control={details.control} onDone={again} />}
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

const Panel = styled.aside`
  width: 348px;
  flex: none;
  overflow-y: auto;
  background: var(--surface);
  border-left: 1px solid var(--line);
  > section,
  > p {
    padding: 14px 16px;
    border-top: 1px solid var(--line);
  }
  @media (max-width: 1000px) {
    width: 300px;
  }
  @media (max-width: ${NARROW_PX}px) {
    width: auto;
    height: 58%;
    border-left: 0;
    border-top: 1px solid var(--line-strong);
  }
`;

const Problem = styled.p`
  color: var(--critical-text);
  font-size: 12px;
`;
