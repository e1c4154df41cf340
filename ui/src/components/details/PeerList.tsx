import { useState } from 'react';
import styled from 'styled-components';
import { bytes, count, joined, microseconds, moment, rate } from '../../lib/format';
import type { Peer } from '../../lib/peers';
import { shapeOfKind } from '../../scene/shape';
import { usePage } from '../../store/page';
import { LinkButton, SectionTitle } from '../controls';
import { ShapeIcon } from '../icons';
import { healthVariable } from './DetailsHead';

const SHOWN = 8;

// Peers in one direction, the busiest first, each with its share of the traffic as a bar.
export function PeerList({ title, peers }: { title: string; peers: readonly Peer[] }) {
  const [all, setAll] = useState(false);
  const [measures, setMeasures] = useState(false);
  if (peers.length === 0) return null;
  const largest = Math.max(...peers.map((peer) => peer.bytesPerSecond), 1);
  const shown = all ? peers : peers.slice(0, SHOWN);
  return (
    <section aria-label={title}>
      <SectionTitle>
        {title} {peers.length > 1 && <small>{peers.length}</small>}
      </SectionTitle>
      <List>
        {shown.map((peer) => (
          <PeerRow key={peer.node.id} peer={peer} measures={measures} share={peer.bytesPerSecond / largest} />
        ))}
      </List>
      <Actions>
        <LinkButton type="button" aria-expanded={measures} onClick={() => setMeasures(!measures)}>
          {measures ? 'Hide the measures' : 'Measures'}
        </LinkButton>
        {peers.length > SHOWN && (
          <LinkButton type="button" onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${peers.length}`}
          </LinkButton>
        )}
      </Actions>
    </section>
  );
}

function PeerRow({ peer, measures, share }: { peer: Peer; measures: boolean; share: number }) {
  const { node, failing, bytesPerSecond } = peer;
  const traffic = bytesPerSecond > 0 ? joined(rate(bytesPerSecond)) : peer.bytes > 0 ? joined(bytes(peer.bytes)) : '–';
  return (
    <li>
      <button type="button" title={hint(peer)} onClick={() => usePage.getState().select(node.id)}>
        <ShapeIcon shape={shapeOfKind(node.kind)} color={node.pseudo ? 'var(--text-3)' : healthVariable(node.health)} />
        <span>{node.label}</span>
        <em>
          {peer.applications.join(' ')} {failing && <strong>failing</strong>}
        </em>
        <b data-idle={bytesPerSecond === 0}>{traffic}</b>
        <Bar aria-hidden>
          <i style={{ width: `${Math.max(bytesPerSecond > 0 ? 4 : 0, share * 100)}%` }} />
        </Bar>
      </button>
      {measures && <Measures>{measured(peer)}</Measures>}
    </li>
  );
}

// All that the edges measure, in words.
export function measured(peer: Peer): string {
  const parts = [
    `${peer.connectionsPerSecond.toFixed(1)} connections/s`,
    `→ ${joined(rate(peer.forwardPerSecond))}`,
    `← ${joined(rate(peer.backPerSecond))}`,
    `${count(peer.failures)} failed`,
    peer.rttUs > 0 && `${microseconds(peer.rttUs)} round trip`,
    `${count(peer.retransmits)} retransmits`,
    `first seen ${moment(peer.firstSeenMs)}`,
    `last seen ${moment(peer.lastSeenMs)}`,
  ];
  return parts.filter(Boolean).join(' · ');
}

function hint({ node, connections, ports, bytes: total, rttUs }: Peer): string {
  const parts = [node.label_minor, `${connections} open`, `${joined(bytes(total))} in all`];
  if (ports.length > 0) parts.push(`port ${ports.join(', ')}`);
  if (rttUs > 0) parts.push(`${microseconds(rttUs)} round trip`);
  return parts.filter(Boolean).join(' · ');
}

const Actions = styled.div`
  display: flex;
  gap: 16px;
`;

const Measures = styled.p`
  padding: 0 6px 6px 28px;
  font: 11px/1.5 var(--mono);
  color: var(--text-3);
`;

const List = styled.ul`
  margin: 6px -6px 0;
  button {
    width: 100%;
    height: 28px;
    padding: 0 6px;
    display: flex;
    align-items: center;
    gap: 8px;
    border: 0;
    border-radius: 5px;
    background: none;
    text-align: left;
  }
  button:hover {
    background: var(--raised);
  }
  span {
    flex: 1 1 auto;
    min-width: 40px;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  em {
    flex: 0 1 auto;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    font: 11px var(--mono);
    color: var(--text-3);
  }
  em strong {
    font-weight: 500;
    color: var(--critical-text);
  }
  b {
    flex: none;
    font: 12px var(--mono);
    font-variant-numeric: tabular-nums;
  }
  b[data-idle='true'] {
    color: var(--text-3);
  }
`;

const Bar = styled.div`
  flex: none;
  width: 52px;
  i {
    display: block;
    height: 4px;
    border-radius: 2px;
    background: var(--accent);
  }
`;
